"""Every form of an engine's URL means one place, or says what is wrong with it."""

from typing import Any

import pytest
from sqlalchemy import URL, create_engine, event, exc, make_url

from nexus.client.sqlalchemy.urls import options_of, target
from nexus.client.target import read_target

TOKEN = "p@ss/w%rd:é"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("nexus://a:15475/?read=nearest", "nexus://a:15475/?read=nearest"),
        ("nexus+aio://a:15475/", "nexus://a:15475/"),
        ("nexus://a", "nexus://a/"),
        ("nexus://a,b,c/", "nexus://a,b,c/"),
        ("nexus://[a:1,b:2]/?read=nearest", "nexus://a:1,b:2/?read=nearest"),
        ("nexus://a:1/?host=b:2&host=c:3", "nexus://a:1,b:2,c:3/"),
        ("nexus:///?host=b:2&foreign_keys=off", "nexus://b:2/"),
        ("nexus://a:1/orders", "nexus://a:1/orders"),
        ("nexus://[a:1,b:2]/orders?timeout=3", "nexus://a:1,b:2/orders?timeout=3"),
        ("nexus:///orders?host=b:2", "nexus://b:2/orders"),
        ("nexus://[::1]:7/", "nexus://[::1]:7/"),
        ("nexus://[::1]/", "nexus://[::1]/"),
        ("nexus://[[::1]:7,b:2]/", "nexus://[::1]:7,b:2/"),
        ("nexus://:s3cret@a:1/", "nexus://:s3cret@a:1/"),
        ("nexus://me:p%40ss@a:1/", "nexus://me:p%40ss@a:1/"),
        ("nexus://me@a:1/", "nexus://me@a:1/"),
        ("nexus:///data/dir", "data/dir"),
        ("nexus:////data/dir", "/data/dir"),
        ("nexus:///data/dir?timeout=3", "data/dir"),
    ],
)
def test_a_url_names_a_cluster_or_a_directory(url: str, place: str) -> None:
    assert target(make_url(url)) == place


@pytest.mark.parametrize(
    ("parts", "addresses", "database"),
    [
        ({"host": "a", "port": 1}, ("a:1",), ""),
        ({"host": "a", "database": "orders"}, ("a:15475",), "orders"),
        ({"host": "::1", "port": 1}, ("[::1]:1",), ""),
        ({"host": "a:1,b:2"}, ("a:1", "b:2"), ""),
        ({"query": {"host": ("a:1", "b:2")}}, ("a:1", "b:2"), ""),
        ({"host": "a", "query": {"tls": "on"}}, ("a:15475",), ""),
    ],
)
def test_what_url_create_makes_is_what_connect_reads(
    parts: dict[str, Any], addresses: tuple[str, ...], database: str
) -> None:
    url = URL.create("nexus", password=TOKEN, **parts)
    found = read_target(target(url))

    assert (found.addresses, found.database) == (addresses, database)
    assert found.secret == TOKEN
    assert (found.tls is not None) == ("tls" in parts.get("query", {}))


def test_connect_args_go_before_the_url() -> None:
    engine = create_engine(
        "nexus:///none?timeout=9", connect_args={"timeout": 0.5, "token": TOKEN}
    )
    seen: dict[str, Any] = {}

    @event.listens_for(engine, "do_connect")
    def connecting(*told: Any) -> None:
        seen.update(told[3])
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.connect()

    assert (seen["timeout"], seen["token"]) == (0.5, TOKEN)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("nexus:///dir", {}),
        ("nexus:///dir?timeout=2.5&foreign_keys=off", {"timeout": 2.5}),
        ("nexus://a/?timeout=2.5", {}),
    ],
)
def test_a_directory_takes_a_timeout(url: str, options: dict[str, Any]) -> None:
    assert options_of(make_url(url)) == options


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nexus:///dir?read=nearest", "read= means nothing for a directory"),
        ("nexus:///dir?timeout=soon", "timeout=soon is no number"),
        ("nexus:///dir?timeout=-1", "timeout=-1 is no number"),
        ("nexus:///dir?timeout=1&timeout=2", "is no number"),
        ("nexus:///dir?foreign_keys=maybe", "foreign_keys is on or off"),
        ("nexus://a/?foreign_keys=maybe", "foreign_keys is on or off"),
    ],
)
def test_what_means_nothing_is_said_before_anybody_is_asked(url: str, why: str) -> None:
    with pytest.raises(exc.ArgumentError, match=why):
        create_engine(url).connect()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nexus://", r"nexus://\[a:15475,b:15475\]/"),
        ("nexus://a:1/?read=nonsense", "read=nonsense is none of"),
        ("nexus://a:1/?nonsense=1", "nonsense=1 is none of"),
        ("nexus://:s3cret@a:1/x/y", "/x/y is no name of a database"),
        ("nexus://s3cret@a:1/", "is a password: write nexus://:TOKEN@HOST"),
        ("nexus://:s3cret@127.0.0.1:1/?timeout=0.1", "answers queries within"),
        ("nexus://:s3cret@a:1/?timeout=s", "timeout=s is no number of seconds"),
    ],
)
def test_what_is_wrong_is_told_without_the_password(url: str, why: str) -> None:
    engine = create_engine(url)
    with pytest.raises(exc.DBAPIError, match=why) as told:
        engine.connect()

    assert "s3cret" not in str(told.value)
    assert ":s3cret" not in repr(engine)
