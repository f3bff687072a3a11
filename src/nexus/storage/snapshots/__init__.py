"""Copies of the database at a position: made, kept, received, installed."""
