"""Arithmetic on time: ages of entries, delays, retries, rates."""
