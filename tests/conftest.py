"""What all tests share: a CA, and how hard hypothesis tries.

`ci` repeats the same examples each time; `explore` takes fresh ones: those of the seed
that `make fuzz` shows. HYPOTHESIS_PROFILE chooses; the default is `ci`.
"""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from certificates import Office

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "explore",
    # Hypothesis itself would repeat itself wherever CI is set.
    derandomize=False,
    deadline=None,
    max_examples=1000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """A CA of this test alone."""
    return Office.opened(tmp_path / "tls")


def pytest_collection_finish() -> None:
    """Leave what was collected out of every garbage collection.

    Half a million objects take a third of a second, in which the nodes of this process
    hear no heartbeat.
    """
    gc.collect()
    gc.freeze()
