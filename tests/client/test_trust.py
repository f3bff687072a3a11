"""What a client is told about TLS, by its arguments and its URL."""

import ssl

import pytest

from certificates import Office, met
from nexus.client.trust import Trust, trust_of
from nexus.errors import ConfigurationError, RequestError
from nexus.tls.contexts import server_context


def test_where_nothing_is_said_nothing_is_protected() -> None:
    assert Trust().context() is None
    assert Trust(tls=False).context() is None


def test_tls_alone_trusts_whom_the_machine_trusts() -> None:
    context = Trust(tls=True).context()

    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_ca_or_a_certificate_of_ones_own_means_tls(office: Office) -> None:
    files, mine = office.node(), office.client()
    server = server_context(files, asks_everybody=True)

    context = Trust(None, str(office.ca), mine.cert, mine.key).context()

    assert context is not None
    assert met(server, context) == [None, None]


def test_a_context_is_taken_as_it_is(office: Office) -> None:
    own = ssl.create_default_context()

    assert Trust(tls=own).context() is own
    with pytest.raises(RequestError, match="is a context of its own"):
        Trust(tls=own, ca_file=office.ca).context()


def test_what_contradicts_itself_or_is_half_is_refused(office: Office) -> None:
    with pytest.raises(RequestError, match=r"tls is off, but .*ca\.crt is named"):
        Trust(tls=False, ca_file=office.ca).context()
    with pytest.raises(ConfigurationError, match="cert_file and key_file go together"):
        Trust(cert_file=office.client().cert).context()
    with pytest.raises(ConfigurationError, match="ca_file = '/nowhere' cannot be read"):
        Trust(ca_file="/nowhere").context()


def test_arguments_go_before_the_url() -> None:
    said = trust_of({"tls": "on", "ca": "a", "cert": "b", "key": ""})

    assert said == Trust(tls=True, ca_file="a", cert_file="b")
    assert Trust(False, "z").over(said) == Trust(False, "z", "b")  # noqa: FBT003
    assert trust_of({"tls": "off"}) == Trust(tls=False)
    assert trust_of({}) == Trust()


def test_a_switch_is_on_or_off() -> None:
    with pytest.raises(ValueError, match="tls=yes is neither tls=on nor tls=off"):
        trust_of({"tls": "yes"})
