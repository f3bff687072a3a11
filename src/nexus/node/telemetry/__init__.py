"""What a node counts, times and tells of itself."""
