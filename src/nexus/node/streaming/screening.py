"""What a master sends is looked at before it is kept: a log must stay readable.

The frame's CRC-32 shows what the network did to an entry, not what its sender did. An
entry that cannot be decoded would stop the apply for good, and one that tells of
another reign than its own would stop the next start.
"""

from typing import Final

import msgspec

from nexus.errors import ProtocolError
from nexus.model.entry import Record, decode_payload
from nexus.model.operation import Reigned
from nexus.protocol.messages import WalEntry

_UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def screened(message: WalEntry, record: Record) -> WalEntry:
    """The message as if its entry had come in one part, not compressed.

    Raises ProtocolError for an entry that no log may hold.
    """
    if message.parts > 1 or message.compressed:
        message = WalEntry(
            message.offset,
            message.epoch,
            message.history_id,
            message.commit_offset,
            record.payload,
        )
    screen(message)
    return message


def screen(entry: WalEntry) -> None:
    """Raise ProtocolError for a whole entry that no log may hold."""
    try:
        operations = decode_payload(entry.entry).operations
    except _UNDECODABLE as error:
        raise ProtocolError(
            f"entry {entry.offset} says nothing that this version understands "
            f"({error}); upgrade this node, or look at its master's disk"
        ) from None
    for place, operation in enumerate(operations):
        if type(operation) is Reigned:
            reign = operation.reign
            said = (place, reign.epoch, reign.history_id, reign.first_offset)
            if said != (0, entry.epoch, entry.history_id, entry.offset):
                raise ProtocolError(
                    f"entry {entry.epoch}:{entry.offset}@{entry.history_id} tells of a "
                    f"reign {reign.epoch}:{reign.first_offset}@{reign.history_id} that "
                    "does not begin there"
                )
