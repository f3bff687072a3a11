"""What is said: bytes and messages, no socket."""
