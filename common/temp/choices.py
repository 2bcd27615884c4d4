"""The words that flags choose from: output formats, orders, presets and schedulers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

TABLE_OR_JSON: Final = ("table", "json")
HISTORY_FORMATS: Final = (*TABLE_OR_JSON, "html")
STATUS_FORMATS: Final = (*TABLE_OR_JSON, "csv", "github", "html", "openmetrics")
REPORT_FORMATS: Final = (*TABLE_OR_JSON, "html")
MIGRATE_FORMATS: Final = ("text", "json", "sarif", "github")
SORTS: Final = ("name", "size", "files", "age")
PRESETS: Final = (
    *("python", "venv", "node", "web", "rust", "maven", "gradle", "dotnet", "swift", "elixir"),
    *("dart", "zig", "haskell", "sbt", "cmake", "composer", "godot"),
)
ALL: Final = "all"
"""The presets, of which all but `venv` are meant by this."""

SCHEDULERS: Final = ("systemd", "cron", "launchd", "windows")


def choose(value: str, flag: str, choices: Sequence[str]) -> str:
    """`value`, if it is one of the `choices` for this flag. Raises `InvalidSettings`."""
    if value not in choices:
        from .errors import InvalidSettings

        raise InvalidSettings(f"{flag}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def choose_presets(names: Iterable[object], what: str) -> tuple[str, ...]:
    """`names`, each once, if all are presets or `all`. Raises `InvalidSettings`."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if name not in (*PRESETS, ALL):
            from .errors import InvalidSettings

            raise InvalidSettings(
                f"{what}: expected some of {', '.join(PRESETS)} or {ALL}, got {name!r}"
            )
    return tuple(map(str, found))


def either(choices: Sequence[str]) -> str:
    """The choices for people: `systemd, cron, launchd or windows`."""
    return " or ".join([", ".join(choices[:-1]), choices[-1]] if choices[1:] else choices)


def default_first(choices: Sequence[str]) -> str:
    """The choices for a help text, of which the first is the default: `table (default) or json`."""
    return either([f"{choices[0]} (default)", *choices[1:]])
