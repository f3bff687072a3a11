"""What a node's role works with, whatever the role is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from nexus.archive.stores import Store
from nexus.config import Config
from nexus.errors import WrongRoleError
from nexus.model.cluster import ArchiveStatus, Role
from nexus.model.position import Offset
from nexus.node.backup.archiving import Archiving, archiving_of, store_of
from nexus.node.backup.seeding import seed_replica
from nexus.node.copied import notice_copy
from nexus.node.execution import Executor
from nexus.node.guest import Guest, path_of
from nexus.node.lasting import LastingExecutor
from nexus.node.network.admittance import Admittance
from nexus.node.network.port import MAIN, Port
from nexus.node.network.security import TransportSecurity
from nexus.node.publisher import Publisher, PublisherHooks
from nexus.node.reading.changes import ChangeFeed
from nexus.node.reading.verification import Verifications
from nexus.node.reading.views import Views
from nexus.node.reading.waiters import OffsetWaiters
from nexus.node.startup import Storage, open_storage
from nexus.node.streaming.sending import SnapshotSender
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from nexus.protocol.databases import features_for
from nexus.protocol.messages import TOKENS
from nexus.replication.settings import Identity
from nexus.replication.timing.delay import delay_features
from nexus.storage.catalog import CatalogState
from nexus.storage.database import Database
from nexus.storage.directory import DataDirectory
from nexus.storage.rewinding.diverged import DivergedStore
from nexus.storage.snapshots.receiver import SnapshotReceiver
from nexus.storage.snapshots.store import SnapshotSettings, SnapshotStore
from nexus.storage.wal import WriteAheadLog

ASYNC_PACE_S: Final = 0.020
"""By so much more a replica may lag, for a fraction of the work on every node."""

HASHING_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once, when the node starts."""

    config: Config
    loop: asyncio.AbstractEventLoop
    storage: Storage
    address: str
    """Where other nodes reach this one, `host:port`."""
    http_url: str
    """Where clients reach it."""
    port: Port
    publisher: Publisher
    executor: Executor
    views: Views
    hashing: LastingExecutor
    snapshots: SnapshotStore
    sender: SnapshotSender
    receiver: SnapshotReceiver
    diverged: DivergedStore
    verifications: Verifications
    waiters: OffsetWaiters
    changes: ChangeFeed
    measures: Measures
    events: EventLog
    failed: Callable[[BaseException], None]
    """Tell the node that it cannot go on; on its loop."""
    guest: Guest | None
    """None: it is the main database's node, and the port is its own."""
    before_replacing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What must be done before a full sync replaces this node's data."""
    archiving: Archiving | None = None
    """Where this node archives, if it does."""

    @property
    def name(self) -> str:
        """The database's; empty: it is the main one."""
        return self.guest.database if self.guest else MAIN

    @property
    def is_led(self) -> bool:
        """Whether it is a named database, and the main one's master is this node."""
        return self.guest is not None and self.guest.is_led()

    @property
    def log(self) -> WriteAheadLog:
        """The log of entries."""
        return self.storage.log

    @property
    def database(self) -> Database:
        """The database that users read."""
        return self.storage.database

    @property
    def state(self) -> CatalogState:
        """What the catalog holds now."""
        return self.storage.catalog.state

    @property
    def is_witness(self) -> bool:
        """Whether this node keeps the log and no database."""
        return self.config.replication.role is Role.WITNESS

    def master_addresses(self) -> tuple[str, ...]:
        """Where a master may be: what a role change kept, else the configuration."""
        replication = self.config.replication
        found = [self.state.master_addr, replication.master_addr or ""]
        if replication.role is Role.REPLICA:
            found.reverse()
        found += replication.peers
        others = dict.fromkeys(a for a in found if a and a != self.address)
        return tuple(others) or (self.address,)

    def archive_floor(self) -> Offset:
        """The log keeps entries from here on for the archive."""
        if self.archiving is None:
            return Offset(self.log.last_offset + 1)
        return self.archiving.floor()

    def archive_now(self) -> ArchiveStatus:
        """Have a snapshot archived soon; raises WrongRoleError."""
        status = self.archiving.status() if self.archiving else None
        if self.archiving is None or status is None:
            raise WrongRoleError(
                "this node archives nothing: archive.url is not set, or its reign has "
                "only begun; set it on every node, or ask again in a second"
            )
        self.archiving.snapshot_now()
        return status

    def identity(self) -> Identity:
        """This node, as it introduces itself."""
        delay_ms = self.config.replication.apply_delay_ms
        return Identity(
            node_id=self.state.node_id,
            cluster_id=self.state.cluster_id,
            address=self.address,
            http_url=self.http_url,
            voter=self.config.replication.coordinator == "etcd",
            page_size=self.database.page_size,
            encoding=self.database.encoding,
            features=(*features_for(self.name), *delay_features(delay_ms), TOKENS),
        )

    def on_loop(
        self,
        call: Callable[[Any], None] | None,
        *,
        unless: Callable[[], bool] = lambda: False,
    ) -> Callable[[Any], None]:
        """The same call, to be made from another thread, once, on the loop.

        Waking the loop costs as much as a small transaction: `unless` spares it.
        Without a call nothing is done.
        """
        if call is None:
            return lambda _: None

        def soon(value: Any) -> None:
            if not unless() and not self.loop.is_closed():
                self.loop.call_soon_threadsafe(call, value)

        return soon

    def close(self) -> None:
        """Close what `open_parts` opened, but for publisher and port; blocks."""
        if self.archiving is not None:
            self.archiving.close()
        self.changes.close()
        self.database.close_readers()
        self.views.close()
        self.executor.close()
        self.verifications.close()
        self.hashing.shutdown()
        self.receiver.close()
        self.storage.close()


