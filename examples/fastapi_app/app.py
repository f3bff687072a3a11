"""Notes: a web application that reads from a replica in its own process.

Reads are local calls into SQLite, and go on while the master is away. Writes go to the
cluster. A visitor always sees what he has written: his browser keeps the offset of his
last write, and the replica is waited for until it has come that far.
"""

import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Annotated, Any

import anyio
import httpx
from fastapi import Cookie, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

import nexus

NODES = os.environ.get("NOTES_NODES", "http://127.0.0.1:15474").split(",")
"""HTTP addresses of the cluster: who is no master passes a write on to it."""
MASTER = os.environ.get("NOTES_MASTER_ADDR", "127.0.0.1:15475")
"""Where the replica in this process finds its master the first time."""
DATA = os.environ.get("NOTES_DATA", "notes-data")
"""The replica's own directory. One process owns it: run one worker for each."""

PATIENCE_S = 2.0
"""How long a visitor waits for his own write."""
TRIES = 5


class NewNote(BaseModel):
    """What a visitor writes."""

    text: str


class Note(NewNote):
    """What the database keeps of it."""

    id: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The replica lives as long as the application."""
    replica = await anyio.to_thread.run_sync(
        lambda: nexus.open(DATA, role="replica", bind="127.0.0.1:0", master=MASTER)
    )
    app.state.replica = replica
    app.state.client = httpx.Client(timeout=10.0)
    try:
        yield
    finally:
        app.state.client.close()
        await anyio.to_thread.run_sync(replica.close)


app = FastAPI(title="Notes", lifespan=lifespan)


def replica_of(request: Request) -> nexus.EmbeddedNode:
    """This process's replica."""
    replica: nexus.EmbeddedNode = request.app.state.replica
    return replica


Replica = Annotated[nexus.EmbeddedNode, Depends(replica_of)]


def reader_of(
    replica: Replica, seen: Annotated[int, Cookie()] = 0
) -> Iterator[nexus.Connection]:
    """A connection to this process's replica that sees what its visitor has written."""
    try:
        replica.wait_for(seen, timeout=PATIENCE_S)
    except TimeoutError:
        raise HTTPException(503, "behind its master", {"Retry-After": "1"}) from None
    # Its thread may change between two steps of one request.
    with closing(replica.connect(check_same_thread=False)) as connection:
        yield connection


Reader = Annotated[nexus.Connection, Depends(reader_of)]


def write(client: httpx.Client, *statements: dict[str, Any]) -> dict[str, Any]:
    """Run a transaction on whichever node is there, and only once.

    The id makes a second try safe: what was done already is not done again.
    """
    body = {"statements": statements, "transaction_id": uuid.uuid4().hex}
    for attempt in range(TRIES):
        for url in NODES:
            try:
                answer = client.post(f"{url}/sql", json=body)
            except httpx.TransportError:
                continue
            if answer.is_success:
                told: dict[str, Any] = answer.json()
                return told
            if answer.is_client_error:
                raise HTTPException(answer.status_code, answer.json()["detail"])
        time.sleep(0.2 * 2**attempt)
    raise HTTPException(503, "no node takes writes just now", {"Retry-After": "1"})


@app.post("/notes", status_code=201)
def add_note(note: NewNote, request: Request, response: Response) -> Note:
    """Write a note; its visitor carries away where it stands in the log."""
    told = write(
        request.app.state.client,
        {"sql": "create table if not exists notes(id integer primary key, text)"},
        {"sql": "insert into notes(text) values (?)", "params": [note.text]},
    )
    response.set_cookie("seen", str(told["offset"]), httponly=True, samesite="lax")
    return Note(id=told["results"][-1]["last_insert_rowid"], text=note.text)


@app.get("/notes")
def list_notes(reader: Reader) -> list[Note]:
    """All notes, from this process's own copy."""
    rows = reader.execute("select id, text from notes order by id")
    return [Note(id=note_id, text=text) for note_id, text in rows]


@app.get("/notes/live")
def follow_notes(replica: Replica, limit: int = 100) -> StreamingResponse:
    """Notes as they are written anywhere in the cluster, one a line."""

    def lines() -> Iterator[str]:
        with closing(replica.connect(check_same_thread=False)) as connection:
            for change in connection.changes(tables=["notes"], limit=limit):
                if change.op == "insert":
                    yield Note.model_validate(change.new).model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@app.exception_handler(nexus.OperationalError)
def not_yet(_request: Request, error: nexus.OperationalError) -> Response:
    """Before the first note there is no table, and no database before any entry."""
    return Response(str(error), status_code=503, headers={"Retry-After": "1"})
