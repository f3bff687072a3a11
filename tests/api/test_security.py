import time

import pytest

from nexus.api.refusals import CrossOriginError, UnauthorisedError
from nexus.api.security import FORWARDED_BY, FORWARDED_FOR, Gate, require
from nexus.config import Config, SecuritySettings
from nexus.config.settings import ReplicationSettings
from nexus.errors import ForbiddenError
from nexus.model.cluster import Role
from nexus.model.secret import Secret
from nexus.model.token import ANONYMOUS, Principal, Token, TokenRole, sha256, token_text
from nexus.node.network.admittance import SECRET, Admittance

SECRETS = {role: bytes([at]) * 32 for at, role in enumerate(TokenRole)}
TOKENS = {
    f"{at:010x}": Token(f"{at:010x}", f"for {role}", role, sha256(SECRETS[role]), 1)
    for at, role in enumerate(TokenRole)
}


def text_of(role: TokenRole) -> str:
    token = next(token for token in TOKENS.values() if token.role is role)
    return token_text(token.id, SECRETS[role])


def gate_on(
    http_addr: str,
    secret: str,
    tokens: dict[str, Token] | None = None,
    *,
    require_tokens: bool = False,
    role: Role = Role.REPLICA,
) -> Gate:
    config = Config(
        http_addr=http_addr,
        replication=ReplicationSettings(role=role),
        cluster_secret=Secret(secret),
        security=SecuritySettings(require_tokens=require_tokens),
    )
    return Gate(config, Admittance(config, lambda: tokens or {}))


GUARDED = gate_on("0.0.0.0:1", "geheim")
LOCAL = "127.0.0.1:1"


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer gehei",
        b"Bearer geheim1",
        b"Basic geheim",
        b"geheim",
        b"Bearer \xff",
    ],
)
def test_beyond_loopback_a_call_needs_the_secret(given: bytes) -> None:
    with pytest.raises(UnauthorisedError):
        GUARDED.check({b"authorization": given})
    with pytest.raises(UnauthorisedError):
        GUARDED.check({})


@pytest.mark.parametrize("given", [b"Bearer geheim", b"bearer  geheim "])
def test_the_secret_opens_everything(given: bytes) -> None:
    assert GUARDED.check({b"authorization": given}) is SECRET


@pytest.mark.parametrize("address", [LOCAL, "0.0.0.0:1"])
def test_a_witness_asks_for_the_secret_wherever_it_listens(address: str) -> None:
    gate = gate_on(address, "geheim", role=Role.WITNESS)
    token = f"Bearer {text_of(TokenRole.ADMIN)}".encode()

    for needed in TokenRole:
        with pytest.raises(UnauthorisedError):
            gate.check({}, needed)
        with pytest.raises(UnauthorisedError, match="a witness knows none"):
            gate.check({b"authorization": token}, needed)
        assert gate.check({b"authorization": b"Bearer geheim"}, needed) is SECRET
    assert gate.check({}, None) is ANONYMOUS


def test_a_witness_without_a_secret_is_changed_by_nobody_from_elsewhere() -> None:
    gate = gate_on("0.0.0.0:1", "", role=Role.WITNESS)

    assert gate.check({}, TokenRole.READ) is ANONYMOUS
    for needed in (TokenRole.WRITE, TokenRole.ADMIN):
        with pytest.raises(ForbiddenError, match="knows no tokens"):
            gate.check({}, needed)
    assert gate.role_of(ANONYMOUS) is TokenRole.READ
    local = gate_on(LOCAL, "", role=Role.WITNESS)
    assert local.role_of(ANONYMOUS) is TokenRole.ADMIN
    assert local.check({}, TokenRole.ADMIN) is ANONYMOUS


def test_what_anybody_may_call_needs_nothing() -> None:
    assert GUARDED.check({}, None) is ANONYMOUS


@pytest.mark.parametrize(("address", "secret"), [(LOCAL, "x"), ("0.0.0.0:1", "")])
def test_on_loopback_or_without_a_secret_nothing_is_asked(
    address: str, secret: str
) -> None:
    assert gate_on(address, secret).check({}) is ANONYMOUS


@pytest.mark.parametrize("address", [LOCAL, "0.0.0.0:1"])
def test_where_tokens_exist_or_are_required_a_call_needs_one(address: str) -> None:
    for gate in (gate_on(address, "", TOKENS), gate_on(LOCAL, "", require_tokens=True)):
        with pytest.raises(UnauthorisedError, match="neither"):
            gate.check({}, TokenRole.READ)
        assert gate.check({}, None) is ANONYMOUS


def test_what_is_no_token_is_told_from_none() -> None:
    gate = gate_on(LOCAL, "", TOKENS)
    with pytest.raises(UnauthorisedError, match="neither a token nor the cluster"):
        gate.admit("nexus_mistyped")
    with pytest.raises(UnauthorisedError, match="the call carries neither"):
        gate.admit("")


