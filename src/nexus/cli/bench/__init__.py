"""`nexus bench`: what is fast enough, measured as ratios on this machine."""
