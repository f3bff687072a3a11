"""The shop: each sale is one transaction, sold once."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import apsw
import pytest

from cli.fake_nodes import FakeNode, Reply
from nexus.cli.demo.processes import CHINOOK
from nexus.cli.demo.seller import Shop, chinook_shop

COUNTS = {"results": [{"rows": [[59, 3503]]}]}
SOLD = {"offset": 77, "results": [{"last_insert_rowid": 413}]}


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with ExitStack() as stack:
        yield stack.enter_context(FakeNode())


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        pass


def test_the_shop_learns_from_the_master_what_there_is(node: FakeNode) -> None:
    node.on("POST /sql", COUNTS)

    sale = chinook_shop(node.url).sale()

    assert 0 <= sale["statements"][0]["params"]["customer"] < 59


def test_a_sale_is_an_invoice_with_lines_that_add_up() -> None:
    database = apsw.Connection(":memory:")
    source = apsw.Connection(str(CHINOOK), flags=apsw.SQLITE_OPEN_READONLY)
    with database.backup("main", source, "main") as backup:
        backup.step()
    source.close()
    shop = Shop("http://127.0.0.1:1", customers=59, tracks=3503)

    for statement in shop.sale()["statements"]:
        database.execute(statement["sql"], statement.get("params"))

    ((invoice, total),) = database.execute(
        "select max(InvoiceId), Total from Invoice"
    ).fetchall()
    ((lines, sum_of_lines),) = database.execute(
        "select count(*), sum(UnitPrice) from InvoiceLine where InvoiceId = ?",
        (invoice,),
    ).fetchall()
    assert invoice == 413
    assert lines in range(1, 7)
    assert sum_of_lines == pytest.approx(total)
    database.close()


def test_what_is_acknowledged_is_counted(node: FakeNode) -> None:
    node.on("POST /sql", SOLD)
    shop = Shop(node.url, customers=59, tracks=3503)

    with shop.open():
        until(lambda: shop.sold >= 10)

    assert shop.last_offset == 77
    assert shop.last_error == ""
    assert len({body["transaction_id"] for body in node.bodies("/sql")}) >= 10


def test_a_failed_sale_is_tried_again_under_its_own_id(node: FakeNode) -> None:
    refused: dict[Any, int] = {}

    def refuse_each_once(body: Any) -> Reply:
        times = refused[body["transaction_id"]] = (
            refused.get(body["transaction_id"], 0) + 1
        )
        return (503, {"detail": "no master"}) if times == 1 else (200, SOLD)

    node.on("POST /sql", refuse_each_once)
    shop = Shop(node.url, customers=59, tracks=3503)

    with shop.open():
        until(lambda: "no master" in shop.last_error)
        until(lambda: shop.sold >= 1)

    assert 2 in refused.values()
    assert set(refused.values()) <= {1, 2}


def test_where_one_node_fails_the_next_one_is_asked_for_the_same_sale(
    node: FakeNode,
) -> None:
    node.on("POST /sql", SOLD)
    with FakeNode() as dead:
        dead.on("POST /sql", lambda _: (503, {"detail": "no master"}))
        shop = Shop(dead.url, node.url, customers=59, tracks=3503)
        with shop.open():
            until(lambda: shop.sold >= 4)
        asked = {body["transaction_id"] for body in dead.bodies("/sql")}
    assert asked & {body["transaction_id"] for body in node.bodies("/sql")}
    assert shop.last_sale > 0


def test_each_acknowledged_sale_must_have_an_invoice_of_its_own(
    node: FakeNode,
) -> None:
    ids = deque([413, 414, 414])  # the tills ask at the same time

    def sold(_: Any) -> Reply:
        try:
            number = ids.popleft()
        except IndexError:
            return 503, {"detail": "no master"}
        return 200, SOLD | {"results": [{"last_insert_rowid": number}]}

    node.on("POST /sql", sold)
    shop = Shop(node.url, customers=59, tracks=3503)
    with shop.open():
        until(lambda: shop.sold == 3)

    assert shop.missing({412, 413, 414}) == 1
    assert shop.missing({412, 413}) == 2
