"""Which seeds the random runs of machines have: the usual, or a campaign's."""

import os
from typing import Final

FIRST: Final = int(os.environ.get("MACHINE_SEED", "0"))


def seeds(usually: int) -> range:
    """So many, from MACHINE_SEED on; MACHINE_RUNS asks for more."""
    return range(FIRST, FIRST + int(os.environ.get("MACHINE_RUNS", usually)))
