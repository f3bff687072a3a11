"""What a command's help says of its arguments and options, without Typer's types."""

import re
from typing import Any, Final

import typer

_TYPE: Final = re.compile(r" <([^<>]+)>$")
"""What Typer puts behind a name: `<str>`, `<list[str]>`, `<int range>`."""

_KINDS: Final = {"int": "N", "float": "N", "str": "TEXT", "path": "FILE"}

_BARE_DEFAULT: Final = re.compile(r"\[default: \(([^()]*)\)")


def plain(command: Any) -> Any:
    """The command, with those under it; its help then shows names as documented."""
    for below in getattr(command, "commands", {}).values():
        plain(below)
    for each in command.params:
        _name_plainly(each)
    return command


def _name_plainly(parameter: Any) -> None:
    is_argument = parameter.param_type_name == "argument"
    record, usage = parameter.get_help_record, parameter.get_usage_pieces

    def shown(context: typer.Context) -> tuple[str, str] | None:
        found = record(context)
        if found is None:
            return None
        name, told = found
        return (
            _TYPE.sub("" if is_argument else _kind, name),
            _BARE_DEFAULT.sub(r"[default: \1", told),
        )

    def pieces(context: typer.Context) -> list[str]:
        return [piece.replace("{", "").replace("}", "") for piece in usage(context)]

    parameter.get_help_record = shown
    parameter.get_usage_pieces = pieces


def _kind(found: re.Match[str]) -> str:
    """`N` for a number in a range, `TEXT` for a string, choices as they are."""
    label = found[1]
    return f" {_KINDS.get(label.removesuffix(' range'), label)}"
