"""A CA of one's own, and what it signs."""

import os
import stat
from pathlib import Path

import pytest

from certificates import Office
from nexus.errors import ConfigurationError
from nexus.tls.authority import file_name, issue, make_authority
from nexus.tls.certificates import read_certificates


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_for_their_owner_alone(office: Office) -> None:
    before = os.umask(0)
    try:
        made = issue(office.directory, "n1", ["a"])
    finally:
        os.umask(before)

    assert mode(made.key_file) == mode(office.directory / "ca.key") == 0o600
    assert mode(office.directory) == 0o700
    assert sorted(path.name for path in office.directory.iterdir()) == [
        "ca.crt",
        "ca.key",
        "n1.crt",
        "n1.key",
    ]


def test_nothing_is_overwritten_unless_it_is_said(office: Office) -> None:
    made = issue(office.directory, "n1", ["a"])
    before = made.cert_file.read_bytes(), made.key_file.read_bytes()

    with pytest.raises(ConfigurationError, match="exists: a CA is there already"):
        make_authority(office.directory)
    with pytest.raises(ConfigurationError, match="--replace does"):
        issue(office.directory, "n1", ["b"])
    assert before == (made.cert_file.read_bytes(), made.key_file.read_bytes())
    made.cert_file.unlink()
    with pytest.raises(ConfigurationError, match=r"n1\.key' exists"):
        issue(office.directory, "n1", ["b"])
    issue(office.directory, "n1", ["b"], replace=True)
    assert read_certificates(made.cert_file)[0].hosts == ("b",)


def test_a_dead_link_is_not_written_through(office: Office, tmp_path: Path) -> None:
    (office.directory / "n1.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError, match="exists"):
        issue(office.directory, "n1", ["a"])
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "a/b", "a\nb", "a\0b", "ca", 'a"b', "x" * 65, "é"]
)
def test_a_name_that_could_leave_the_directory_is_refused(
    office: Office, name: str
) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a certificate's files"):
        issue(office.directory, name, ["a"])


@pytest.mark.parametrize(
    "host", ["", "a b", "a:15475", "1.2.3", "300.1.1.1", "a..b", "-a", "x" * 254, "a\n"]
)
def test_what_is_no_host_is_refused(office: Office, host: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a host's name nor an IP"):
        issue(office.directory, "n1", [host])
    assert not (office.directory / "n1.crt").exists()


def test_names_and_addresses_of_all_kinds_are_hosts(office: Office) -> None:
    hosts = ["db1", "a.b.example.", "*.example", "10.0.0.1", "[::1]", "_x.example"]

    made = issue(office.directory, "n1", hosts)

    assert read_certificates(made.cert_file)[0].hosts == (
        "db1",
        "a.b.example",
        "*.example",
        "_x.example",
        "10.0.0.1",
        "::1",
    )


def test_without_a_ca_nothing_is_signed(office: Office, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no CA to sign with.*nexus tls init"):
        issue(tmp_path, "n1", ["a"])
    (office.directory / "ca.key").write_text("damaged")
    with pytest.raises(ConfigurationError, match="no CA to sign with"):
        issue(office.directory, "n1", ["a"])


def test_a_ca_of_another_kind_is_left_to_its_own_tool(office: Office) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ed25519.Ed25519PrivateKey.generate()
    (office.directory / "ca.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )

    with pytest.raises(ConfigurationError, match="with the tool that made this CA"):
        issue(office.directory, "n1", ["a"])


def test_a_write_that_was_broken_off_is_no_hindrance(office: Office) -> None:
    (office.directory / f".n1.crt.{os.getpid()}").write_text("half")

    issue(office.directory, "n1", ["a"])

    assert not list(office.directory.glob(".*"))


def test_files_are_named_after_hosts_of_all_kinds() -> None:
    assert file_name("[fd00::7]") == "fd00--7"
    assert file_name("*.example") == "any.example"
