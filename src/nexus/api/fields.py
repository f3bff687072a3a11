"""The fields that a body may have at the place where it has one too many."""

import re
from typing import Any, Final

from msgspec import inspect

_UNKNOWN: Final = re.compile(r"Object contains unknown field `.*?`(?: - at `\$(.*)`)?")
_STEP: Final = re.compile(r"\.(\w+)|\[[^]]*\]")


def known_fields(kind: Any, complaint: str) -> str:
    """What msgspec's complaint of an unknown field leaves out; else empty."""
    found = _UNKNOWN.fullmatch(complaint)
    if found is None:
        return ""
    place = _struct(inspect.type_info(kind))
    for name in _STEP.findall(found[1] or ""):
        place = _struct(_inside(place, name))
    if not isinstance(place, inspect.StructType):
        return ""
    return f"; known here are {', '.join(one.encode_name for one in place.fields)}"


def _inside(place: inspect.Type, name: str) -> inspect.Type:
    """The type of a field, or of the items of a list."""
    if isinstance(place, inspect.StructType):
        types = {field.encode_name: field.type for field in place.fields}
        return types.get(name, place)
    return place.item_type if isinstance(place, inspect.ListType) else place


def _struct(place: inspect.Type) -> inspect.Type:
    """Of several types the one that has fields, or items."""
    if not isinstance(place, inspect.UnionType):
        return place
    able = (inspect.StructType, inspect.ListType)
    return next((one for one in place.types if isinstance(one, able)), place)