@pytest.mark.parametrize("needed", list(TokenRole))
@pytest.mark.parametrize("role", list(TokenRole))
def test_a_token_opens_what_its_role_covers(role: TokenRole, needed: TokenRole) -> None:
    gate = gate_on("0.0.0.0:1", "geheim", TOKENS)
    headers = {b"authorization": f"Bearer {text_of(role)}".encode()}
    if list(TokenRole).index(role) >= list(TokenRole).index(needed):
        assert gate.check(headers, needed).role is role
    else:
        with pytest.raises(ForbiddenError, match=f"needs the role {needed}"):
            gate.check(headers, needed)


@pytest.mark.parametrize("tokens", [{}, TOKENS])
def test_a_token_that_is_not_known_is_refused_even_where_none_is_needed(
    tokens: dict[str, Token],
) -> None:
    unknown = token_text("ffffffffff", b"x" * 32)
    wrong = token_text("0000000000", b"x" * 32)
    for text in (unknown, wrong):
        with pytest.raises(UnauthorisedError, match="not known here"):
            gate_on(LOCAL, "", tokens).admit(text)


def test_a_token_is_good_until_it_expires() -> None:
    now_us = time.time_ns() // 1000
    token = Token("00000000aa", "", TokenRole.READ, sha256(b"s" * 32), 1)
    text = token_text(token.id, b"s" * 32)
    for expires_us, good in ((now_us - 1, False), (now_us + 60_000_000, True)):
        dated = Token(token.id, "", token.role, token.sha256, 1, expires_us)
        gate = gate_on(LOCAL, "", {token.id: dated})
        if good:
            assert gate.admit(text).token == dated
        else:
            with pytest.raises(UnauthorisedError):
                gate.admit(text)
            assert gate.asks


def test_whoever_was_let_in_stays_until_the_token_is_revoked() -> None:
    tokens = dict(TOKENS)
    gate = gate_on(LOCAL, "s", tokens)
    admitted = gate.admit(text_of(TokenRole.WRITE))
    assert gate.still_admits(admitted)
    assert gate.still_admits(SECRET)
    assert not gate.still_admits(ANONYMOUS)

    del tokens[admitted.token.id if admitted.token else ""]

    assert not gate.still_admits(admitted)
    assert gate_on(LOCAL, "").still_admits(ANONYMOUS)


NOBODY = f"write {ANONYMOUS.who}"


def passed_on(by: str, **headers: str) -> dict[bytes, bytes]:
    found = {FORWARDED_BY: by.encode()}
    if "credential" in headers:
        found[b"authorization"] = f"Bearer {headers['credential']}".encode()
    if "client" in headers:
        found[FORWARDED_FOR] = headers["client"].encode()
    return found


def test_a_replica_cannot_be_used_to_climb() -> None:
    gate = gate_on("0.0.0.0:1", "s", TOKENS)

    lent = gate.check(
        passed_on("n2", credential="s", client="write cluster secret"), TokenRole.WRITE
    )
    assert lent.role is TokenRole.WRITE
    assert lent.who == "cluster secret by cluster secret"
    with pytest.raises(ForbiddenError):
        gate.check(passed_on("n2", credential="s", client="write x"), TokenRole.ADMIN)
    with pytest.raises(UnauthorisedError, match="has no token"):
        gate.check(
            passed_on("n2", credential="s", client=f"write {ANONYMOUS.who}"),
            TokenRole.READ,
        )
    with pytest.raises(ForbiddenError):
        gate.check(passed_on("n2", credential=text_of(TokenRole.READ)), TokenRole.WRITE)


def test_without_tokens_a_replica_that_asks_for_nothing_passes_writes_on() -> None:
    gate = gate_on("0.0.0.0:1", "s")
    lent = gate.check(
        passed_on("n2", credential="s", client=f"write {ANONYMOUS.who}"),
        TokenRole.WRITE,
    )
    assert lent.role is TokenRole.WRITE


def test_what_is_not_covered_names_both_roles() -> None:
    with pytest.raises(ForbiddenError, match="needs the role admin, and x has read"):
        require(Principal(TokenRole.READ, "x"), TokenRole.ADMIN)


@pytest.mark.parametrize(
    "origin",
    [b"http://evil.example", b"null", b"http://a:2", b"\xff", b"http://[", b""],
)
def test_a_page_of_another_site_is_refused_whatever_it_calls(origin: bytes) -> None:
    for needed in (None, TokenRole.ADMIN):
        with pytest.raises(CrossOriginError):
            gate_on(LOCAL, "").check({b"origin": origin, b"host": b"a:1"}, needed)


def test_a_page_of_this_node_may_call() -> None:
    page = {b"origin": b"http://A:1", b"host": b"a:1"}
    assert gate_on(LOCAL, "").check(page) is ANONYMOUS
