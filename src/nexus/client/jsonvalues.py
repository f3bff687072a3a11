"""SQL values as a node's API writes them in JSON: objects stand for what JSON lacks.

`nexus.api.values` is the other side, and names the objects.
"""

import binascii
from typing import Any

from nexus.errors import ProtocolError
from nexus.protocol.jsonwords import BLOB, FLOAT, FLOATS, TEXT


def read_value(value: Any) -> Any:
    """The SQL value that was meant; ProtocolError for an object that stands for none.

    Text that is not UTF-8 has each byte at fault as a lone surrogate (PEP 383).
    """
    if not isinstance(value, dict):
        return value
    try:
        [(kind, text)] = value.items()
        if kind == FLOAT:
            return FLOATS[text]
        content = binascii.a2b_base64(text, strict_mode=True)
        as_text = content.decode(errors="surrogateescape")
        return {BLOB: content, TEXT: as_text}[kind]
    except (ValueError, LookupError, TypeError):
        raise ProtocolError(f"the node has sent the value {value!r}") from None
