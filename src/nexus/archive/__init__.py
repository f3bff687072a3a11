"""Snapshots and log entries outside the cluster: what lies where, and its way back."""
