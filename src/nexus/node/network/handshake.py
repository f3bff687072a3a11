"""Prove knowledge of the cluster secret, both ways, before anything else is said.

With a secret, the master answers the first Hello with a nonce of its own; the Hello
comes again with an HMAC over both nonces and its own fields, and the Welcome carries
one too. A recorded exchange is worth nothing: the nonces are new each time.
"""

import hmac
import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

from nexus.errors import HandshakeRefusedError, TokenInDoubtError
from nexus.model.token import ANONYMOUS, Principal
from nexus.node.network.addresses import reachable, reachable_url
from nexus.node.network.admittance import SECRET, Admittance
from nexus.node.network.connection import Connection
from nexus.node.network.security import TransportSecurity
from nexus.protocol.calls import Attach
from nexus.protocol.codec import history_for_handshake
from nexus.protocol.messages import (
    Challenge,
    Error,
    ErrorCode,
    Hello,
    Message,
    Welcome,
)
from nexus.protocol.proofs import token_of

NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a peer has introduced itself, proven where that is asked for."""

    hello: Hello | Attach
    challenge: bytes
    """Our nonce, that its proof was over; empty where none was asked for."""
    principal: Principal
    """Who it is."""


async def receive_hello(
    connection: Connection,
    admittance: Admittance,
    *,
    timeout_s: float,
    asks_nodes: bool = False,
) -> Greeting:
    """Server side: a Hello or Attach, proven where there is a secret or a token.

    With `asks_nodes` a Hello is taken only from who has shown a node's certificate.
    Raises HandshakeRefusedError with the code to answer, ProtocolError, OSError or
    TimeoutError.
    """
    hello = await connection.receive_one(timeout_s=timeout_s)
    if not isinstance(hello, Hello | Attach):
        raise HandshakeRefusedError(
            f"{connection.peer_address} began with {type(hello).__name__} where a "
            "Hello is expected",
            reason=ErrorCode.MALFORMED,
        )
    if asks_nodes and isinstance(hello, Hello) and not connection.is_of_a_node:
        raise _no_node(connection)
    if not _must_prove(hello, admittance):
        known = _reachable(hello, connection.peer_host)
        return Greeting(known, b"", ANONYMOUS)
    nonce = secrets.token_bytes(NONCE_BYTES)
    connection.send(Challenge(nonce))
    hello = await connection.receive_one(timeout_s=timeout_s)
    try:
        principal = _proven(hello, nonce, admittance)
    except TokenInDoubtError as error:
        raise HandshakeRefusedError(str(error), reason=ErrorCode.BUSY) from None
    if principal is None:
        raise HandshakeRefusedError(
            _unproven(connection, hello),
            reason=ErrorCode.UNAUTHORISED,
        )
    assert isinstance(hello, Hello | Attach), "nothing else is proven"
    if asks_nodes and isinstance(hello, Hello) and not connection.is_of_a_node:
        raise _no_node(connection)  # it had begun as a client
    return Greeting(_reachable(hello, connection.peer_host), nonce, principal)


def _unproven(connection: Connection, hello: Message) -> str:
    """For the log here, and for the refused: it knows itself by another port."""
    peer = connection.peer_address
    if isinstance(hello, Attach):
        return (
            f"{peer} has no token that is good here, and does not know this cluster's "
            "secret; give it a token (nexus token create), or another one if it was "
            "revoked"
        )
    return (
        f"{peer} does not know this cluster's secret; start its node with the same "
        f"NEXUS_CLUSTER_SECRET as the one at {connection.own_address}"
    )


def _must_prove(hello: Hello | Attach, admittance: Admittance) -> bool:
    """Nodes know the secret and have no token; a token that is shown is looked at."""
    if admittance.has_secret:
        return True
    return isinstance(hello, Attach) and (admittance.asks or bool(token_of(hello)))


def _proven(hello: Message, nonce: bytes, admittance: Admittance) -> Principal | None:
    if isinstance(hello, Attach):
        return admittance.proven(hello, nonce)
    if not isinstance(hello, Hello):
        return None
    expected = hello_proof(admittance.secret, nonce, hello)
    return SECRET if hmac.compare_digest(hello.auth, expected) else None


async def introduce(
    connection: Connection, hello: Hello, secret: str, *, timeout_s: float
) -> Welcome | Error:
    """Client side: say Hello, prove the secret if asked, return the answer.

    Raises HandshakeRefusedError if the other side does not know the secret.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    history = history_for_handshake(hello.history)
    hello = msgspec.structs.replace(hello, nonce=nonce, history=history)
    # Entries of any size may follow the Welcome in the same packet. The address was
    # chosen on this side, so the larger frame limit costs no trust in strangers.
    connection.handshake_done()
    connection.send(hello)
    answer = await connection.receive_one(timeout_s=timeout_s)
    challenge = b""
    if isinstance(answer, Challenge):
        challenge = answer.nonce
        proof = hello_proof(secret, challenge, hello)
        connection.send(msgspec.structs.replace(hello, auth=proof))
        answer = await connection.receive_one(timeout_s=timeout_s)
    if isinstance(answer, Error):
        return answer
    if not isinstance(answer, Welcome):
        raise HandshakeRefusedError(
            f"{connection.peer_address} answered Hello with {type(answer).__name__}",
            reason=ErrorCode.MALFORMED,
        )
    if secret and not hmac.compare_digest(
        answer.auth, welcome_proof(secret, nonce, challenge, answer)
    ):
        raise HandshakeRefusedError(
            f"{connection.peer_address} does not know this cluster's secret; give both "
            "nodes the same NEXUS_CLUSTER_SECRET",
            reason=ErrorCode.UNAUTHORISED,
        )
    url = reachable_url(answer.http_url, connection.peer_host)
    return msgspec.structs.replace(answer, http_url=url)


