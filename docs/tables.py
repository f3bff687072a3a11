"""Write the tables of the reference from the code, so that they stay true."""

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from nexus import errors
from nexus.api.application import CALLS
from nexus.api.metrics.catalogue import FAMILIES
from nexus.api.statuses import row_of
from nexus.cli.flags import ALIASES, NO_FLAG, flag_of
from nexus.config.loading import SETTINGS
from nexus.config.meanings import MEANINGS, default_of
from nexus.protocol.codec import CODES


def write_all(directory: Path) -> None:
    """Write every table that the pages include."""
    directory.mkdir(exist_ok=True)
    for name, lines in {
        "settings": settings(),
        "errors": error_codes(),
        "calls": calls(),
        "messages": messages(),
        "metrics": metrics(),
    }.items():
        text = "\n".join(lines) + "\n"
        path = directory / f"{name}.md"
        # Sphinx reads again what has changed: leave it alone where it has not.
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def settings() -> list[str]:
    """Every setting with its environment variable, flag and default."""
    rows = []
    for key, setting in SETTINGS.items():
        flag = "none" if key in NO_FLAG else f"`{flag_of(setting)}`"
        if key in ALIASES:
            flag += f", `{ALIASES[key]}`"
        names = f"`{key}`<br>`{setting.environment_name}`<br>{flag}"
        default = default_of(key)
        rows.append((names, f"`{default}`" if default else "none", MEANINGS[key]))
    return table(("key, environment, flag", "default", "meaning"), rows)


def error_codes() -> list[str]:
    """Every error's code, HTTP status and promise."""
    rows = [
        (f"`{kind.code}`", f"`{name}`", str(row_of(kind).status), first_line(kind))
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.NexusError)
    ]
    return table(("code", "Python", "HTTP", "meaning"), rows)


def calls() -> list[str]:
    """Every call of the REST API."""
    rows = [
        (f"`{call.method} {call.path}`", call.summary, call.role or "none")
        for call in CALLS
    ]
    return table(("call", "does", "role"), rows)


def messages() -> list[str]:
    """Every message with its code and fields."""
    rows = [
        (
            f"0x{code:02X}",
            kind.__name__,
            ", ".join(field.name for field in msgspec.structs.fields(kind)),
            first_line(kind),
        )
        for kind, code in CODES.items()
    ]
    return table(("code", "message", "fields, in order", "meaning"), rows)


def metrics() -> list[str]:
    """Every metric."""
    rows = [
        (
            f"`{name}`",
            family.kind,
            ", ".join(f"`{label}`" for label in family.labels),
            family.where,
            family.meaning,
        )
        for name, family in FAMILIES.items()
    ]
    return table(("metric", "kind", "labels", "on", "meaning"), rows)


def first_line(documented: object) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
    ]
