"""Text that nobody else may read: a token, the cluster's secret, a password."""

from typing_extensions import override


class Secret(str):
    """It does not print itself, so that no log or error shows it."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "'(secret)'"
