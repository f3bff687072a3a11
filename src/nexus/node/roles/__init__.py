"""What a node is: a follower or a master, and the way from one to the other."""
