"""Read settings from a TOML file, the environment and flags into one Config."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec

from nexus.config.checks import check
from nexus.config.settings import Config
from nexus.config.values import custom_value, prepared
from nexus.errors import ConfigurationError
from nexus.model.secret import Secret

ENVIRONMENT_PREFIX: Final = "NEXUS_"
OF_CLIENTS: Final = frozenset(
    {
        "NEXUS_CA_FILE",
        "NEXUS_CERT_FILE",
        "NEXUS_KEY_FILE",
        "NEXUS_TOKEN",
        "NEXUS_TOKEN_FILE",
    }
)
"""What clients read of the environment, which they may share with a node."""

LONGEST_VALUE: Final = 100
"""Characters of a value that an error repeats; enough to recognise it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: its type, and what an error says of it."""

    key: str
    type: Any
    kind: str
    mend: str

    @property
    def environment_name(self) -> str:
        """`replication.max_log_size` is NEXUS_REPLICATION_MAX_LOG_SIZE."""
        return ENVIRONMENT_PREFIX + self.key.replace(".", "_").upper()

    def read(self, value: Any, *, source: str, textual: bool) -> Any:
        """The value as its type; ConfigurationError names `source` and the mend."""
        try:
            ready = prepared(self.kind, value, textual=textual)
            result: Any = msgspec.convert(
                ready, self.type, strict=not textual, dec_hook=custom_value
            )
        except (ValueError, msgspec.ValidationError) as error:
            shown = "(secret)" if self.type is Secret else _shown(value)
            raise ConfigurationError(
                f"{self.key} = {shown} ({source}) is not valid: {_cut(str(error))}; "
                f"{self.mend}"
            ) from None
        return result


def load(
    file: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]
) -> Config:
    """One checked Config: flag over environment over file over default.

    `flags` maps keys such as `replication.role` to values; None means not given.
    Raises ConfigurationError, one line naming the key, the value and the mend.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values |= _from_file(file)
    values |= _from_environment(environ)
    values |= _from_flags(flags)
    secret_file = values.get("cluster_secret_file")
    if secret_file is not None:
        if values.get("cluster_secret"):
            raise ConfigurationError(
                f"cluster_secret_file = '{secret_file}' and cluster_secret are both "
                "set; keep one of them"
            )
        values["cluster_secret"] = read_secret(secret_file)
    config = _composed(values)
    check(config)
    return config


def read_secret(path: Path, key: str = "cluster_secret_file") -> Secret:
    """The secret or token that stands in a file, without the line's end."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{key} = '{path}' cannot be read: {_reason(error)}; "
            "name a text file that holds the secret"
        ) from None
    if not secret:
        raise ConfigurationError(f"{key} = '{path}' is empty; write the secret into it")
    return Secret(secret)


def _from_file(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file '{file}' cannot be read: {_reason(error)}; name "
            "one that exists with --config"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the configuration file '{file}' is not valid TOML: {error}; mend it there"
        ) from None
    source = f"in {file}"
    return {
        key: _setting(key, value, source).read(value, source=source, textual=False)
        for key, value in _flattened(document)
    }


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    by_name = {setting.environment_name: setting for setting in SETTINGS.values()}
    values = {}
    for name, value in environ.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in OF_CLIENTS:
            continue
        if name not in by_name:
            raise _unknown(name, value, "in the environment", by_name)
        setting = by_name[name]
        values[setting.key] = setting.read(value, source=f"from {name}", textual=True)
    return values


def _from_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _setting(key, value, "given as a flag").read(
            value, source="given as a flag", textual=isinstance(value, str)
        )
        for key, value in flags.items()
        if value is not None
    }


def _setting(key: str, value: Any, source: str) -> Setting:
    if key not in SETTINGS:
        raise _unknown(key, value, source, SETTINGS)
    return SETTINGS[key]


def _unknown(
    name: str, value: Any, source: str, known: Mapping[str, Setting]
) -> ConfigurationError:
    # Of a secret that was only written under a wrong name nothing is shown.
    is_secret = any(word in name.upper() for word in _SECRETIVE)
    shown = "(hidden)" if is_secret else _shown(value)
    return ConfigurationError(
        f"{name} = {shown} ({source}) is not a setting; {_suggestion(name, known)}"
    )


_SECRETIVE: Final = ("SECRET", "TOKEN", "PASSWORD")
"""Words in the names of what nobody else may read."""


def _suggestion(name: str, known: Mapping[str, Setting]) -> str:
    last = name.rpartition(".")[2]
    same_name = [key for key in known if key.rpartition(".")[2] == last]
    close = same_name or difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return "remove it (the known ones are in the configuration reference)"


def _flattened(document: Mapping[str, Any], prefix: str = "") -> Iterator[Any]:
    for name, value in document.items():
        if isinstance(value, dict) and prefix + name not in SETTINGS:
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _composed(values: Mapping[str, Any]) -> Config:
    tables: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        tables.setdefault(table, {})[name] = value
    top = tables.pop("", {})
    hints = get_type_hints(Config)
    return Config(**top, **{name: hints[name](**tables[name]) for name in tables})


def _described(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[Setting]:
    for name, hint in get_type_hints(struct, include_extras=True).items():
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _described(hint, f"{prefix}{name}.")
        else:
            extra = _extra(hint)
            yield Setting(
                key=prefix + name,
                type=hint,
                kind=extra.get("kind", ""),
                mend=extra.get("mend", _mend(hint)),
            )


def _extra(hint: Any) -> dict[str, str]:
    """What `Meta(extra=…)` says of the type, or of one side of a union."""
    if get_origin(hint) is Annotated:
        return next(
            (meta.extra or {} for meta in hint.__metadata__ if hasattr(meta, "extra")),
            {},
        )
    for side in get_args(hint):
        if found := _extra(side):
            return found
    return {}


def _mend(hint: Any) -> str:
    if hint is bool:
        return "write true or false"
    sides = [hint, *get_args(hint)]  # of `Literal[…] | None`, say
    options = [option for side in sides for option in get_args(side)]
    choices = [option for option in options if isinstance(option, str)]
    if isinstance(hint, type) and hasattr(hint, "__members__"):
        choices = [str(member) for member in hint.__members__.values()]
    return f"write one of {', '.join(choices)}" if choices else "write it as text"


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not UTF-8 text"


SETTINGS: Final = {setting.key: setting for setting in _described(Config)}
