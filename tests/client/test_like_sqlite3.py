"""Connections beside those of sqlite3: each behaviour on both, and one outcome."""

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import nexus
from client.behaviours import (
    QUERIES,
    SCHEMA,
    STATEMENTS,
    Behaviour,
    Side,
    after,
    kind_of,
)
from client.calls import CALLS, tried
from client.corners import CORNERS
from client.differences import ANNOUNCED, DIFFERENCES, VARIES
from nexus.client.converters import adapters, converters
from nexus.client.local import LocalSession
from nexus.client.remote import RemoteSession
from nexus.client.session import Session
from nexus.embedded.node import EmbeddedNode
from nexus.embedded.session import NodeSession

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{start}") for start in ANNOUNCED.values()
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNode]:
    directory = tmp_path_factory.mktemp("like-sqlite3")
    with nexus.open(directory, bind="127.0.0.1:0", http_addr="127.0.0.1:0") as node:
        yield node


ROOT = Path(__file__).parents[2]


class Kept(sqlite3.Connection):
    """One that can be referred to weakly, so that it is closed where nobody else is."""


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Side]:
    """Python's own, on a new file."""
    opened: weakref.WeakSet[Kept] = weakref.WeakSet()

    def connect(**options: Any) -> Kept:
        connection = Kept(tmp_path / "plain.db", **options)
        level, connection.isolation_level = connection.isolation_level, None
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma foreign_keys = on")
        connection.isolation_level = level
        opened.add(connection)
        return connection

    with closing(connect()) as connection:
        connection.executescript(SCHEMA)
        yield Side(sqlite3, connect)
    for each in list(opened):
        with suppress(sqlite3.Error):
            each.close()


def remote(node: EmbeddedNode) -> Session:
    """A session over the network."""
    return RemoteSession.open(f"nexus://{node.node._parts.address}", timeout_s=20)


def local(node: EmbeddedNode) -> Session:
    """A session that reads the file and writes over the network."""
    directory = node.node.config.data_dir
    return LocalSession(directory, lambda _: remote(node), timeout_s=20)


SESSIONS: dict[str, Callable[[EmbeddedNode], Session]] = {
    "in this process": lambda node: NodeSession(node.node),
    "a directory": local,
    "over the network": remote,
}


@pytest.fixture(params=SESSIONS)
def ours(node: EmbeddedNode, request: pytest.FixtureRequest) -> Iterator[Side]:
    """Nexus, on a node without any table but the one that the other has."""
    opened: list[Session] = []

    def connect(**options: Any) -> nexus.Connection:
        opened.append(SESSIONS[request.param](node))
        return nexus.Connection(opened[-1], **options)

    with closing(node.connect(isolation_level=None)) as connection:
        clear(connection)
        connection.executescript(SCHEMA)
    yield Side(nexus, connect)
    for each in opened:
        each.close()


def clear(connection: nexus.Connection) -> None:
    """Drop everything."""
    connection.execute("pragma foreign_keys = off")
    connection.execute("pragma user_version = 0")
    for kind, name in connection.execute(
        "select type, name from sqlite_schema where type in ('table', 'view') "
        "and name not like 'sqlite_%' and name not like 'nexus\\_%' escape '\\' "
        "order by sql not like 'create virtual%'"  # their own tables go with them
    ).fetchall():
        connection.execute(f'drop {kind} if exists "{name}"')
    connection.execute("pragma foreign_keys = on")


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """Adapters and converters that a behaviour adds are gone after it."""
    theirs = sqlite3.adapters, sqlite3.converters
    found: list[dict[Any, Any]] = [adapters, converters, *theirs]
    before = [dict(registry) for registry in found]
    yield
    for registry, kept in zip(found, before, strict=True):
        registry.clear()
        registry.update(kept)


