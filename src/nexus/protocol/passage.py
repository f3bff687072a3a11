"""How a client that cannot reach the master asks a replica to pass it on.

The replica answers with the same feature; behind that the connection is the master's,
and the client attaches again, to the master itself.
"""

from typing import Final

TO_MASTER: Final = "to-master"
"""In the features of Attach and of Attached."""
