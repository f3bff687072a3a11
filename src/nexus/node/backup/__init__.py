"""The archive of a reign: what leaves for it, and a replica that begins with it."""
