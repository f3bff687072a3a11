"""Calls about snapshots: make one, list them, download one."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from nexus.api.answers import Empty, Snapshot, Snapshots
from nexus.api.calls import (
    Answer,
    Call,
    Context,
    Parameter,
    json_response,
    read_body,
    reading,
)
from nexus.api.refusals import RangeError
from nexus.api.streams import file_response
from nexus.errors import DiskFullError, NoDatabaseError, NotFoundError, WrongRoleError
from nexus.model.cluster import ArchiveStatus

ARCHIVE: Final = "application/zstd"


async def _make(context: Context, request: Request) -> Response:
    await read_body(context, request, Empty)
    return json_response(Snapshot.of(await context.node.make_snapshot()))


async def _latest(context: Context, _request: Request) -> Response:
    info = await asyncio.to_thread(context.node.snapshots.latest)
    if info is None:
        raise NotFoundError(
            "this node has no snapshot; POST /replication/snapshot makes one"
        )
    return json_response(Snapshot.of(info))


async def _list(context: Context, _request: Request) -> Response:
    found = await asyncio.to_thread(lambda: list(context.node.snapshots.list()))
    return json_response(Snapshots([Snapshot.of(info) for info in found]))


async def _archive(context: Context, request: Request) -> Response:
    store, snapshot_id = context.node.snapshots, request.path_params["id"]
    info = await asyncio.to_thread(store.get, snapshot_id)
    path = await asyncio.to_thread(store.path, snapshot_id)
    etag = f"{info.id}-{info.checksum}"
    wanted = request.headers.get("range")
    if request.headers.get("if-range", f'"{etag}"') != f'"{etag}"':
        wanted = None
    try:
        return await file_response(path, media_type=ARCHIVE, etag=etag, wanted=wanted)
    except FileNotFoundError:
        raise NotFoundError(
            f"snapshot {snapshot_id} was dropped for a newer one just now"
        ) from None


async def _archive_now(context: Context, request: Request) -> Response:
    await read_body(context, request, Empty)
    return json_response(context.node.archive_now())


CALLS: Final = (
    Call(
        "POST",
        "/replication/archive",
        "archive_now",
        "Archive a snapshot soon; GET /replication/status tells when it is there.",
        {200: Answer("How the archive stood before.", ArchiveStatus)},
        _archive_now,
        body=Empty,
        problems=(WrongRoleError,),
    ),
    Call(
        "POST",
        "/replication/snapshot",
        "make_snapshot",
        "Make a snapshot while writes go on.",
        {200: Answer("What was made.", Snapshot)},
        _make,
        body=Empty,
        problems=(DiskFullError, NoDatabaseError),
    ),
    reading(
        "/replication/snapshot",
        "latest_snapshot",
        "The last snapshot.",
        {200: Answer("What is known of it.", Snapshot)},
        _latest,
        problems=(NotFoundError,),
    ),
    reading(
        "/replication/snapshots",
        "snapshots",
        "All snapshots, oldest first.",
        {200: Answer("What is known of each.", Snapshots)},
        _list,
    ),
    reading(
        "/replication/snapshots/{id}",
        "snapshot_archive",
        "The archive itself (tar.zst), whole or one range of its bytes.",
        {
            200: Answer("The archive.", media_type=ARCHIVE),
            206: Answer("The range asked for.", media_type=ARCHIVE),
        },
        _archive,
        parameters=(Parameter("id", "path", {"type": "string"}, "The snapshot's id."),),
        problems=(NotFoundError, RangeError),
    ),
)
