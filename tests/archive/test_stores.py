"""What every store keeps to, whatever is behind it."""

from pathlib import Path

import pytest

from archive.keeping import keeper, rows_in
from nexus.archive.stores import Store
from nexus.errors import ArchiveIncompleteError

NAMES = ["c1/1-aa/b.entries", "c1/1-aa/a.entries", "c2/history.json"]


def test_what_was_put_is_there_and_what_was_deleted_is_gone(store: Store) -> None:
    assert list(store.list()) == []
    for name in NAMES:
        store.put(name, name.encode() * 3)

    assert store.get(NAMES[0]) == NAMES[0].encode() * 3
    assert sorted(store.list()) == sorted((n, 3 * len(n)) for n in NAMES)
    assert sorted(n for n, _ in store.list("c1")) == sorted(NAMES[:2])
    assert list(store.list("c3")) == []
    store.delete([NAMES[0], "c9/none"])
    store.delete([])
    assert sorted(n for n, _ in store.list()) == sorted(NAMES[1:])


def test_an_object_is_replaced_whole(store: Store) -> None:
    store.put(NAMES[0], b"first, and longer")
    store.put(NAMES[0], b"second")

    assert store.get(NAMES[0]) == b"second"
    assert list(store.list()) == [(NAMES[0], 6)]


def test_a_file_of_many_parts_arrives_as_it_was(store: Store, tmp_path: Path) -> None:
    data = bytes(range(256)) * 80_000
    (tmp_path / "large").write_bytes(data)

    store.put_file("c1/large", tmp_path / "large")

    assert b"".join(store.stream("c1/large")) == data
    assert list(store.list()) == [("c1/large", len(data))]


def test_an_object_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(ArchiveIncompleteError, match="has no object c1/none"):
        store.get("c1/none")
    with pytest.raises(ArchiveIncompleteError, match="has no object c1/none"):
        list(store.stream("c1/none"))


def test_a_moment_comes_back_from_any_store(store: Store, tmp_path: Path) -> None:
    with keeper(tmp_path, store) as master:
        master.snapshot()
        master.insert(5)
        master.carry()

        master.restored("copy")

        assert rows_in(tmp_path / "copy") == master.rows[master.last]
