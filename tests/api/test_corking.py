import asyncio
from typing import Any

from typing_extensions import override

from nexus.api.corking import HELD_LIMIT, CorkedTransport


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__(extra={"peername": "p"})
        self.writes: list[bytes] = []
        self.calls: list[str] = []

    @override
    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    @override
    def close(self) -> None:
        self.calls.append(f"close after {len(self.writes)}")

    @override
    def write_eof(self) -> None:
        self.calls.append(f"end after {len(self.writes)}")

    @override
    def abort(self) -> None:
        self.calls.append(f"abort after {len(self.writes)}")

    @override
    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.writes))

    @override
    def is_closing(self) -> bool:
        return bool(self.calls)

    @override
    def pause_reading(self) -> None:
        self.calls.append("pause")

    @override
    def resume_reading(self) -> None:
        self.calls.append("resume")


def corked() -> tuple[Wire, CorkedTransport]:
    wire = Wire()
    return wire, CorkedTransport(wire, asyncio.get_running_loop())


async def test_writes_of_one_turn_are_one_write_of_the_next() -> None:
    wire, transport = corked()

    transport.write(b"head")
    transport.write(bytearray(b"body"))
    assert wire.writes == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)

    assert wire.writes == [b"headbody", b"next"]


async def test_what_is_held_is_bounded() -> None:
    wire, transport = corked()

    transport.write(b"x" * HELD_LIMIT)
    transport.write(b"y")

    assert len(wire.writes[0]) == HELD_LIMIT + 1
    await asyncio.sleep(0)
    assert len(wire.writes) == 1


async def test_a_close_loses_nothing_that_was_written() -> None:
    wire, transport = corked()

    transport.write(b"last")
    transport.close()

    assert wire.writes == [b"last"]
    assert wire.calls == ["close after 1"]
    assert transport.is_closing()


async def test_the_end_comes_after_all_that_was_written() -> None:
    wire, transport = corked()

    transport.write(b"last")
    transport.write_eof()

    assert wire.writes == [b"last"]
    assert wire.calls == ["end after 1"]


async def test_an_abort_drops_what_is_held() -> None:
    wire, transport = corked()

    transport.write(b"sent")
    await asyncio.sleep(0)
    transport.write(b"held")
    assert transport.get_write_buffer_size() == 8
    transport.abort()
    await asyncio.sleep(0)

    assert wire.writes == [b"sent"]
    assert wire.calls == ["abort after 1"]


async def test_all_else_is_the_wires() -> None:
    wire, transport = corked()

    transport.pause_reading()
    transport.resume_reading()

    assert wire.calls == ["pause", "resume"]
    assert transport.get_extra_info("peername") == "p"
    assert transport.get_extra_info("absent", 1) == 1
