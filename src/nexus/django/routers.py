"""Send reads to replicas, and never a client to a state older than its own writes.

DATABASE_ROUTERS = ["nexus.django.routers.ReplicaRouter"]
NEXUS_REPLICAS = ["replica"]    # aliases in DATABASES
"""

import random
from typing import Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.utils import DatabaseError

from nexus.django.positions import applied, needed

DEFAULT: Final[str] = DEFAULT_DB_ALIAS


class ReplicaRouter:
    """Reads go to a replica that holds all the client has written, if there is one."""

    def db_for_read(self, model: type, **hints: Any) -> str:
        """An alias of NEXUS_REPLICAS, or the default one."""
        del model, hints
        aliases = list(getattr(settings, "NEXUS_REPLICAS", ()))
        if not aliases or connections[DEFAULT].in_atomic_block:
            return DEFAULT
        wanted = needed()
        random.shuffle(aliases)
        for alias in aliases:
            try:
                if applied(alias) >= wanted:
                    return str(alias)
            except DatabaseError:
                continue  # it is down, or has nothing yet: another one serves
        return DEFAULT

    def db_for_write(self, model: type, **hints: Any) -> str:
        """The default alias."""
        del model, hints
        return DEFAULT

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool | None:
        """All aliases of a cluster hold the same rows."""
        del hints
        cluster = {DEFAULT, *getattr(settings, "NEXUS_REPLICAS", ())}
        homes = {one._state.db, other._state.db}  # noqa: SLF001 - Django's interface
        return True if homes <= cluster else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Replicas are migrated by their master."""
        del app_label, hints
        return False if db in getattr(settings, "NEXUS_REPLICAS", ()) else None