async def answer_to(
    hello: Hello, address: str, security: TransportSecurity, *, timeout_s: float
) -> Welcome | Error:
    """What the node at this address says to a Hello; the connection ends with that.

    `timeout_s` is for each of its steps. Raises OSError, TimeoutError or NexusError.
    """
    connection = await security.dial(address, timeout_s=timeout_s)
    try:
        return await introduce(connection, hello, security.secret, timeout_s=timeout_s)
    finally:
        await connection.close()


def proven_welcome(
    welcome: Welcome, secret: str, hello_nonce: bytes, challenge: bytes
) -> Welcome:
    """The Welcome as it is sent: of a size that the peer takes, proven if asked for."""
    history = history_for_handshake(welcome.history)
    welcome = msgspec.structs.replace(welcome, history=history)
    if not secret:
        return welcome
    proof = welcome_proof(secret, hello_nonce, challenge, welcome)
    return msgspec.structs.replace(welcome, auth=proof)


def hello_proof(secret: str, nonce: bytes, hello: Hello) -> bytes:
    """The HMAC that a Hello carries over the challenge and its other fields."""
    said = msgspec.msgpack.encode(msgspec.structs.replace(hello, auth=b""))
    return hmac.digest(secret.encode(), b"hello" + nonce + said, "sha256")


def _no_node(connection: Connection) -> HandshakeRefusedError:
    return HandshakeRefusedError(
        f"{connection.peer_address} has shown no node's certificate of this cluster's "
        "CA; issue one to it, and set its tls.cert_file and tls.key_file",
        reason=ErrorCode.UNAUTHORISED,
    )


def welcome_proof(
    secret: str, hello_nonce: bytes, challenge: bytes, welcome: Welcome
) -> bytes:
    """The HMAC that a Welcome carries over both nonces and its other fields."""
    said = msgspec.msgpack.encode(msgspec.structs.replace(welcome, auth=b""))
    return hmac.digest(
        secret.encode(), b"welcome" + hello_nonce + challenge + said, "sha256"
    )


def _reachable(hello: Hello | Attach, seen_host: str) -> Hello | Attach:
    """The Hello with addresses that this node can use."""
    if isinstance(hello, Attach):
        return hello
    return msgspec.structs.replace(
        hello,
        address=reachable(hello.address, seen_host),
        http_url=reachable_url(hello.http_url, seen_host),
        master_addr=reachable(hello.master_addr, seen_host),
    )
