"""Speaks to an etcd v3 through its JSON gateway, of any of its members.

A member that cannot be reached is passed over. Where a transaction was sent and no
answer came, its outcome is unknown: it is not sent again, the caller has to read.
"""

import base64
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec

from nexus.errors import ConfigurationError, EtcdError
from nexus.model.cluster import NodeId
from nexus.model.position import Epoch
from nexus.replication.etcd.keys import Keys, LeaderKey, SyncedKey

LEADER: Final = "/leader"
SYNCED: Final = "/synced"
RESTS: Final = "/maintenance"
NOT_HANDED_OVER: Final = Epoch(0)

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class LeaderValue(msgspec.Struct, frozen=True):
    """What the leader key says."""

    node_id: NodeId
    address: str


class SyncedValue(msgspec.Struct, frozen=True):
    """What the list's key says."""

    nodes: tuple[NodeId, ...]
    epoch_base: Epoch = Epoch(0)
    handed_over: Epoch = Epoch(0)
    """Older releases neither write nor read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSettings:
    """Which etcd, and how long one member has to answer."""

    endpoints: tuple[str, ...]
    prefix: str
    timeout_s: float
    user: str = ""
    password: str = ""
    ca_file: str | None = None
    cert_file: str | None = None
    """What this node shows etcd, where it asks; with its key."""
    key_file: str | None = None


class EtcdClient:
    """One client for one prefix; every call raises EtcdError where it fails."""

    def __init__(
        self,
        settings: EtcdSettings,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._endpoints = list(settings.endpoints)
        """The one that answered last comes first."""
        self._token = ""
        self._http = httpx.AsyncClient(
            timeout=settings.timeout_s,
            trust_env=False,
            transport=transport,
            verify=_trust(settings),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # --- Leases ----------------------------------------------------------------------

    async def grant(self, ttl_s: int) -> tuple[int, int]:
        """A new lease: its id, and how many milliseconds etcd gave it."""
        answer = await self._call("/v3/lease/grant", {"TTL": ttl_s}, again=True)
        return int(answer["ID"]), 1000 * int(answer["TTL"])

    async def renew(self, lease_id: int) -> int:
        """How many milliseconds it lasts from now; 0 if it is over."""
        body = {"ID": str(lease_id)}
        answer = await self._call("/v3/lease/keepalive", body, again=True)
        return 1000 * int(answer.get("result", {}).get("TTL", 0))

    async def revoke(self, lease_id: int) -> None:
        """End it, and with it the keys under it."""
        await self._call("/v3/lease/revoke", {"ID": str(lease_id)}, again=True)

    # --- Keys ------------------------------------------------------------------------

    async def read(self) -> Keys:
        """All keys, as a majority of etcd's members has them."""
        body = {"success": self._ranges()}
        return self._keys(await self._call("/v3/kv/txn", body, again=True))

    async def take(
        self, value: LeaderValue, lease_id: int, synced: SyncedKey
    ) -> tuple[bool, Keys]:
        """Take the leader key if nobody has it and the list still stands like this.

        Where there is no list (revision 0) it is written too. Returns whether it was
        done, and the keys as they are now.
        """
        compare = [self._at(LEADER, 0), self._at(SYNCED, synced.revision)]
        puts = [self._put(LEADER, value, lease_id)]
        if not synced.revision:
            listed = SyncedValue(synced.nodes, synced.epoch_base)
            puts.append(self._put(SYNCED, listed))
        return await self._transaction(compare, puts)

    async def change(
        self,
        leader: LeaderKey,
        before: SyncedKey,
        nodes: tuple[NodeId, ...],
        handed_over: Epoch = NOT_HANDED_OVER,
    ) -> tuple[bool, Keys]:
        """Change the list if the leader key and the list still stand like this."""
        compare = [self._at(LEADER, leader.revision), self._at(SYNCED, before.revision)]
        value = SyncedValue(nodes, before.epoch_base, handed_over)
        return await self._transaction(compare, [self._put(SYNCED, value)])

    async def renounce(self, node_id: NodeId) -> None:
        """Take the node out of the list; on return no older request can add it.

        Raises EtcdError where nobody would be left in it.
        """
        while True:
            synced = (await self.read()).synced
            if synced is None:
                return
            nodes = tuple(node for node in synced.nodes if node != node_id)
            if not nodes:
                raise EtcdError(
                    f"{node_id} alone is known to hold every acknowledged entry: its "
                    "data are not replaced"
                )
            # Written in any case: what was asked for on top of this revision fails.
            put = self._put(SYNCED, SyncedValue(nodes, synced.epoch_base))
            compare = [self._at(SYNCED, synced.revision)]
            done, _ = await self._transaction(compare, [put])
            if done:
                return

    async def rest(self, *, enabled: bool) -> None:
        """Begin or end maintenance, for every node under this prefix."""
        key = self._key(RESTS)
        change: dict[str, Any] = {"request_delete_range": {"key": key}}
        if enabled:
            change = {"request_put": {"key": key, "value": ""}}
        await self._call("/v3/kv/txn", {"success": [change]}, again=True)

    async def _transaction(
        self, compare: list[Any], puts: list[Any]
    ) -> tuple[bool, Keys]:
        body = {
            "compare": compare,
            "success": [*puts, *self._ranges()],
            "failure": self._ranges(),
        }
        answer = await self._call("/v3/kv/txn", body, again=False)
        return bool(answer.get("succeeded")), self._keys(answer)

    def _ranges(self) -> list[Any]:
        return [
            {"request_range": {"key": self._key(name)}}
            for name in (LEADER, SYNCED, RESTS)
        ]

    def _at(self, name: str, revision: int) -> dict[str, str]:
        """The key was changed last at this revision; 0: it does not exist."""
        return {
            "key": self._key(name),
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": str(revision),
        }

    def _put(self, name: str, value: msgspec.Struct, lease_id: int = 0) -> Any:
        encoded = base64.b64encode(msgspec.json.encode(value)).decode()
        put = {"key": self._key(name), "value": encoded, "lease": str(lease_id)}
        return {"request_put": put}

    def _key(self, name: str) -> str:
        return base64.b64encode((self._settings.prefix + name).encode()).decode()

    def _keys(self, answer: Any) -> Keys:
        found = [
            kv
            for response in answer.get("responses", ())
            for kv in response.get("response_range", {}).get("kvs", ())
        ]
        by_key = {kv["key"]: kv for kv in found}
        leader, synced = by_key.get(self._key(LEADER)), by_key.get(self._key(SYNCED))
        return Keys(
            leader=_leader(leader) if leader else None,
            synced=_synced(synced) if synced else None,
            rests=self._key(RESTS) in by_key,
        )

    # --- Calls -----------------------------------------------------------------------

    async def _call(self, path: str, body: Any, *, again: bool) -> Any:
        """Ask the members in turn; `again`: also after one that may have done it."""
        trouble = "no endpoint"
        for endpoint in list(self._endpoints):
            try:
                answer = await self._ask(endpoint, path, body)
            except _NOT_SENT as error:
                trouble = f"{endpoint}: {_told(error)}"
            except httpx.HTTPError as error:
                trouble = f"{endpoint}: {_told(error)}"
                if not again:
                    break
            else:
                if answer.status_code == HTTPStatus.OK:
                    self._prefer(endpoint)
                    return msgspec.json.decode(answer.content)
                trouble = f"{endpoint}: {answer.status_code} {answer.text[:200]}"
                unavailable = answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
                if not (again and unavailable):
                    break
        raise EtcdError(f"etcd did not do it: {trouble}")

    async def _ask(self, endpoint: str, path: str, body: Any) -> httpx.Response:
        """Post it, with a token where etcd has users; an old one is renewed."""
        if self._settings.user and not self._token:
            await self._authenticate(endpoint)
        answer = await self._post(endpoint, path, body)
        refused = answer.status_code == HTTPStatus.UNAUTHORIZED
        if self._settings.user and refused:
            await self._authenticate(endpoint)
            answer = await self._post(endpoint, path, body)
        return answer

    async def _post(self, endpoint: str, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": self._token} if self._token else None
        url = endpoint.rstrip("/") + path
        return await self._http.post(url, json=body, headers=headers)

    async def _authenticate(self, endpoint: str) -> None:
        self._token = ""
        own = self._settings
        body = {"name": own.user, "password": own.password}
        answer = await self._post(endpoint, "/v3/auth/authenticate", body)
        if answer.status_code != HTTPStatus.OK:
            raise EtcdError(
                f"etcd refuses replication.etcd_user '{own.user}': {answer.text[:200]}"
            )
        self._token = str(msgspec.json.decode(answer.content)["token"])

    def _prefer(self, endpoint: str) -> None:
        if self._endpoints[0] != endpoint:
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)


