"""A voting node: what votes make of it, whom the log names, what a witness lends."""
