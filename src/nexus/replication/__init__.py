"""What is decided: pure machines; an input in, an ordered tuple of effects out."""
