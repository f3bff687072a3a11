"""The FastAPI example, as its README runs it: a server, a master, and its loss."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from e2e.cluster import Cluster, NodeProcess, free_port, wait_until

APP = Path(__file__).parents[2] / "examples" / "fastapi_app"


@contextmanager
def served(directory: Path, nodes: list[NodeProcess]) -> Iterator[httpx.Client]:
    """The application on uvicorn, in a process of its own."""
    port = free_port()
    environment = {
        "NOTES_NODES": ",".join(node.url for node in nodes),
        "NOTES_MASTER_ADDR": nodes[0].address,
        "NOTES_DATA": str(directory / "notes-data"),
    }
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
    log = (directory / "app.log").open("wb")
    with (
        log,
        subprocess.Popen(
            command, cwd=APP, env=os.environ | environment, stdout=log, stderr=log
        ) as process,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False
        ) as client,
    ):
        try:
            wait_until(lambda: client.get("/openapi.json").is_success, "it serves")
            yield client
            process.terminate()
            assert process.wait(120) in (0, -15)
        except BaseException as error:
            error.add_note((directory / "app.log").read_text())
            raise
        finally:
            process.kill()


@pytest.mark.timeout(120)
def test_a_visitor_sees_his_own_notes_at_once_and_reads_while_the_master_is_gone(
    tmp_path: Path,
) -> None:
    with (
        closing(Cluster(tmp_path)) as cluster,
        served(tmp_path, [master := cluster.master()]) as client,
    ):
        early = client.get("/notes")
        for number in range(20):
            added = client.post("/notes", json={"text": f"note {number}"})
            assert (added.status_code, added.json()["id"]) == (201, number + 1)
            # Each read is the visitor's next request, with the cookie of his write.
            assert client.get("/notes").json()[-1]["text"] == f"note {number}"

        live: list[str] = []

        def follow() -> None:
            with client.stream("GET", "/notes/live", params={"limit": 1}) as answer:
                live.extend(answer.iter_lines())

        follower = threading.Thread(target=follow)
        follower.start()
        while follower.is_alive():
            client.post("/notes", json={"text": "live"})
            follower.join(0.05)
        master.kill()

        assert early.status_code == 503
        assert json.loads(live[0])["text"] == "live"
        assert len(client.get("/notes").json()) > 20
        refused = client.post("/notes", json={"text": "lost"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        client.cookies.set("seen", "999999")
        assert client.get("/notes").status_code == 503
