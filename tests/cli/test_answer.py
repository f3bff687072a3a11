"""What SQL gave."""

import msgspec

from nexus.cli.answer import Answer, Rows


def test_what_a_node_answers_is_an_answer_whatever_is_left_out() -> None:
    told = {"results": [{"columns": ["a"], "rows": [[1]], "rows_affected": 0}]}

    found = msgspec.convert(told, Answer)

    assert found == Answer([Rows(("a",), [(1,)])])
    assert found.offset == 0
