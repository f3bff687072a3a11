"""Flag over environment over file over default; every mistake named in one line."""

from pathlib import Path
from typing import Any

import pytest

from nexus.config import Config, load
from nexus.config.loading import SETTINGS
from nexus.errors import ConfigurationError
from nexus.model.cluster import Mode, Role


def refusal(
    file: Path | None = None,
    environ: dict[str, str] | None = None,
    flags: dict[str, Any] | None = None,
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ or {}, flags or {})
    message = str(caught.value)
    assert "\n" not in message
    return message


def written(directory: Path, text: str) -> Path:
    file = directory / "nexus.toml"
    file.write_text(text)
    return file


def test_without_any_source_the_documented_defaults_hold() -> None:
    config = load(None, {}, {})

    assert config == Config()
    assert config.data_dir == Path("nexus-data")
    assert config.http_addr == "127.0.0.1:15474"
    assert config.replication.bind_addr == "127.0.0.1:15475"
    assert config.replication.role is Role.STANDALONE
    assert config.replication.mode is Mode.ASYNC
    assert config.replication.max_log_size == 1_000_000
    assert config.replication.heartbeat_ms == 5000
    assert config.snapshot.max_size == 10 * 1024**3
    assert config.snapshot.chunk_size == 1024**2
    assert config.limits.transaction_bytes == 64 * 1024**2


