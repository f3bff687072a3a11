"""Run one node until a signal ends it."""

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
import uvloop

from nexus.api.server import HttpServer
from nexus.cli.descriptors import raise_limit
from nexus.cli.flags import with_setting_flags
from nexus.cli.options import AsJson
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import print_json_line
from nexus.config import Config, is_loopback, load
from nexus.config.advice import advice
from nexus.node.node import Node

SWITCH_INTERVAL_S: Final = 0.0005
STOP_TIMEOUT_S: Final = 15.0
"""A clean stop ends the batch at hand and closes the files; so long it may take."""

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@with_setting_flags
def serve(
    *,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="A TOML file.")
    ] = None,
    log_level: Annotated[
        str, typer.Option("--log-level", help=f"One of {', '.join(LEVELS)}.")
    ] = "info",
    as_json: AsJson = False,
    flags: dict[str, Any],
) -> None:
    """Run one node: flag over environment over file over default."""
    if log_level not in LEVELS:
        raise typer.BadParameter(f"--log-level is one of {', '.join(LEVELS)}")
    settings = load(config, os.environ, flags)
    configure_logs(LEVELS[log_level], as_json=as_json)
    _warn_of_exposure(settings)
    _warn_of_quorum(settings)
    raise_limit()
    # The writer's thread and the event loop share the interpreter's lock. With the
    # default of 5 ms the loop, woken by every group commit, waits that long for it.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What is loaded by now stays: to look through it in each full collection takes
    # 13 ms, for which every request waits.
    gc.freeze()
    uvloop.run(serve_until_signalled(settings, as_json=as_json))


async def serve_until_signalled(config: Config, *, as_json: bool) -> None:
    """Start the node and its API, tell where they are, stop both on a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = Node(config)
    if node.papers.credentials is not None:
        loop.add_signal_handler(signal.SIGHUP, node.papers.credentials.look_now)
    server = HttpServer(node)
    await server.bind()
    node.http_addr = server.address
    try:
        await node.start()
        try:
            async with server:
                _tell(node, server.url, as_json=as_json)
                await stop.wait()
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


def configure_logs(level: int, *, as_json: bool) -> None:
    """Logs go to standard error: for people, or one JSON object a line."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=max(level, logging.WARNING))


def _warn_of_exposure(config: Config) -> None:
    addresses = [config.http_addr, config.replication.bind_addr]
    exposed = [address for address in addresses if not is_loopback(address)]
    if exposed and not config.cluster_secret:
        structlog.get_logger().warning(
            "INSECURE: anybody who reaches these addresses can read and write "
            "everything; set NEXUS_CLUSTER_SECRET",
            addresses=exposed,
        )


def _warn_of_quorum(config: Config) -> None:
    for warning in advice(config):
        structlog.get_logger().warning(warning)


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
