"""Run one node until a signal ends it."""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
import uvloop
from structlog.contextvars import get_contextvars

from nexus.api.server import HttpServer
from nexus.cli.descriptors import raise_limit
from nexus.cli.flags import with_setting_flags
from nexus.cli.logs import configure_logs, nowhere
from nexus.cli.notify import notify
from nexus.cli.options import AsJson
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import print_json_line
from nexus.config import Config, is_loopback, load
from nexus.config.advice import advice
from nexus.errors import NodeStoppedError
from nexus.node.node import Node

SWITCH_INTERVAL_S: Final = 0.0005
"""So long a thread waits at most for another one that has the interpreter."""
STOP_TIMEOUT_S: Final = 15.0
"""A clean stop ends the batch at hand and closes the files; so long it may take."""

log = structlog.get_logger(__name__)


@with_setting_flags
def serve(
    *,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A TOML file.")
    ] = None,
    as_json: AsJson = False,
    flags: dict[str, Any],
) -> None:
    """Run one node: flag over environment over file over default."""
    settings = load(config, os.environ, flags)
    configure_logs(settings.log, as_json=as_json, place=nowhere)
    _warn_of_exposure(settings)
    _warn_of_quorum(settings)
    raise_limit()
    # The writer's thread and the event loop share the interpreter's lock. With the
    # default of 5 ms the loop, woken by every group commit, waits that long for it.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What is loaded by now stays: to look through it in each full collection takes
    # 13 ms, for which every request waits.
    gc.freeze()
    uvloop.run(_serve_until_signalled(settings, as_json=as_json))


async def _serve_until_signalled(config: Config, *, as_json: bool) -> None:
    """Start the node and its API, tell where they are, stop both on a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = Node(config)
    configure_logs(config.log, as_json=as_json, place=lambda: whereabouts(node))
    if node.security.credentials is not None:
        loop.add_signal_handler(signal.SIGHUP, node.security.credentials.look_now)
    server = HttpServer(node)
    await server.bind()
    node.http_addr = server.address
    try:
        await node.start()
        try:
            async with server:
                _tell(node, server.url, as_json=as_json)
                notify("READY=1")
                await stop.wait()
                notify("STOPPING=1")
        finally:
            await _stop(node)
    finally:
        await server.stop()


async def _stop(node: Node) -> None:
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await node.stop()
    except TimeoutError:
        raise NotDoneError(
            f"the node did not stop within {STOP_TIMEOUT_S:.0f} s; what was "
            "acknowledged is durable, and the next start recovers the rest"
        ) from None


def _warn_of_exposure(config: Config) -> None:
    addresses = [config.http_addr, config.replication.bind_addr]
    exposed = [address for address in addresses if not is_loopback(address)]
    if exposed and not config.cluster_secret:
        log.warning(
            "insecure",
            detail="INSECURE: anybody who reaches these addresses can read and write "
            "everything; set NEXUS_CLUSTER_SECRET",
            addresses=exposed,
        )


def _warn_of_quorum(config: Config) -> None:
    for warning in advice(config):
        log.warning("configuration_advice", detail=warning)


def whereabouts(node: Node) -> dict[str, Any]:
    """Which node a line is from, and where it stood; any thread may ask."""
    try:
        node_id = node.node_id
    except NodeStoppedError:
        return {}
    database = get_contextvars().get("database")
    meant = node if database is None else node.named.get(database)
    if meant is None:  # it is opened just now
        return {"node": node_id}
    epoch, offset = meant.events.place
    return {"node": node_id, "epoch": epoch, "offset": offset}


def _tell(node: Node, url: str, *, as_json: bool) -> None:
    config = node.config
    role = str(node.status().role)
    if as_json:
        print_json_line(
            {
                "role": role,
                "node_id": node.node_id,
                "http_url": url,
                "bind_addr": config.replication.bind_addr,
                "data_dir": str(config.data_dir),
                "pid": os.getpid(),
            }
        )
        return
    print(
        f"nexus {role} {node.node_id} · {url} · replication "
        f"{config.replication.bind_addr} · data {config.data_dir}",
        flush=True,
    )
