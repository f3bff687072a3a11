"""A shop that sells tracks: one invoice with its lines is one transaction."""

import random
import threading
import time
import uuid
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from nexus.cli.remote import CALL_ERRORS, Remote

TILLS: Final = 4
"""Clients that sell at the same time; the master groups their commits."""

PAUSE_S: Final = 0.002
"""Between two sales of one till: leaves the machine to its owner."""

RETRY_S: Final = 0.05
MOST_TRACKS: Final = 6

INVOICE: Final = """\
insert into Invoice (CustomerId, InvoiceDate, BillingAddress, BillingCity, BillingState,
  BillingCountry, BillingPostalCode, Total)
select CustomerId, :now, Address, City, State, Country, PostalCode, 0
from Customer order by CustomerId limit 1 offset :customer"""
LINES: Final = """\
insert into InvoiceLine (InvoiceId, TrackId, UnitPrice, Quantity)
select (select max(InvoiceId) from Invoice), TrackId, UnitPrice, 1
from Track where TrackId in (:t0, :t1, :t2, :t3, :t4, :t5)"""
TOTAL: Final = """\
update Invoice set Total =
  (select sum(UnitPrice * Quantity) from InvoiceLine
   where InvoiceLine.InvoiceId = Invoice.InvoiceId)
where InvoiceId = (select max(InvoiceId) from Invoice)"""


class Shop:
    """Sells until closed, at whichever node answers; counts what was acknowledged."""

    def __init__(self, *urls: str, customers: int, tracks: int) -> None:
        self._urls = urls
        self._customers = customers
        self._tracks = tracks
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._sold = array("q")
        self._last_offset = 0
        self._last_sale = 0.0
        self._last_error = ""

    @property
    def sold(self) -> int:
        """Invoices that were acknowledged."""
        return len(self._sold)

    def missing(self, invoices: set[int]) -> int:
        """How many acknowledged sales have no invoice of their own among these ids.

        Two sales under one id are one too few: who wrote the first has lost it.
        """
        return self.sold - len(invoices.intersection(self._sold))

    @property
    def last_offset(self) -> int:
        """The highest offset that was acknowledged."""
        return self._last_offset

    @property
    def last_sale(self) -> float:
        """When the last one was acknowledged, on the monotonic clock."""
        return self._last_sale

    @property
    def last_error(self) -> str:
        """Why the last attempt failed; empty after a success."""
        return self._last_error

    @contextmanager
    def open(self) -> Iterator["Shop"]:
        """Sell in the background while the block runs."""
        tills = [threading.Thread(target=self._sell) for _ in range(TILLS)]
        for till in tills:
            till.start()
        try:
            yield self
        finally:
            self._closing.set()
            for till in tills:
                till.join()

    def sale(self) -> dict[str, Any]:
        """The request of one sale."""
        chosen = random.choices(range(1, self._tracks + 1), k=MOST_TRACKS)  # noqa: S311 - a lottery of tracks
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        customer = random.randrange(self._customers)  # noqa: S311 - not a secret
        return {
            "statements": [
                {"sql": INVOICE, "params": {"now": now, "customer": customer}},
                {"sql": LINES, "params": {f"t{i}": t for i, t in enumerate(chosen)}},
                {"sql": TOTAL},
            ],
            # A retry under the same id is not sold twice.
            "transaction_id": str(uuid.uuid4()),
        }

    def _sell(self) -> None:
        with ExitStack() as stack:
            nodes = deque(stack.enter_context(Remote(url)) for url in self._urls)
            while not self._closing.is_set():
                self._sell_one(nodes, self.sale())
                time.sleep(PAUSE_S)

    def _sell_one(self, nodes: deque[Remote], sale: dict[str, Any]) -> None:
        """Sell at the first node; the next one is asked where that fails."""
        while not self._closing.is_set():
            try:
                answer = nodes[0].post("/sql", sale)
            except CALL_ERRORS as error:
                self._last_error = str(error)
                nodes.rotate(-1)
                self._closing.wait(RETRY_S)
            else:
                with self._lock:
                    self._sold.append(answer["results"][0]["last_insert_rowid"])
                    self._last_offset = max(self._last_offset, answer["offset"])
                    self._last_sale = time.monotonic()
                    self._last_error = ""
                return


def chinook_shop(*urls: str) -> Shop:
    """A shop over the Chinook that stands at these nodes, at the first one first."""
    counts = "select (select count(*) from Customer), (select max(TrackId) from Track)"
    with Remote(urls[0]) as remote:
        answer = remote.post("/sql", {"statements": [{"sql": counts}]})
    customers, tracks = answer["results"][0]["rows"][0]
    return Shop(*urls, customers=customers, tracks=tracks)
