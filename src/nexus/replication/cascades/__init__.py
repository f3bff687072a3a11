"""A replica that serves replicas."""
