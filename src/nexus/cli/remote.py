"""Talk to one node's REST API, and say what went wrong in one line."""

import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import httpx

from nexus.cli.outcome import NotDoneError
from nexus.cli.trust import trusted
from nexus.config.loading import read_secret
from nexus.errors import NodeUnreachableError
from nexus.tls.words import NOT_TLS, reason_of

HTTP_PORT: Final = 15474
CALL_TIMEOUT_S: Final = 30.0
"""Longer than a write may wait for its quorum; a snapshot sets its own."""

MOST_PORT: Final = 65535
URL_HELP: Final = f"write it like http://127.0.0.1:{HTTP_PORT}"
CREDENTIAL_HELP: Final = (
    "give a token (NEXUS_TOKEN or --token-file), or the cluster's secret "
    "(NEXUS_CLUSTER_SECRET)"
)


class NodeCallError(NotDoneError):
    """The node answered, and refused; `status` is the HTTP status.

    `index` and `error_offset` tell where the error is, as in StatementError;
    `master_url` which node can do it, where this one has another role.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        index: int = 0,
        error_offset: int | None = None,
        master_url: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.index = index
        self.error_offset = error_offset
        self.master_url = master_url


CALL_ERRORS: Final = (NodeUnreachableError, NodeCallError)
"""What a call of a `Remote` raises where the node has not done it."""


def known_secret(file: Path | None, environ: Mapping[str, str] = os.environ) -> str:
    """A token or the secret, from a file or the environment; empty: there is none."""
    if file is not None:
        return read_secret(file, "--token-file")
    for name in ("NEXUS_TOKEN", "NEXUS_CLUSTER_SECRET"):
        if named := environ.get(f"{name}_FILE"):
            return read_secret(Path(named), f"{name}_FILE")
        if known := environ.get(name):
            return known
    return ""


def base_url(text: str) -> str:
    """`http://HOST:PORT` for what was typed; without a scheme, the port defaults."""
    stripped, shown = text.strip(), _without_password(text)
    if stripped.startswith("nexus://"):
        raise NotDoneError(
            f"'{shown}' is what nexus.connect takes; here, name one node's HTTP "
            f"address: {URL_HELP}"
        )
    if not stripped.startswith(("http://", "https://")):
        if "://" in stripped:
            raise NotDoneError(f"'{shown}' is not a node's URL; {URL_HELP}")
        host, slash, path = stripped.partition("/")
        port = "" if ":" in host.rpartition("]")[2] else f":{HTTP_PORT}"
        scheme = "https" if trusted() else "http"
        stripped = f"{scheme}://{host}{port}{slash}{path}"
    try:
        url = httpx.URL(stripped)
    except httpx.InvalidURL as error:
        raise NotDoneError(f"'{shown}' is not a URL ({error}); {URL_HELP}") from None
    if not url.host or (url.port or 0) > MOST_PORT:
        raise NotDoneError(f"'{shown}' is not a node's URL; {URL_HELP}")
    return stripped.rstrip("/")


def _without_password(url: str) -> str:
    """The URL as it may be repeated in an error."""
    before, at, rest = url.rpartition("@")
    return f"{before.partition('://')[0]}://…@{rest}" if at else url


class Remote:
    """One node; calls raise CALL_ERRORS."""

    def __init__(self, url: str, secret: str = "") -> None:
        self.url = base_url(url)
        tls = trusted()
        # No proxy from the environment: a node's address is an address, and a proxy
        # would see the secret.
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            timeout=CALL_TIMEOUT_S,
            verify=tls or self.url.startswith("https"),
            trust_env=False,
        )

    def get(self, path: str, **options: Any) -> Any:
        """The JSON that GET answers."""
        return self._call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON that POST answers."""
        return self._call("POST", path, json=body or {}, **options)

    def delete(self, path: str) -> Any:
        """The JSON that DELETE answers."""
        return self._call("DELETE", path)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """What the node answers, if it has done what was asked."""
        try:
            response = self._client.request(method, path, **options)
        except httpx.TimeoutException:
            raise NodeUnreachableError(
                f"{self.url} did not answer in time; see its log, or try again"
            ) from None
        except httpx.TransportError as error:
            raise NodeUnreachableError(
                f"{self.url} does not answer ({reason_of(error)}); {_mend(error)}"
            ) from None
        if response.is_error:
            index, error_offset = _place(response)
            raise NodeCallError(
                f"{self.url}: {_problem(response)}",
                status=response.status_code,
                index=index,
                error_offset=error_offset,
                master_url=_master_url(response),
            )
        return response

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        response = self.send(method, path, **options)
        try:
            return response.json()
        except ValueError:
            raise NodeCallError(
                f"{self.url}{path} did not answer with JSON; is this a Nexus node?",
                status=response.status_code,
            ) from None


_CERTIFICATES: Final = {
    "for another name": "write a name that it has, or make one with this name "
    "(nexus tls issue --host)",
    "this side's certificate has expired": "have another one issued (nexus tls issue "
    "--client)",
    "has expired": "nexus tls issue --replace makes one",
    "not valid yet": "run date on both machines",
    "this side has none": "name yours with --cert FILE and --key FILE",
    "this side's certificate was revoked": "have another one issued (nexus tls issue "
    "--client)",
    "certificate": "name the CA with --ca FILE, or your certificate with --cert and "
    "--key",
}
"""What to do about a certificate; the first that fits what is wrong with it."""


def _mend(error: httpx.TransportError) -> str:
    words = reason_of(error)
    if isinstance(error, httpx.RemoteProtocolError):
        return "see whether this is its http_addr, and not its replication port"
    if words == NOT_TLS:
        return "write http:// for a node without a certificate"
    for told, mend in _CERTIFICATES.items():
        if told in words:
            return mend
    return "start the node, or correct the URL"


def _problem(response: httpx.Response) -> str:
    """The node's own words (RFC 9457), and what to do."""
    try:
        problem = response.json()
        told = (problem.get(name) for name in ("detail", "title", "message"))
        detail = str(next(filter(None, told), ""))
        statement = f"statement {problem.get('index', 0) + 1}"
        mend = str(problem.get("what_to_do") or "")
        mend = mend.replace("the statement at `index`", statement)
    except (ValueError, AttributeError):
        detail = mend = ""
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        return f"{detail or 'not authorised'}; {CREDENTIAL_HELP}"
    if not detail:
        return f"answered {response.status_code} {response.reason_phrase}"
    return _together(detail, mend) if mend else detail


def _together(detail: str, mend: str) -> str:
    """One sentence of what happened and what to do, that says nothing twice."""
    told = "nothing happened"
    if "the detail" in mend:  # it has just been read
        return detail
    if told in detail.lower() and mend.lower().startswith(f"{told}: "):
        mend = mend[len(told) + 2 :]
    return f"{detail}; {mend[0].lower()}{mend[1:]}"


def _place(response: httpx.Response) -> tuple[int, int | None]:
    """Which statement is at fault, and where in it."""
    try:
        problem = response.json()
        return int(problem.get("index", 0)), problem.get("error_offset")
    except (ValueError, AttributeError):
        return 0, None


def _master_url(response: httpx.Response) -> str:
    """Who can do what a node of this role cannot; empty: nobody is named."""
    try:
        problem = response.json()
        named = problem["code"] == "wrong_role" and problem.get("master_url")
    except (ValueError, AttributeError, LookupError, TypeError):
        return ""
    return str(named or "")
