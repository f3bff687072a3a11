"""Sells albums through Django's models until a line comes on standard input.

Run in the example project. The last line of its output is JSON: what was acknowledged,
what failed with which codes, and what of it stands in the database.
"""

import json
import os
import select
import sys
from collections import Counter
from importlib import import_module
from typing import Any

sys.path.insert(0, ".")
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import_module("django").setup()
transaction: Any = import_module("django.db.transaction")
Error: Any = import_module("django.db").Error
models: Any = import_module("shop.models")


def sell(artist: Any, number: int) -> None:
    """An album, with its sale where `number` is even."""
    with transaction.atomic():
        album = models.Album.objects.create(artist=artist, title=str(number), price=1)
        if number % 2 == 0:
            models.Sale.objects.create(album=album, paid=1)


def main() -> None:
    """Sell, then count."""
    artist = models.Artist.objects.create(name="Nobody")
    acknowledged, failed, codes, number = [], [], Counter[str](), 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        number += 1
        try:
            sell(artist, number)
        except Error as error:
            failed.append(number)
            codes[getattr(error.__cause__, "code", repr(error))] += 1
        else:
            acknowledged.append(number)
            if len(acknowledged) % 20 == 0:
                sys.stdout.write(f"{len(acknowledged)}\n")
                sys.stdout.flush()
    titles = models.Album.objects.order_by("id").values_list("title", flat=True)
    told = {
        "acknowledged": acknowledged,
        "failed": failed,
        "codes": codes,
        "stored": [int(title) for title in titles],
        "sales": models.Sale.objects.count(),
    }
    sys.stdout.write(json.dumps(told) + "\n")


main()