def test_a_file_sets_keys_of_every_table(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        data_dir = "/srv/nexus"
        http_addr = "127.0.0.1:8000"
        [replication]
        role = "replica"
        master_addr = "a:15475"
        heartbeat_ms = 100
        auto_failover = false
        [snapshot]
        max_size = "2.5GiB"
        chunk_size = 65536
        [limits]
        readers = 2
        """,
    )

    config = load(file, {}, {})

    assert config.data_dir == Path("/srv/nexus")
    assert config.replication.role is Role.REPLICA
    assert config.replication.master_addr == "a:15475"
    assert config.replication.heartbeat_ms == 100
    assert config.replication.auto_failover is False
    assert config.snapshot.max_size == 5 * 1024**3 // 2
    assert config.snapshot.chunk_size == 65536
    assert config.limits.readers == 2


def test_a_flag_outranks_the_environment_which_outranks_the_file(
    tmp_path: Path,
) -> None:
    file = written(
        tmp_path,
        '[replication]\nheartbeat_ms = 100\nmissed_heartbeats = 4\nrole = "master"',
    )
    environ = {
        "NEXUS_REPLICATION_HEARTBEAT_MS": "200",
        "NEXUS_REPLICATION_MISSED_HEARTBEATS": "5",
    }

    config = load(file, environ, {"replication.heartbeat_ms": 300})

    assert config.replication.heartbeat_ms == 300
    assert config.replication.missed_heartbeats == 5
    assert config.replication.role is Role.MASTER


def test_a_flag_that_is_none_was_not_given() -> None:
    config = load(None, {}, {"replication.role": None, "data_dir": None})

    assert config == Config()


@pytest.mark.parametrize("key", sorted(SETTINGS))
def test_every_key_has_an_environment_variable(key: str) -> None:
    name = "NEXUS_" + key.upper().replace(".", "_")
    assert SETTINGS[key].environment_name == name


def test_text_from_the_environment_becomes_numbers_booleans_and_sizes() -> None:
    config = load(
        None,
        {
            "NEXUS_REPLICATION_AUTO_FAILOVER": "false",
            "NEXUS_SNAPSHOT_MAX_SIZE": "10 GB",
            "NEXUS_LIMITS_READERS": "3",
            "PATH": "/bin",
        },
        {},
    )

    assert config.replication.auto_failover is False
    assert config.snapshot.max_size == 10 * 10**9
    assert config.limits.readers == 3


def test_a_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")

    assert load(None, {}, {"data_dir": "~/n"}).data_dir == Path("/home/ada/n")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("htp_addr = 'x'", ["htp_addr = 'x'", "did you mean http_addr?"]),
        ("[replication]\nrol = 'x'", ["did you mean replication.role?"]),
        ("[cluster]\nrole = 'x'", ["cluster.role", "replication.role?"]),
        ("[cluster]\nzzz = 1", ["cluster.zzz = 1", "remove it"]),
        ("replication = 3", ["replication = 3"]),
        ("[data_dir]\na = 1", ["data_dir = {'a': 1}", "text"]),
        ("data_dir = 5", ["data_dir = 5", "Expected text, got `int`"]),
        ("data_dir = ''", ["data_dir = ''", "a path"]),
        ("insecure = 'yes'", ["insecure = 'yes'", "write true or false"]),
        (
            "[replication]\nheartbeat_ms = '100'",
            ["replication.heartbeat_ms = '100'", "nexus.toml", "whole number"],
        ),
        ("[replication]\nheartbeat_ms = 0", ["heartbeat_ms = 0", ">= 10"]),
        ("[replication]\nrole = 'king'", ["'king'", "standalone, master, replica"]),
        ("[replication]\ncoordinator = 'zk'", ["'zk'", "manual, quorum, etcd"]),
        ("[replication]\nbind_addr = 'a:b'", ["'a:b'", "HOST:PORT"]),
        ("[snapshot]\nmax_size = '10 apples'", ["'10 apples'", "64MiB"]),
        ("[snapshot]\ncompression_level = 23", ["23", "<= 22"]),
        ("[snapshot]\nchunk_size = '64MiB'", ["'64MiB'", "33554432"]),
        ("x = ", ["not valid TOML"]),
    ],
)
def test_a_mistake_in_the_file_names_key_value_and_mend(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    message = refusal(written(tmp_path, text))

    for part in parts:
        assert part in message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "nexus.toml"
    file.write_bytes(b"\xff\xfe\x00")

    assert "nexus.toml" in refusal(file)


def test_an_unknown_variable_with_our_prefix_is_refused() -> None:
    message = refusal(environ={"NEXUS_REPLICATION_ROLL": "master"})

    assert "NEXUS_REPLICATION_ROLL = 'master'" in message
    assert "did you mean NEXUS_REPLICATION_ROLE?" in message


def test_a_wrong_variable_names_itself() -> None:
    message = refusal(environ={"NEXUS_LIMITS_READERS": "many"})

    assert "limits.readers = 'many' (from NEXUS_LIMITS_READERS)" in message


def test_an_unknown_or_wrong_flag_is_refused() -> None:
    assert "did you mean data_dir?" in refusal(flags={"datadir": "x"})
    assert "given as a flag" in refusal(flags={"limits.readers": "-1"})


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(refusal(flags={"replication.role": "x" * 5000})) < 400


def test_a_secret_never_shows() -> None:
    config = load(None, {"NEXUS_CLUSTER_SECRET": "hush"}, {})

    assert config.cluster_secret == "hush"
    assert "hush" not in repr(config)
    assert "hush" not in refusal(environ={"NEXUS_CLUSTER_SECRETS": "hush"})
    assert "4711" not in refusal(flags={"cluster_secret": 4711})


def test_a_secret_under_a_wrong_name_does_not_show_either(tmp_path: Path) -> None:
    file = written(tmp_path, 'etcd_password = "hush"')

    assert "replication.etcd_password" in refusal(file)
    assert "hush" not in refusal(file)
    assert "hush" not in refusal(environ={"NEXUS_ETCD_PASSWORD": "hush"})
    assert "hush" not in refusal(flags={"replication.token": "hush"})


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush\n")

    config = load(None, {}, {"cluster_secret_file": str(file)})

    assert config.cluster_secret == "hush"


def test_an_empty_missing_or_doubled_secret_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("\n")

    assert "is empty" in refusal(flags={"cluster_secret_file": str(file)})
    assert "cannot be read" in refusal(flags={"cluster_secret_file": str(tmp_path)})
    file.write_bytes(b"\xff")
    assert "not UTF-8" in refusal(flags={"cluster_secret_file": str(file)})
    both = {"cluster_secret_file": str(file), "cluster_secret": "hush"}
    assert "keep one" in refusal(flags=both)


def test_a_time_is_read_from_every_source() -> None:
    config = load(
        None,
        {"NEXUS_ARCHIVE_RETENTION_AGE": "30d"},
        {"archive.snapshot_interval": "12h", "archive.url": "/backups"},
    )

    assert config.archive.retention_age == 30 * 86_400
    assert config.archive.snapshot_interval == 12 * 3_600
    assert config.archive.url == "/backups"
    with pytest.raises(ConfigurationError, match="write a time, like 30s, 90m or 7d"):
        load(None, {}, {"archive.retention_age": "soon"})


def test_what_clients_read_of_the_environment_is_no_setting() -> None:
    theirs = {f"NEXUS_{name}_FILE": "x" for name in ("CA", "CERT", "KEY", "TOKEN")}

    assert load(None, theirs, {}) == Config()
