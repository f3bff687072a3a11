"""Records, and who bought them."""
