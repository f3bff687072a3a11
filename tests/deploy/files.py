"""What stands in deploy/, as the tests about it read it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from nexus.api.metrics.catalogue import FAMILIES, Kind

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
BIN = Path(sys.executable).parent
PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
}


def content(*command: object) -> str:
    """What a linter says; it must be content."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def samples() -> set[str]:
    """The name of every series that a node can have."""
    names = PROCESS | {"up"}
    for name, family in FAMILIES.items():
        ends = ("_bucket", "_sum", "_count") if family.kind is Kind.HISTOGRAM else ("",)
        names |= {name + end for end in ends}
    return names


def used_in(expression: str) -> set[str]:
    """The series that an expression reads."""
    named = r"\b(?:nexus_[a-z_]+|process_[a-z_]+|up(?=\{))\b"
    return set(re.findall(named, expression))


def rules() -> list[dict[str, Any]]:
    """Every rule of every group."""
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]
