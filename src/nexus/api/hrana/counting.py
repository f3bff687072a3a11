"""Bound how many statements one request brings, before the first of them is run.

A request is what comes at once: a pipeline, a batch, or one message over a WebSocket.
"""

from collections.abc import Iterable, Mapping

from nexus.api.bodies import check_count
from nexus.api.hrana.messages import (
    BatchRequest,
    DescribeRequest,
    ExecuteRequest,
    SequenceRequest,
    StoreSqlRequest,
    StreamRequest,
)
from nexus.model.statements import split


def require_few(
    requests: Iterable[StreamRequest], stored: Mapping[int, str], *, most: int
) -> None:
    """Raises BodyTooLargeError where they have more statements than `most` together.

    `stored` are the texts that the stream has; those of the request count as well.
    """
    count, scripts = _counted(requests, dict(stored))
    # A script has no more statements than this; to know how many costs reading it.
    if count + sum(script.count(";") + 1 for script in scripts) <= most:
        return
    known = {script: len(split(script)) for script in set(scripts)}
    check_count(count + sum(known[script] for script in scripts), most=most)


def _counted(
    requests: Iterable[StreamRequest], known: dict[int, str]
) -> tuple[int, list[str]]:
    """The statements that stand alone, and the scripts."""
    count = 0
    scripts: list[str] = []
    for request in requests:
        match request:
            case StoreSqlRequest():
                known[request.sql_id] = request.sql
            case ExecuteRequest() | DescribeRequest():
                count += 1
            case BatchRequest():
                count += len(request.batch.steps)
            case SequenceRequest():
                text = request.sql
                scripts.append(
                    known.get(request.sql_id or 0, "") if text is None else text
                )
            case _:
                continue
    return count, scripts
