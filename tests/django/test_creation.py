"""Test databases live on a node of their own."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connections

import nexus


def test_a_test_database_goes_with_its_node(wrapper: Any) -> None:
    first = wrapper.settings_dict["NAME"]
    other = connections["replica"].creation

    second = other._create_test_db(0, autoclobber=True)
    assert Path(second).is_dir()
    assert second != first
    connection = other.open(second)
    connection.execute("create table t(a)")
    connection.close()

    other._destroy_test_db(second, 0)
    assert not Path(second).exists()
    assert other._get_test_db_name() != second
    Path(other._get_test_db_name()).rmdir()


def test_what_is_no_test_database_is_connected_to(
    wrapper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(nexus, "connect", lambda *args, **kw: asked.append((args, kw)))

    wrapper.creation.open("nexus://a", detect_types=3)

    assert asked == [(("nexus://a",), {"detect_types": 3})]


def test_aliases_of_one_cluster_share_a_test_database(wrapper: Any) -> None:
    other = connections["replica"].creation

    assert wrapper.creation.test_db_signature() != other.test_db_signature()
    assert wrapper.creation.test_db_signature() == (wrapper.settings_dict["NAME"],)
