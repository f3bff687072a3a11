"""One frozen class per message between a client and a node.

They share frames, codec and port with the messages between nodes. A request carries an
id of its client's choice, and so does every answer to it: many may be under way at
once. Values are SQLite's five types as MessagePack has them: nil, int, float, str, bin.
"""

from typing import Any, Final

import msgspec

from nexus.model.cluster import NodeId, Outcome
from nexus.model.position import Epoch, HistoryId, Natural, Offset

CALLS_LEAST: Final = 1
CALLS_MOST: Final = 1
"""The protocol versions of clients that this code speaks."""

Value = Any
"""What one cell or parameter holds: int, float, str, bytes or None.

What is none of these is for SQLite to refuse, by the parameter's place.
"""

ALONE: Final = 0
"""In `within`: outside of any interactive transaction."""


class Attach(msgspec.Struct, frozen=True, array_like=True):
    """A client introduces itself; it waits for the answer before it asks anything."""

    calls_least: Natural
    calls_most: Natural
    client: str = ""
    """What it calls itself, for the node's log."""
    cluster_id: str = ""
    """The cluster that it means; empty: whichever this is."""
    features: tuple[str, ...] = ()
    nonce: bytes = b""
    auth: bytes = b""
    """HMAC-SHA256 over the Challenge's nonce and this message, if there is a secret."""


class Attached(msgspec.Struct, frozen=True, array_like=True):
    """The node takes the client, and says what it is just now."""

    calls: Natural
    """The protocol version that both speak from now on."""
    node_id: NodeId
    cluster_id: str
    role: str
    epoch: Epoch
    master_addr: str
    """Where the master is, as far as this node knows; its own address if it is one."""
    http_url: str
    applied_offset: Offset
    idle_limit_ms: Natural
    """A transaction that its client leaves idle for longer is rolled back."""
    features: tuple[str, ...] = ()
    auth: bytes = b""


class Query(msgspec.Struct, frozen=True, array_like=True):
    """One SQL statement, with its parameters by place or by name."""

    sql: str
    params: list[Value] | dict[str, Value] = []
    many: list[list[Value]] | None = None
    """Run it once for each of these instead."""


class Execute(msgspec.Struct, frozen=True, array_like=True):
    """Run statements; answered with Rows where there are any, then Done, or Failed."""

    request_id: Natural
    queries: tuple[Query, ...]
    within: Natural = ALONE
    """The interactive transaction that they belong to: the id of its Begin."""
    transaction_id: str = ""
    """Idempotency key of a write outside of one: a retry is not done twice."""
    min_offset: Offset = Offset(0)
    """Answer from a state that holds at least this entry."""
    fetch_rows: Natural = 0
    """Rows of one piece at most; 0: as many as the node likes to send."""
    foreign_keys: bool = True
    """False: without enforcement; outside of an interactive transaction only."""
    strong: bool = False
    """A query sees every write that was acknowledged before it."""


class Begin(msgspec.Struct, frozen=True, array_like=True):
    """Take the writer for a transaction of several requests; answered with Done."""

    request_id: Natural
    transaction_id: str = ""
    """Under this id Recall tells what became of it."""
    foreign_keys: bool = True


class Commit(msgspec.Struct, frozen=True, array_like=True):
    """Commit the interactive transaction; Done says that it is durable."""

    request_id: Natural
    within: Natural


class Rollback(msgspec.Struct, frozen=True, array_like=True):
    """Take the interactive transaction back; answered with Done."""

    request_id: Natural
    within: Natural


class Recall(msgspec.Struct, frozen=True, array_like=True):
    """Ask the master what became of a transaction id; Done tells its offset."""

    # 0 if there is none. Asked behind all that waits for the writer, so it is final.

    request_id: Natural
    transaction_id: str


class Fetch(msgspec.Struct, frozen=True, array_like=True):
    """The client has read a piece of rows and wants the next."""

    request_id: Natural
    """Of the Execute whose Rows said that there are more."""
    rows: Natural = 0


class Cancel(msgspec.Struct, frozen=True, array_like=True):
    """Interrupt a request that runs, or drop the rows that are left of it."""

    request_id: Natural


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """A piece of what one query gave; behind the last one comes Done."""

    request_id: Natural
    index: Natural
    """Of the query in its request, from 0."""
    columns: tuple[str, ...]
    """The names; empty in all pieces of a query but its first."""
    rows: list[tuple[Value, ...]]
    more: bool = False
    """Nothing else comes before a Fetch."""
    decltypes: tuple[str | None, ...] = ()
    """The columns' declared types, beside their names."""


class Done(msgspec.Struct, frozen=True, array_like=True):
    """A request is done; where it wrote, that is as durable as the mode promises."""

    request_id: Natural
    counts: tuple[tuple[int, int], ...] = ()
    """Of each query: rows affected (-1 where SQLite does not count), last rowid."""
    offset: Offset = Offset(0)
    """Where the write stands in the log; 0 where nothing was written."""
    epoch: Epoch = Epoch(0)
    history_id: HistoryId = HistoryId("")
    outcome: Outcome = Outcome.COMMITTED
    durable_on: Natural = 1
    """On how many nodes it is known to be durable."""


class Failed(msgspec.Struct, frozen=True, array_like=True):
    """A request came to nothing, or to an unknown end: `code` says which."""

    request_id: Natural
    code: str
    """As in the reference of errors."""
    message: str
    details: dict[str, int | str] = {}
    """What else the error tells, by the name of its attribute."""
    ended: bool = False
    """The interactive transaction that it was meant for stands no more."""


Call = (
    Attach
    | Attached
    | Execute
    | Begin
    | Commit
    | Rollback
    | Recall
    | Fetch
    | Cancel
    | Rows
    | Done
    | Failed
)
