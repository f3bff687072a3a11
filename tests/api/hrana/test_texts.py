import pytest

from nexus.api.hrana import texts
from nexus.api.hrana.texts import Shelf, Texts
from nexus.api.refusals import SqlTextError, TooManyStreamsError


def test_a_text_is_found_by_its_id_until_it_is_forgotten() -> None:
    stored = Texts(Shelf())
    stored.store(-7, "select 1")
    assert stored.text(None, -7) == "select 1"
    assert stored.text("select 2", None) == "select 2"
    stored.forget(-7)
    stored.forget(-7)

    with pytest.raises(SqlTextError, match="no text is stored as -7"):
        stored.text(None, -7)


def test_an_id_is_taken_once_and_just_one_of_both_is_sent() -> None:
    stored = Texts(Shelf())
    stored.store(0, "x")

    with pytest.raises(SqlTextError, match="already"):
        stored.store(0, "y")
    for sql, sql_id in ((None, None), ("x", 0)):
        with pytest.raises(SqlTextError, match="either"):
            stored.text(sql, sql_id)


def test_all_streams_share_what_may_be_stored() -> None:
    shelf = Shelf(most_bytes=10)
    one, other = Texts(shelf), Texts(shelf)
    one.store(1, "\N{EURO SIGN}" * 2 + "xx")  # eight bytes
    with pytest.raises(TooManyStreamsError, match="10 bytes"):
        other.store(1, "xxx")
    one.close()
    other.store(1, "xxx")

    assert shelf.held_bytes == 3


def test_one_stream_stores_no_more_than_a_thousand() -> None:
    stored = Texts(Shelf())
    for number in range(texts.MOST_TEXTS):
        stored.store(number, "")

    with pytest.raises(SqlTextError, match="close some"):
        stored.store(-1, "")
