"""Who may call what: a token of the right role, and no page of another site.

A browser sends a page's POST to any address, loopback too. It adds the page's
Origin, and asks first before it sends JSON: so both are checked.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from nexus.api.refusals import CrossOriginError, UnauthorisedError
from nexus.config import Config, is_loopback
from nexus.errors import ForbiddenError
from nexus.model.cluster import Role
from nexus.model.token import ANONYMOUS, Principal, TokenRole, read_token
from nexus.node.network.admittance import SECRET, Admittance
from nexus.node.network.rates import Rates

BEARER: Final = b"bearer "

FORWARDED_BY: Final = b"nexus-forwarded-by"
"""Names the node that passed the call on; such a call is not passed on again."""


FORWARDED_FOR: Final = b"nexus-forwarded-for"
"""Whom that node had let in, and what they may do, where the cluster's secret stands
for their credential: `write anonymous`."""

_TELLING: Final = frozenset((b"authorization", b"origin"))
"""What says more of a caller than that it is there."""

Headers = Mapping[bytes, bytes]
"""A request's headers by name in lower case; of a repeated one the last."""


class Gate:
    """Lets a request pass, or raises what its sender is told."""

    def __init__(self, config: Config, admittance: Admittance) -> None:
        # A witness has no database, and knows no tokens: it cannot tell whether the
        # cluster has any, so it asks for the secret wherever it listens.
        witness = config.replication.role is Role.WITNESS
        secret, exposed = config.cluster_secret, not is_loopback(config.http_addr)
        self._guarded = guarded = bool(secret) and (witness or exposed)
        self._believes_nobody = witness and exposed and not secret
        self._admittance = admittance
        self._rates = Rates(config.limits.requests_per_second)
        limited = bool(config.limits.requests_per_second)
        self._is_plain = not (guarded or limited or self._believes_nobody)

    @property
    def asks(self) -> bool:
        """Whether a caller must bring a credential."""
        return self._guarded or self._admittance.asks

    def check(
        self,
        headers: Headers,
        needed: TokenRole | None = TokenRole.ADMIN,
        address: str = "",
    ) -> Principal:
        """Who calls from there; raises what `identify` raises, or ForbiddenError."""
        if self._is_plain and headers.keys().isdisjoint(_TELLING) and not self.asks:
            return ANONYMOUS  # most calls, where nothing is asked: this way is short
        principal = self.identify(headers, needed, address)
        require(principal, needed)
        return principal

    def identify(
        self, headers: Headers, needed: TokenRole | None, address: str
    ) -> Principal:
        """Who calls; raises UnauthorisedError, CrossOriginError or RateLimitedError.

        On a witness that can believe nobody ForbiddenError too.

        `needed` None: load balancers and Prometheus have no token, and need none.
        """
        origin = headers.get(b"origin")
        if origin is not None:
            _check_origin(origin, headers.get(b"host", b""))
        if needed is None:
            return ANONYMOUS
        if self._believes_nobody and needed is not TokenRole.READ:
            raise ForbiddenError(
                "this witness knows no tokens and has no cluster secret, so nobody can "
                "prove to it what they may do; give it and the others a secret"
            )
        principal = self._caller(headers)
        if FORWARDED_BY not in headers or principal.token is not None:
            self.spend(principal, address)
        return principal

    def spend(self, principal: Principal, address: str) -> None:
        """One more request; raises RateLimitedError."""
        token = principal.token
        self._rates.spend(address if token is None else principal.who)

    def admit(self, credential: str) -> Principal:
        """Who brings this credential (empty: none); raises UnauthorisedError."""
        principal = self._admittance.principal(credential) if credential else None
        if principal is not None:
            return principal
        if read_token(credential) is None and not self.asks:
            return ANONYMOUS
        raise UnauthorisedError(_refusal(credential))

    def still_admits(self, principal: Principal) -> bool:
        """Whether whoever was let in before would be let in now."""
        if principal is ANONYMOUS:
            return not self.asks
        return self._admittance.still_admits(principal)

    def role_of(self, principal: Principal) -> TokenRole:
        """What a caller who was identified may do here."""
        return TokenRole.READ if self._believes_nobody else principal.role

    def _caller(self, headers: Headers) -> Principal:
        principal = self.admit(bearer(headers))
        if FORWARDED_BY not in headers or principal is not SECRET:
            return principal
        sender = headers[FORWARDED_BY].decode("latin-1")[:80]
        said = headers.get(FORWARDED_FOR, b"").decode("latin-1")[:80]
        role, _, client = said.partition(" ")
        if client == ANONYMOUS.who and self._admittance.asks:
            raise UnauthorisedError(
                f"the node {sender} passed the call of somebody on who has no token: "
                "it asks for none, and this one does"
            )
        known = TokenRole(role) if role in set(TokenRole) else TokenRole.WRITE
        return principal.capped(known, client or f"node {sender}")


def _refusal(credential: str) -> str:
    """Why nobody is let in with that."""
    if read_token(credential):
        return (
            "the token is not known here: it was revoked, it has expired, or this node "
            "has not heard of it (a witness knows none: take the cluster secret)"
        )
    if credential:
        return "what the call carries is neither a token nor the cluster secret"
    return (
        "this node lets nobody in without a token or the cluster secret, and the call "
        "carries neither"
    )


def credential_for(headers: Headers, secret: str, role: TokenRole) -> bytes:
    """The lines of a head that let a call in that is passed on to another node.

    The caller's own token, so that the other node sees what it may do. Who has none
    comes with the cluster's secret, their name, and what they may do there at most.
    """
    given = bearer(headers)
    if read_token(given) is not None:
        return b"authorization: Bearer %b\r\n" % given.encode()
    if not secret:
        return b""
    client = SECRET if given == secret else ANONYMOUS
    return b"authorization: Bearer %b\r\n%b: %b\r\n" % (
        secret.encode(),
        FORWARDED_FOR,
        f"{role} {client.who}".encode(),
    )


def bearer(headers: Headers) -> str:
    """The credential that a request carries, or nothing."""
    authorization = headers.get(b"authorization", b"")
    if authorization[: len(BEARER)].lower() != BEARER:
        return ""
    given = authorization[len(BEARER) :].strip()
    return given.decode("utf-8", "surrogateescape")


def require(principal: Principal, needed: TokenRole | None) -> None:
    """Raise ForbiddenError where the caller may not do what `needed` may."""
    if not principal.role.covers(needed):
        raise ForbiddenError(
            f"this needs the role {needed}, and {principal.who} has {principal.role}"
        )


def _check_origin(origin: bytes, host: bytes) -> None:
    try:
        sender = urlsplit(origin.decode("ascii")).netloc
    except ValueError:
        sender = ""
    if not sender or sender.lower() != host.decode("latin-1").lower():
        raise CrossOriginError(
            f"the call comes from a page of {origin.decode('latin-1')!r}, this is "
            f"{host.decode('latin-1')!r}"
        )
