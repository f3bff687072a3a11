"""Units, images and manifests, each judged by the tool of its kind."""

import json
import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from typing_extensions import override

from deploy.files import BIN, DEPLOY, content
from nexus.config.loading import SETTINGS

KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
COMPOSE = DEPLOY / "docker" / "compose.yaml"
MOST_EXPOSED = 20
"""Of systemd's score, in which 100 is no protection at all."""


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with an executable that there is on this machine."""
    made = []
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        text = unit.read_text(encoding="utf-8")
        assert "/opt/nexus/bin/nexus serve" in text
        name = unit.name.replace("@.", "@here.")
        (tmp_path / unit.name).write_text(
            text.replace("/opt/nexus/bin/nexus", str(BIN / "nexus")), encoding="utf-8"
        )
        made.append(tmp_path / name)
    return made


def test_systemd_finds_nothing_in_the_units(units: list[Path]) -> None:
    assert len(units) == 2
    assert content("systemd-analyze", "verify", "--man=no", *units) == ""


def test_the_units_are_locked_in(units: list[Path]) -> None:
    for unit in units:
        said = content(
            *("systemd-analyze", "security", "--offline=true", "--no-pager"),
            *(f"--threshold={MOST_EXPOSED}", unit),
        )
        assert "Overall exposure level" in said
        text = unit.with_name(unit.name.replace("@here", "@")).read_text()
        for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "Type=notify"):
            assert f"\n{line}\n" in text


def test_a_node_may_give_way_under_the_units() -> None:
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        lines = unit.read_text(encoding="utf-8").splitlines()
        filters = [line for line in lines if line.startswith("SystemCallFilter=")]
        assert "@resources" in filters[-2]  # and after it those that are used
        assert set(filters[-1].partition("=")[2].split()) == {
            "setpriority",
            "sched_setattr",
        }


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert content(BIN / "hadolint", DEPLOY / "docker" / "Dockerfile") == ""


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /tmp && sudo ls\n")

    with pytest.raises(AssertionError, match="DL3004"):
        content(BIN / "hadolint", tmp_path / "Dockerfile")


def test_compose_s_schema_takes_the_file() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    assert "ok" in content(BIN / "check-jsonschema", *schema, COMPOSE)


def test_the_manifests_are_what_kubernetes_takes() -> None:
    said = content(BIN / "kubernetes-validate", "--strict", *KUBERNETES)

    kinds = {
        *("statefulset/nexus", "poddisruptionbudget/nexus", "networkpolicy/nexus"),
        *("service/nexus-nodes", "service/nexus-master", "service/nexus-replicas"),
    }
    assert kinds <= set(said.split())


def test_every_file_of_yaml_is_tidy() -> None:
    rules = DEPLOY / ".yamllint"
    assert content(BIN / "yamllint", "--strict", "-c", rules, DEPLOY) == ""


def test_every_variable_that_a_file_sets_is_a_setting() -> None:
    known = {setting.environment_name for setting in SETTINGS.values()}
    files = [COMPOSE, *KUBERNETES, DEPLOY / "docker" / "Dockerfile"]
    files += sorted((DEPLOY / "systemd").iterdir())
    for file in files:
        text = file.read_text(encoding="utf-8")
        words = {
            word.strip("-'\":,;[]{}()=") for word in text.replace("=", " ").split()
        }
        named = {word for word in words if word.startswith("NEXUS_")}
        assert named <= known, file


class Stage(BaseHTTPRequestHandler):
    """A node that tells its role, and Kubernetes, which takes labels."""

    patched: ClassVar[queue.SimpleQueue[tuple[str, str, Any]]]

    def do_GET(self) -> None:
        body = json.dumps({"status": "ok", "role": "master"}).encode()
        self._answer(body)

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers["Authorization"]
        self.patched.put((self.path, token, json.loads(body)))
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def labeller(account: Path) -> str:
    """The program in the manifests, whose service account is this directory."""
    text = (DEPLOY / "kubernetes" / "label.yaml").read_text(encoding="utf-8")
    maps = [one for one in yaml.safe_load_all(text) if one["kind"] == "ConfigMap"]
    program: str = maps[0]["data"]["label.py"]
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert place in program
    return program.replace(place, str(account))


def test_a_pod_is_labelled_with_its_node_s_role(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "label.py").write_text(labeller(tmp_path))
    Stage.patched = queue.SimpleQueue()
    with ThreadingHTTPServer(("127.0.0.1", 0), Stage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        environment = {
            "NEXUS_HTTP_ADDR": address,
            "KUBERNETES": f"http://{address}",
            "NAMESPACE": "shop",
            "POD_NAME": "nexus-1",
        }
        command = [BIN / "python", tmp_path / "label.py"]
        with subprocess.Popen(command, env=environment) as process:
            told = Stage.patched.get(timeout=120)
            process.kill()
        server.shutdown()

    path = "/api/v1/namespaces/shop/pods/nexus-1"
    labels = {"metadata": {"labels": {"nexus-role": "master"}}}
    assert told == (path, "Bearer t0ken", labels)
