"""Names that nobody else has: of nodes, clusters and histories."""

import uuid


def fresh_id() -> str:
    """16 random hex digits: 62 bits."""
    return uuid.uuid4().hex[:16]
