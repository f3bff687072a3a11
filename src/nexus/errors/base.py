"""What all errors are, and those of a node as a whole."""

from typing import ClassVar


class NexusError(Exception):
    """Anything Nexus reports on purpose; `code` is stable across versions."""

    code: ClassVar[str] = "nexus"


class ConfigurationError(NexusError):
    """A setting is unknown, of a wrong type or impossible; nothing was started."""

    code = "configuration"


class NodeStoppedError(NexusError):
    """The node is stopping or has failed; nothing more is accepted."""

    code = "node_stopped"
