"""A node inside this process, and its connections."""