@dataclass(frozen=True, slots=True)
class Opening:
    """What a node's parts are made of."""

    config: Config
    http_addr: str
    """Where its API is to be found; empty where it has none."""
    hooks: PublisherHooks
    failed: Callable[[BaseException], None]
    """As in `Parts`."""
    measures: Measures
    host: TransportSecurity | Guest
    """What its own port proves itself with, or whose guest this node is."""

    @property
    def guest(self) -> Guest | None:
        """None for the main database's node."""
        return self.host if isinstance(self.host, Guest) else None

    @property
    def database(self) -> str:
        """The database's name; empty: it is the main one."""
        return self.guest.database if self.guest else MAIN

    def url_at(self, port: Port) -> str:
        """Where clients find its API, which speaks as this port does; or empty."""
        if not self.http_addr:
            return ""
        return f"{port.security.scheme}://{self.http_addr}{path_of(self.database)}"


async def open_parts(opening: Opening) -> Parts:
    """Open the data directory, and the replication port for whoever is no guest.

    Raises StorageError or ConfigurationError; nothing is left open then.
    """
    config, guest = opening.config, opening.guest
    store = store_of(config.archive.url, opening.database)
    if store is not None and config.archive.seed:
        await asyncio.to_thread(seed_replica, config, store)
    node_id = guest.node_id if guest else None
    storage = await asyncio.to_thread(open_storage, config, node_id)
    try:
        await asyncio.to_thread(notice_copy, storage, config)
        port = await _port(config, opening.host, storage)
    except BaseException:
        await asyncio.to_thread(storage.close)
        raise
    return _made(opening, storage, port, store)


async def _port(
    config: Config, host: TransportSecurity | Guest, storage: Storage
) -> Port:
    """The port at which this database is reached, open and published."""
    if isinstance(host, Guest):
        storage.lock.publish(f"{host.port.address}/{host.database}")
        return host.port
    database = storage.database
    port = Port(
        host,
        # Who comes before the node knows its tokens has to come again.
        Admittance(config, lambda: database.tokens, lambda: True),
        timeout_s=config.replication.connect_timeout_ms / 1000,
        named=config.databases,
    )
    try:
        await port.start(config.replication.bind_addr)
        storage.lock.publish(port.address)
    except BaseException:
        await port.stop()
        raise
    return port


def _made(opening: Opening, storage: Storage, port: Port, store: Store | None) -> Parts:
    config, hooks, measures = opening.config, opening.hooks, opening.measures
    catalog, log, database = storage.catalog, storage.log, storage.database
    publisher = Publisher(hooks, port, database=opening.database)
    publisher.start(log)
    hooks.events.locate(
        lambda: (catalog.state.epoch, log.last_offset), opening.database
    )
    snapshots, receiver = _snapshots(config, storage.directory)
    sender = SnapshotSender(snapshots, database, log, hooks.events, measures)
    waiters = OffsetWaiters(lambda: database.position.offset)
    hashing = LastingExecutor(HASHING_THREADS, thread_name_prefix="nexus-hash")
    return Parts(
        config=config,
        loop=asyncio.get_running_loop(),
        storage=storage,
        address=port.address,
        http_url=opening.url_at(port),
        port=port,
        publisher=publisher,
        executor=_executor(config, database, waiters, measures),
        views=Views(database),
        hashing=hashing,
        snapshots=snapshots,
        sender=sender,
        receiver=receiver,
        diverged=DivergedStore(storage.directory.diverged),
        verifications=Verifications(database, hashing),
        waiters=waiters,
        changes=ChangeFeed(database, log, waiters),
        measures=measures,
        events=hooks.events,
        failed=opening.failed,
        guest=opening.guest,
        archiving=archiving_of(
            store, config.archive, storage, snapshots, sender, hooks.events
        ),
    )


def _executor(
    config: Config, database: Database, waiters: OffsetWaiters, measures: Measures
) -> Executor:
    return Executor(
        database,
        waiters,
        measures,
        patience_s=config.limits.idle_transaction_ms / 1000,
        delay_ms=config.replication.apply_delay_ms,
    )


def _snapshots(
    config: Config, directory: DataDirectory
) -> tuple[SnapshotStore, SnapshotReceiver]:
    """What makes and keeps them, and what takes one from a master."""
    settings = SnapshotSettings(
        compression_level=config.snapshot.compression_level,
        max_size=config.snapshot.max_size,
        chunk_size=config.snapshot.chunk_size,
    )
    receiver = SnapshotReceiver(directory.snapshots, max_size=settings.max_size)
    return SnapshotStore(directory.snapshots, settings), receiver
