"""A named database's node has the settings of its machine's, and a place of its own."""

from pathlib import Path

import pytest

from nexus.config import load
from nexus.config.databases import config_of
from nexus.errors import ConfigurationError

FLAGS = {"data_dir": "/data", "databases": "orders,users"}


def test_it_has_a_directory_and_keys_of_its_own_and_else_the_same() -> None:
    config = load(None, {}, FLAGS)

    named = config_of(config, "orders")

    assert named.data_dir == Path("/data/databases/orders")
    assert named.replication.etcd_prefix == "/nexus/databases/orders"
    assert named.databases == ()
    assert named.http_addr == config.http_addr
    assert named.replication.bind_addr == config.replication.bind_addr


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ("orders,orders", "databases = 'orders,orders' has a name twice"),
        ("../etc", "not valid"),
        ("Orders", "small letters"),
        ("-x", "small letters"),
        ("a/b", "small letters"),
        ("a" * 64, "at most 63"),
        ("a\n", "not valid|small letters"),
    ],
)
def test_a_name_that_is_none_stops_the_start(names: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        load(None, {}, {"databases": [names] if "\n" in names else names})
