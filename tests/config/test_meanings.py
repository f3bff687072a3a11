"""What each setting is for."""

import pytest

from nexus.config.loading import SETTINGS, load
from nexus.config.meanings import MEANINGS, default_of
from nexus.config.settings import Config


def test_every_setting_has_a_meaning_and_nothing_else_has() -> None:
    assert set(MEANINGS) == set(SETTINGS)


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("replication.heartbeat_ms", "5000"),
        ("data_dir", "nexus-data"),
        ("snapshot.max_size", "10GiB"),
        ("archive.retention_age", "7d"),
        ("replication.auto_failover", "true"),
        ("replication.peers", ""),
    ],
)
def test_a_default_is_told_as_one_writes_it(key: str, default: str) -> None:
    assert default_of(key) == default


def test_the_defaults_as_they_are_told_are_the_defaults() -> None:
    told = {
        SETTINGS[key].environment_name: default_of(key)
        for key in SETTINGS
        if default_of(key)
    }

    assert load(None, told, {}) == Config()
