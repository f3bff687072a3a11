"""Hrana, the protocol of libSQL's clients: SQL streams over HTTP and WebSocket."""
