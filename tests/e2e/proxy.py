"""A TCP proxy between a replica and its master that delays, stalls, cuts and spoils."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from e2e.cluster import NodeProcess, free_port

READ_BYTES: Final = 64 << 10
HEADER_BYTES: Final = 5
REGIONS: Final = ("type", "length", "payload", "checksum")

Spoil = Callable[[bytes], bytes]


class Proxy:
    """Its own thread and event loop; the attributes may be changed at any time."""

    def __init__(self, target: NodeProcess) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.accepted = 0
        self.delay_s = 0.0
        self.to_master: Spoil | None = None
        """What is done to the next connection's bytes, from its first one on."""
        self.to_replica: Spoil | None = None
        self._target_port = target.wire_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def stall(self) -> None:
        """Let nothing pass in either direction, and close nothing."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def flow(self) -> None:
        """Undo `stall`; what waited passes first."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def cut(self) -> None:
        """Reset every connection that stands."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        host, _, port = self.address.partition(":")
        server = await asyncio.start_server(self._accept, host, int(port))
        self._ready.set()
        await self._over.wait()
        server.close()
        self._abort_all()
        links = asyncio.all_tasks() - {asyncio.current_task()}
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        self._writers.add(writer)
        to_master, to_replica = self.to_master, self.to_replica
        with suppress(OSError, asyncio.CancelledError):
            upstream_reader, upstream = await asyncio.open_connection(
                "127.0.0.1", self._target_port
            )
            self._writers.add(upstream)
            await asyncio.gather(
                self._pump(reader, upstream, to_master),
                self._pump(upstream_reader, writer, to_replica),
            )
            self._writers.discard(upstream)
        self._writers.discard(writer)
        writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        spoil: Spoil | None,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                writer.write(spoil(data) if spoil else data)
                await writer.drain()
        writer.close()

    def _abort_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@contextmanager
def proxy_to(target: NodeProcess) -> Iterator[Proxy]:
    """A proxy that passes everything on, until it is told otherwise."""
    proxy = Proxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


class FlippedBit:
    """Flips one bit in one region of the frame that begins next, once."""

    def __init__(self, region: str, bit: int) -> None:
        assert region in REGIONS
        self._region = region
        self._bit = bit
        self._head = bytearray()
        self._frame_left = 0
        self.done = False

    def __call__(self, data: bytes) -> bytes:
        """The chunk as it is passed on; chunks of one direction, in order.

        The stream must stand between two frames when the first chunk comes.
        """
        spoiled = bytearray(data)
        for index, byte in enumerate(data):
            if self.done:
                break
            self._step(spoiled, index, byte)
        return bytes(spoiled)

    def _step(self, spoiled: bytearray, index: int, byte: int) -> None:
        if len(self._head) < HEADER_BYTES:
            self._head.append(byte)
            place = len(self._head)
            if len(self._head) == HEADER_BYTES:
                self._frame_left = int.from_bytes(self._head[1:], "little") + 4
            hit = {"type": place == 1, "length": place == 2}.get(self._region, False)
        else:
            self._frame_left -= 1
            hit = (self._region == "payload" and self._frame_left >= 4) or (
                self._region == "checksum" and self._frame_left < 4
            )
            if self._frame_left == 0:
                self._head.clear()
        if hit:
            spoiled[index] ^= 1 << self._bit
            self.done = True
