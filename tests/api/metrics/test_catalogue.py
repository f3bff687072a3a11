"""Names that Prometheus and its users can rely on."""

import re

from nexus.api.metrics.catalogue import FAMILIES, Kind

UNITS = ("seconds", "bytes", "entries", "transactions", "offset")


def test_a_name_begins_with_nexus_and_has_no_two_underscores() -> None:
    odd = [name for name in FAMILIES if not re.fullmatch(r"nexus(_[a-z]+)+", name)]

    assert odd == []


def test_just_counters_end_in_total() -> None:
    for name, family in FAMILIES.items():
        assert name.endswith("_total") is (family.kind is Kind.COUNTER), name


def test_a_unit_stands_last() -> None:
    for name in FAMILIES:
        bare = name.removesuffix("_total")
        ends_well = bare.endswith(UNITS) or not any(
            f"_{unit}_" in bare for unit in UNITS
        )
        assert ends_well, name


def test_a_meaning_is_a_sentence() -> None:
    for family in FAMILIES.values():
        assert family.meaning.endswith("."), family.name
