from typing import Any

import pytest

from api.fake_node import FakeNode, client_of

CONTENT = bytes(range(256)) * 4096  # four pieces


async def fetched(node: FakeNode, *, method: str = "GET", **headers: str) -> Any:
    async with client_of(node) as client:
        return await client.request(
            method,
            "/replication/snapshots/s1",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )


@pytest.fixture
def etag(node: FakeNode) -> str:
    info = node.snapshots.make(CONTENT)
    return f'"{info.id}-{info.checksum}"'


async def test_a_snapshot_is_made_and_told_of(node: FakeNode) -> None:
    async with client_of(node) as client:
        none = await client.get("/replication/snapshot")
        made = await client.post("/replication/snapshot")
        last = await client.get("/replication/snapshot")
        listed = await client.get("/replication/snapshots")

    assert (none.status_code, none.json()["code"]) == (404, "not_found")
    assert made.json() == {
        "id": "s1",
        "created_at": "2025-01-02T03:04:05+00:00",
        "position": "2:12@h2",
        "wal_offset": 12,
        "uncompressed_size": 4096,
        "compressed_size": 70,
        "checksum": "0badcafe",
        "files_count": 2,
    }
    assert last.json() == made.json()
    assert listed.json() == {"snapshots": [made.json()]}


async def test_an_archive_is_downloaded_whole(node: FakeNode, etag: str) -> None:
    answer = await fetched(node)

    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Content-Type"] == "application/zstd"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == etag
    assert "s1.tar.zst" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-300000", 10, 300_001),
        (f"bytes={len(CONTENT) - 5}-", len(CONTENT) - 5, len(CONTENT)),
        ("bytes=-7", len(CONTENT) - 7, len(CONTENT)),
        ("bytes=5-99999999999", 5, len(CONTENT)),
        ("bytes=-99999999999", 0, len(CONTENT)),
    ],
)
@pytest.mark.usefixtures("etag")
async def test_a_broken_download_goes_on_from_any_byte(
    node: FakeNode, wanted: str, start: int, stop: int
) -> None:
    answer = await fetched(node, Range=wanted)

    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["Content-Range"] == (
        f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    )


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=a-b",
        "bytes=-",
        "lines=1-2",
        "bytes=5-2",
        "bytes=0-1,4-5",
        "bytes=" + "9" * 99,
    ],
)
@pytest.mark.usefixtures("etag")
async def test_a_range_that_is_not_understood_is_ignored(
    node: FakeNode, wanted: str
) -> None:
    answer = await fetched(node, Range=wanted)

    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


@pytest.mark.parametrize("wanted", [f"bytes={len(CONTENT)}-", "bytes=-0"])
@pytest.mark.usefixtures("etag")
async def test_a_range_beyond_the_end_is_refused_with_the_length(
    node: FakeNode, wanted: str
) -> None:
    answer = await fetched(node, Range=wanted)

    assert (answer.status_code, answer.json()["code"]) == (416, "range")
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


async def test_a_range_of_another_archive_gets_the_whole(
    node: FakeNode, etag: str
) -> None:
    other = await fetched(node, Range="bytes=5-", If_Range='"other"')
    same = await fetched(node, Range="bytes=5-", If_Range=etag)

    assert (other.status_code, same.status_code) == (200, 206)


@pytest.mark.usefixtures("etag")
async def test_head_tells_the_length_alone(node: FakeNode) -> None:
    answer = await fetched(node, method="HEAD")

    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.content == b""


@pytest.mark.usefixtures("etag")
async def test_an_archive_that_is_not_there_is_a_404(node: FakeNode) -> None:
    node.snapshots.path("s1").unlink()

    dropped = await fetched(node)
    async with client_of(node) as client:
        never = await client.get("/replication/snapshots/..%2Fcatalog.db")

    assert (dropped.status_code, never.status_code) == (404, 404)


async def test_a_master_is_told_to_archive_and_says_how_it_stood(
    node: FakeNode,
) -> None:
    async with client_of(node) as client:
        answer = await client.post("/replication/archive")

        assert answer.status_code == 200
        assert (answer.json()["offset"], answer.json()["snapshots"]) == (7, 1)
