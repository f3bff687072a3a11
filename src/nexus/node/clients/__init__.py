"""Clients of the native protocol: a connection each, and what it asks for."""
