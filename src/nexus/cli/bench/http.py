"""Single inserts over HTTP, driven by wrk: on the master, and through a replica."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from nexus.cli.bench.bed import INSERT, SCHEMA, TEXT, Bed
from nexus.cli.bench.report import Measured
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote

CONNECTIONS: Final = 64
GET_WRK: Final = "wrk is missing: apt install wrk, or brew install wrk"
EXTRA_TIMEOUT_S: Final = 30

SCRIPT: Final = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `http`."""
    wrk = shutil.which("wrk")
    if wrk is None:
        missing = Measured(None, GET_WRK)
        return {"http": missing, "http-forwarded": missing}
    master = NodeProcess("master", bed.root, master=None)
    replica = NodeProcess("replica", bed.root, master=master)
    try:
        await up(master)
        await asyncio.to_thread(make_table, master.url)
        bed.tell("POST /sql with wrk")
        direct = await drive(bed, wrk, master.url)
        await up(replica)
        bed.tell("POST /sql to a replica with wrk")
        forwarded = await drive(bed, wrk, replica.url)
    finally:
        stop_all([master, replica])
    return {"http": direct, "http-forwarded": forwarded}


async def up(node: NodeProcess) -> None:
    """Start it, and return once it answers."""
    node.start()
    await asyncio.to_thread(node.wait_until_up)


def make_table(url: str) -> None:
    """The benchmark's table."""
    with Remote(url) as remote:
        remote.post("/sql", {"statements": [{"sql": SCHEMA}]})


async def drive(bed: Bed, wrk: str, url: str) -> Measured:
    """Inserts in a second, by wrk; raises NotDoneError."""
    script = bed.root / "insert.lua"
    script.write_text(lua(), encoding="utf-8")
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{bed.scale.http_s}s"]
    return await asyncio.to_thread(
        _run, [*command, "-s", str(script), f"{url}/sql"], bed.root, bed.scale.http_s
    )


def lua() -> str:
    """What wrk sends: one insert a request."""
    statement = {"sql": INSERT, "params": [1, TEXT]}
    body = msgspec.json.encode({"statements": [statement]}).decode()
    return SCRIPT.format(body=body)


def _run(command: list[str], directory: Path, duration_s: int) -> Measured:
    done = subprocess.run(  # noqa: S603 - our own command line
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=duration_s + EXTRA_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise NotDoneError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    return told(done.stdout)


def told(output: str) -> Measured:
    """What wrk's last line says; answers that are no 200 count for nothing."""
    found = re.search(r"RESULT (\d+) (\d+) (\d+)", output)
    if found is None:
        raise NotDoneError(f"wrk told no result: {output.strip()[-200:]}")
    requests, duration_us, failed = (int(number) for number in found.groups())
    rate = (requests - failed) / (duration_us / 1e6)
    return Measured(rate, f"{requests:,} requests, {failed:,} failed")
