"""REST: one handler per call, and one table from errors to status codes."""
