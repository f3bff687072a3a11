"""The backend's connection and cursor."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import IntegrityError, OperationalError

import nexus


def test_parameters_are_written_as_django_writes_them(wrapper: Any) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute("create table t(a integer, b text)")
        cursor.executemany("insert into t values (%s, %s)", ([n, "%"] for n in (1, 2)))
        cursor.executemany("insert into t values (%(n)s, '%%s')", [{"n": 3}])
        cursor.executemany("insert into t values (%s, %s)", [])
        cursor.execute("select * from t where a >= %(least)s", {"least": 2})

        assert cursor.fetchall() == [(2, "%"), (3, "%s")]
        cursor.execute("select '%s'")
        assert cursor.fetchone() == ("%s",)


def test_values_are_converted_by_the_declared_types(wrapper: Any) -> None:
    noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
    with wrapper.cursor() as cursor:
        cursor.execute("create table t(a bool, b date, c datetime, d decimal)")
        cursor.execute(
            "insert into t values (%s, %s, %s, %s)",
            [True, date(2026, 11, 28), noon.replace(tzinfo=None), Decimal("1.50")],
        )
        cursor.execute("select a, b, c, cast(d as text) from t")

        assert cursor.fetchone() == (
            True,
            date(2026, 11, 28),
            noon.replace(tzinfo=None),
            "1.5",
        )


def test_errors_come_as_djangos(wrapper: Any) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute("create table t(a primary key)")
        cursor.execute("insert into t values (1)")
        with pytest.raises(IntegrityError, match="UNIQUE"):
            cursor.execute("insert into t values (1)")
        with pytest.raises(OperationalError, match="no such table"):
            cursor.execute("select * from nowhere")


def test_a_node_without_djangos_functions_is_refused_with_the_mend(
    wrapper: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    ports = {"bind": "127.0.0.1:0", "http_addr": "127.0.0.1:0"}
    with nexus.open(tmp_path / "plain", **ports) as plain:
        monkeypatch.setattr(
            wrapper.creation, "open", lambda **_: plain.connect(autocommit=True)
        )
        with pytest.raises(ImproperlyConfigured, match="--functions django"):
            wrapper.get_new_connection({})


def test_another_failure_to_connect_stays_what_it_is(
    wrapper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def execute(self, _: str) -> None:
            raise nexus.OperationalError("the disk is gone")

        def close(self) -> None:
            """Nothing is held."""

    monkeypatch.setattr(wrapper.creation, "open", lambda **_: Broken())

    with pytest.raises(nexus.OperationalError, match="the disk is gone"):
        wrapper.get_new_connection({})


def test_commands_of_the_settings_are_run_on_each_connection(wrapper: Any) -> None:
    params = wrapper.get_connection_params()
    assert "uri" not in params

    wrapper.init_commands = ["create table made(a)", " "]
    connection = wrapper.get_new_connection(params)
    assert connection.execute("select count(*) from made").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"HOST": "a"}, "has HOST, which"),
        ({"USER": "ada", "PORT": "15475", "HOST": "a"}, "has HOST and PORT and USER,"),
    ],
)
def test_settings_of_other_databases_are_refused_with_what_to_write(
    wrapper: Any, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    for name, value in given.items():
        monkeypatch.setitem(wrapper.settings_dict, name, value)

    with pytest.raises(ImproperlyConfigured, match=named) as refused:
        wrapper.get_connection_params()

    assert "NAME says where" in str(refused.value)


def test_the_password_is_a_token_unless_the_options_have_one(
    wrapper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(wrapper.settings_dict, "PASSWORD", "nexus_1")
    assert wrapper.get_connection_params()["token"] == "nexus_1"

    monkeypatch.setitem(wrapper.settings_dict, "OPTIONS", {"token": "nexus_2"})
    assert wrapper.get_connection_params()["token"] == "nexus_2"

    monkeypatch.setitem(wrapper.settings_dict, "OPTIONS", {"secret": "s"})
    assert "token" not in wrapper.get_connection_params()


def test_a_connection_that_died_is_known(wrapper: Any) -> None:
    wrapper.ensure_connection()
    assert wrapper.is_usable()
    assert not wrapper.is_in_memory_db()

    wrapper.connection.close()
    assert not wrapper.is_usable()
