"""`nexus demo`: a cluster of real processes on this machine, selling music."""
