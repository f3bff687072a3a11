"""Texts of SQL that clients store on the node, to send their ids later."""

from typing import Final

from nexus.api.refusals import SqlTextError, TooManyStreamsError

MOST_BYTES: Final = 64 << 20
"""Of the texts of all streams; more than each of so many streams needs."""

MOST_TEXTS: Final = 1_000
"""Of one stream; clients keep some thirty."""


class Shelf:
    """How much all streams together have stored."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0


class Texts:
    """What one stream has stored."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._texts: dict[int, str] = {}

    @property
    def all(self) -> dict[int, str]:
        """Every text by its id."""
        return dict(self._texts)

    def text(self, sql: str | None, sql_id: int | None) -> str:
        """The text that is meant; raises SqlTextError."""
        if sql is not None and sql_id is None:
            return sql
        if sql is not None or sql_id is None:
            raise SqlTextError("send either sql or sql_id")
        if sql_id not in self._texts:
            raise SqlTextError(f"no text is stored as {sql_id} in this stream")
        return self._texts[sql_id]

    def store(self, sql_id: int, sql: str) -> None:
        """Keep a text; raises SqlTextError, TooManyStreamsError."""
        if sql_id in self._texts:
            raise SqlTextError(f"a text is stored as {sql_id} already; close it first")
        if len(self._texts) >= MOST_TEXTS:
            raise SqlTextError(f"this stream has stored {MOST_TEXTS} texts; close some")
        size_bytes = _bytes_of(sql)
        if self._shelf.held_bytes + size_bytes > self._shelf.most_bytes:
            raise TooManyStreamsError(
                f"the streams of this node have stored {self._shelf.most_bytes} bytes "
                "of SQL; send the text itself"
            )
        self._shelf.held_bytes += size_bytes
        self._texts[sql_id] = sql

    def forget(self, sql_id: int) -> None:
        """Keep it no more; harmless where it is not there."""
        self._shelf.held_bytes -= _bytes_of(self._texts.pop(sql_id, ""))

    def close(self) -> None:
        """Keep none of them."""
        for sql_id in list(self._texts):
            self.forget(sql_id)


def _bytes_of(sql: str) -> int:
    return len(sql.encode(errors="surrogatepass"))
