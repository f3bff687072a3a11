"""The one writer: its jobs and batches, whose turn it is, the wait for a quorum."""
