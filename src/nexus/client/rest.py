"""Rows of a query that a node keeps until they are iterated."""

from collections.abc import Iterator
from typing import Self

from nexus.client.link import Link, LinkLostError
from nexus.client.session import Row
from nexus.errors import ConnectionLostError
from nexus.protocol.calls import Failed, Fetch, Rows
from nexus.protocol.failures import error_of


class Waiting:
    """What a session waits for just now, so that another thread can have it end."""

    __slots__ = ("request",)

    def __init__(self) -> None:
        self.request: tuple[Link, int] | None = None

    def interrupt(self) -> None:
        """Have it end with an error."""
        request = self.request
        if request is not None:
            link, request_id = request
            link.cancel(request_id)


class RestOfRows:
    """An iterator over a query's rows; closed or dropped, its node forgets them."""

    def __init__(
        self, link: Link, request_id: int, first: Rows, waiting: Waiting
    ) -> None:
        self._link = link
        self._request_id = request_id
        self._waiting = waiting
        self._rows: Iterator[Row] = iter(first.rows)
        self._more = first.more

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Row:
        """The next row.

        Raises ConnectionLostError where the node is gone, TransactionExpiredError
        where it was asked too late.
        """
        while True:
            row = next(self._rows, None)
            if row is not None:
                return row
            if not self._more:
                raise StopIteration
            self._fetch()

    def close(self) -> None:
        """Read no more."""
        self._rows = iter(())
        if self._more:
            self._more = False
            self._link.forget(self._request_id)

    def __del__(self) -> None:
        self.close()

    def _fetch(self) -> None:
        self._more = False
        self._waiting.request = (self._link, self._request_id)
        try:
            self._link.say(Fetch(self._request_id))
            answer = self._link.answer(self._request_id)
            if not isinstance(answer, Rows):
                if isinstance(answer, Failed):
                    raise error_of(answer)
                return
            self._rows = iter(answer.rows)
            if answer.more:
                self._more = True
            else:
                self._link.answer(self._request_id)
        except LinkLostError as error:
            raise ConnectionLostError(
                f"the rows that were left went with their node ({error}); read them "
                "anew"
            ) from error
        finally:
            self._waiting.request = None
