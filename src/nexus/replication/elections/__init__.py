"""Who reigns where voters decide: suspicion, votes, and the first forming."""
