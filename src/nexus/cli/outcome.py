"""How a command ends that did not do what was asked."""

from nexus.errors import NexusError


class NotDoneError(NexusError):
    """The command was understood and not done; the message says why and the mend."""

    code = "not_done"
