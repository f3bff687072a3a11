"""A fresh name is nobody else's."""

from nexus.storage.identity import fresh_id


def test_a_fresh_id_is_no_other_ones() -> None:
    found = {fresh_id() for _ in range(100)}

    assert len(found) == 100
    assert all(len(name) == 16 for name in found)
