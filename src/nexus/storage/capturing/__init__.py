"""How a transaction's operations are taken: by hook or session, and what those miss."""
