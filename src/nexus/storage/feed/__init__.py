"""The log as a change feed: entries become changes with names."""
