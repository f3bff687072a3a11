"""Changesets, byte for byte: what they say, and what of it does not fit."""