def outcome(behaviour: Behaviour, side: Side) -> Any:
    """What it gives, in words that both libraries share; an error is its class."""
    try:
        return shared(behaviour(side))
    except Exception as error:  # noqa: BLE001 - its class is what is compared
        return kind_of(error)


def shared(value: Any) -> Any:
    """A value of which nothing is of one of the libraries alone."""
    if isinstance(value, list | tuple):
        return type(value)(map(shared, value))
    if isinstance(value, dict):
        return {shared(key): shared(each) for key, each in value.items()}
    if isinstance(value, type):
        return value.__name__
    if type(value).__module__ in ("sqlite3", *OURS):
        return type(value).__name__
    return value, type(value).__name__


OURS = ("nexus.client.row", "nexus.client.cursor", "nexus.client.connection")


def queried(sql: Any, parameters: Any) -> Behaviour:
    return lambda side: side.connect().execute(sql, parameters).fetchall()


def stated(texts: tuple[str, ...], **options: Any) -> Behaviour:
    return lambda side: after(side, texts, **options)


BEHAVIOURS: dict[str, Behaviour] = (
    {f"query: {name}": queried(*query) for name, query in QUERIES.items()}
    | {f"statements: {name}": stated(texts) for name, texts in STATEMENTS.items()}
    | {
        f"statements of no level: {name}": stated(texts, isolation_level=None)
        for name, texts in STATEMENTS.items()
    }
    | CALLS
    | CORNERS
)


ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) "
    "select count(*) from n"
)

NETWORK = "over the network"
TAKEN_AT_ONCE = {
    "a transaction that reads sees one state",
    "a deferred transaction that reads sees one state",
    "a change that comes too late has sqlites code",
}
"""Over the network a transaction has the writer from its first query: nobody can write
meanwhile."""


@pytest.mark.parametrize(
    ("ours", "name"),
    [
        (session, name)
        for session in SESSIONS
        for name in BEHAVIOURS
        if not (session == NETWORK and name in TAKEN_AT_ONCE)
    ],
    indirect=["ours"],
)
def test_a_connection_does_what_one_of_sqlite3_does(
    name: str, plain: Side, ours: Side
) -> None:
    assert outcome(BEHAVIOURS[name], ours) == outcome(BEHAVIOURS[name], plain)


@pytest.mark.parametrize("session", SESSIONS)
def test_closing_a_connection_ends_what_another_thread_runs(
    session: str, node: EmbeddedNode
) -> None:
    connection = nexus.Connection(SESSIONS[session](node), check_same_thread=False)
    begun, told = threading.Event(), []

    def run() -> None:
        begun.set()
        told.append(tried(lambda: connection.execute(ENDLESS)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(60)
    time.sleep(0.3)  # for the query to begin, mostly
    connection.close()
    thread.join(60)

    assert told in (["OperationalError"], ["ProgrammingError"])


def test_two_hundred_behaviours_are_compared() -> None:
    assert len(BEHAVIOURS) >= 200


@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_differs_does_so_as_it_is_documented(
    name: str, plain: Side, ours: Side
) -> None:
    behaviour, theirs, instead = DIFFERENCES[name]

    assert outcome(behaviour, plain) == shared(theirs)
    assert outcome(behaviour, ours) == shared(instead)
    assert f"| {name} |" in (ROOT / "docs/reference/python.md").read_text()


@pytest.mark.parametrize("name", VARIES)
def test_what_pythons_do_each_in_its_way_is_done_in_one_way(
    name: str, plain: Side, ours: Side
) -> None:
    behaviour, theirs, always = VARIES[name]

    assert outcome(behaviour, plain) in [shared(each) for each in theirs]
    assert outcome(behaviour, ours) == shared(always)
    assert f"| {name} |" in (ROOT / "docs/reference/python.md").read_text()


@pytest.mark.parametrize("words", ANNOUNCED)
def test_what_sqlite3_warns_of_is_documented(words: str) -> None:
    assert words in (ROOT / "docs/reference/python.md").read_text()
