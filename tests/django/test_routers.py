"""Reads go where all that was written is known."""

from contextvars import copy_context
from typing import Any

from django.db import transaction

from nexus.django.positions import seen
from nexus.django.routers import ReplicaRouter

router = ReplicaRouter()


def chosen() -> str:
    return router.db_for_read(object)


def test_a_replica_that_holds_all_is_read(wrapper: Any, replica: Any) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute("create table t(a)")

    assert chosen() == replica.alias
    assert router.db_for_write(object) == "default"


def test_a_replica_that_lags_is_not(wrapper: Any, replica: Any) -> None:
    def later() -> str:
        seen(1_000_000)
        return chosen()

    assert copy_context().run(later) == wrapper.alias
    assert chosen() == replica.alias


def test_a_replica_that_is_down_is_passed_over(wrapper: Any) -> None:
    assert chosen() == wrapper.alias


def test_a_replica_that_dies_behind_its_connection_is_passed_over(
    wrapper: Any, replica: Any
) -> None:
    assert chosen() == replica.alias

    replica.connection.close()  # as far as queries go it is as dead as its node

    assert chosen() == wrapper.alias


def test_a_transaction_reads_what_it_has_written(wrapper: Any, replica: Any) -> None:
    with transaction.atomic():
        assert chosen() == wrapper.alias
    assert chosen() == replica.alias


def test_without_replicas_there_is_one_place_to_read(
    wrapper: Any, settings: Any
) -> None:
    settings.NEXUS_REPLICAS = []

    assert chosen() == wrapper.alias


def test_replicas_are_the_cluster_and_are_not_migrated(wrapper: Any) -> None:
    class Row:
        def __init__(self, alias: str) -> None:
            self._state = type("State", (), {"db": alias})()

    assert router.allow_relation(Row("default"), Row("replica"))
    assert router.allow_relation(Row("default"), Row("archive")) is None
    assert router.allow_migrate("replica", "shop") is False
    assert router.allow_migrate(wrapper.alias, "shop") is None