def _trust(settings: EtcdSettings) -> ssl.SSLContext | bool:
    """Whom this client believes, and what it shows of itself."""
    if not any(one.startswith("https:") for one in settings.endpoints):
        return False
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:  # an SSLError is one too
        raise ConfigurationError(
            "replication.etcd_ca_file, etcd_cert_file or etcd_key_file cannot be used "
            f"({error}); name files in PEM"
        ) from error
    return context


def _leader(kv: Any) -> LeaderKey:
    value = _value(kv, LeaderValue)
    return LeaderKey(
        node_id=value.node_id,
        address=value.address,
        lease_id=int(kv.get("lease", 0)),
        revision=int(kv["mod_revision"]),
    )


def _synced(kv: Any) -> SyncedKey:
    value = _value(kv, SyncedValue)
    return SyncedKey(
        nodes=value.nodes,
        epoch_base=value.epoch_base,
        handed_over=value.handed_over,
        revision=int(kv["mod_revision"]),
    )


def _value(kv: Any, kind: Any) -> Any:
    try:
        return msgspec.json.decode(base64.b64decode(kv.get("value", "")), type=kind)
    except (ValueError, msgspec.MsgspecError) as error:
        key = base64.b64decode(kv["key"]).decode(errors="replace")
        raise EtcdError(
            f"etcd's key {key} was not written by Nexus ({error}); set another "
            "replication.etcd_prefix on all nodes"
        ) from error


def _told(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
