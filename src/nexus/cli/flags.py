"""Every setting as a flag of `nexus serve`: declared once, in the configuration."""

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from nexus.config.loading import SETTINGS, Setting
from nexus.config.meanings import MEANINGS, default_of
from nexus.config.values import WHOLE_NUMBER

NO_FLAG: Final = frozenset({"cluster_secret", "replication.etcd_password"})
"""Not on a command line, which every user of the machine can read."""

ALIASES: Final = {"data_dir": "--data"}

METAVARS: Final = {
    "address": "HOST:PORT",
    "addresses": "HOST:PORT,…",
    "urls": "URL,…",
    "modules": "MODULE,…",
    "names": "NAME,…",
    "size": "SIZE",
    "duration": "TIME",
}
"""How the kinds of values are named in --help."""


def flag_of(setting: Setting) -> str:
    """`replication.role` is --role, `snapshot.max_size` is --snapshot-max-size."""
    name = setting.key.removeprefix("replication.")
    return "--" + name.replace(".", "-").replace("_", "-")


def with_setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` a flag for each setting; its `flags` argument receives them.

    The values arrive by key, None where the flag was not given, as `load` takes them.
    """
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "flags"
    ]
    by_name = {key.replace(".", "__"): SETTINGS[key] for key in SETTINGS}
    for key in NO_FLAG:
        del by_name[key.replace(".", "__")]
    added = [_parameter(name, setting) for name, setting in by_name.items()]

    def run(**given: Any) -> None:
        flags = {by_name[name].key: given.pop(name) for name in by_name}
        command(flags=flags, **given)

    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
    return run


def _parameter(name: str, setting: Setting) -> inspect.Parameter:
    flag = flag_of(setting)
    annotation: Any
    if setting.type is bool:
        option = typer.Option(f"{flag}/--no-{flag[2:]}", help=_help(setting))
        annotation = Annotated[bool | None, option]
    else:
        alias = [ALIASES[setting.key]] if setting.key in ALIASES else []
        option = typer.Option(
            flag, *alias, metavar=_metavar(setting), help=_help(setting)
        )
        # Text: the configuration reads and checks it, as from every other source.
        annotation = Annotated[str | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _help(setting: Setting) -> str:
    """What the setting is for and its default, as plain text."""
    default = default_of(setting.key)
    meaning = MEANINGS[setting.key].replace("`", "")
    return f"{meaning}  [default: {default}]" if default else meaning


def _metavar(setting: Setting) -> str:
    if setting.kind:
        return METAVARS[setting.kind]
    if setting.mend == WHOLE_NUMBER["mend"] and not setting.key.endswith("_ms"):
        return "N"
    return re.split(r"[._]", setting.key)[-1].upper()
