"""The cluster's configuration is kept in the database, beside the rows it came with."""

from pathlib import Path

from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Configuration
from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.storage.apply import Applier
from nexus.storage.database import Database
from nexus.storage.schema import system

FIRST = Configuration("cluster", (("a", "a:1"), ("b", "b:1"), ("c", "c:1")))
SECOND = Configuration("cluster", (("a", "a:1"), ("b", "b:1")), auto_failover=False)


def entry(offset: int, configuration: Configuration) -> Record:
    payload = Payload(1, "", b"", (configuration,))
    return Record(Epoch(1), Offset(offset), encode_payload(payload))


def test_the_last_configuration_that_was_applied_is_the_one_in_force(
    tmp_path: Path,
) -> None:
    database = Database.open(tmp_path / "nexus.db")
    try:
        assert system.read_configuration(database.writer) is None
        database.set_mode_applying()
        applied = Applier(database).apply([entry(1, FIRST), entry(2, SECOND)])
        assert applied == Position(Epoch(1), Offset(2), HistoryId(""))
        assert system.read_configuration(database.writer) == (2, SECOND)
        database.writer.execute('delete from nexus_membership where "offset" > 1')
        assert system.read_configuration(database.writer) == (1, FIRST)
    finally:
        database.close()
