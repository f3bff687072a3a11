"""Which tables there are: the user's, with their keys and columns, and Nexus's own."""
