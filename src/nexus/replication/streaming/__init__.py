"""The master's side: what each replica is sent, and what its acknowledgements prove."""
