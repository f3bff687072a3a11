"""What is found in a database that is to be a node's."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found, about one table or object."""

    level: Literal["ok", "cared", "look", "change"]
    """Replicates as it is; needs Nexus's special care and gets it; will not work as
    its user may expect; must change."""
    table: str
    what: str
    why: str = ""
    statement: str = ""
    """The SQL that makes the change."""


class Report(msgspec.Struct, frozen=True):
    """Everything found."""

    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether the database can be imported as it is."""
        return all(finding.level != "change" for finding in self.findings)
