"""A node among voters: it forms a cluster with them, votes, or rests."""
