"""What each source of settings sets: both files of a directory, and the environment.

A layer holds the values by the fields that they set. Whatever cannot be used raises
`InvalidSettings`, which names the file and the key.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from ...core.fields import Unreadable
from ...core.layout import check_category
from ...errors import InvalidName, InvalidSettings
from ..project.place import PROJECT
from ..system.reading import parse_toml, read_file, read_json
from .setting_keys import CATEGORY_KEYS, ENV_PREFIX, JSON_KEYS, KEYS, Key
from .values import from_text, read_value

PYPROJECT: Final = "pyproject.toml"
CONFIG_JSON: Final = "cleanup_config.json"
_LARGEST_FILE: Final = 4 << 20

Layer: TypeAlias = dict[str, Any]


def read_files(
    directory: Path, config: Path | None = None
) -> Iterator[tuple[Layer, Mapping[str, Layer]]]:
    """What each file in `directory` sets, and what it sets for single categories.

    The file `config` is read in place of the `cleanup_config.json` there.
    """
    path = directory / PYPROJECT
    said = read_toml(path, b"tempkeep").get("tool", {})
    if isinstance(said, dict) and "tempkeep" in said:
        table = said["tempkeep"]
        where = f"{path}: [tool.tempkeep]"
        if not isinstance(table, dict):
            raise InvalidSettings(f"{where}: expected a table, got {table!r}")
        rest = {key: value for key, value in table.items() if key != "category"}
        yield layer_of(rest, KEYS, where), _categories(table.get("category", {}), path)
    path = config or directory / CONFIG_JSON
    loaded = _read_json(path)
    if loaded is None and config is not None:
        raise InvalidSettings(f"{config}: no such file; give the path of a {CONFIG_JSON}")
    if loaded is not None:
        yield layer_of(loaded, JSON_KEYS, str(path)), {}


def _categories(tables: object, path: Path) -> dict[str, Layer]:
    where = f"{path}: [tool.tempkeep.category]"
    if not isinstance(tables, dict):
        raise InvalidSettings(f"{where}: expected tables, got {tables!r}")
    found: dict[str, Layer] = {}
    for name, table in tables.items():
        where = f"{path}: [tool.tempkeep.category.{_shown(name)}]"
        if not isinstance(table, dict):
            raise InvalidSettings(f"{where}: expected a table, got {table!r}")
        try:
            check_category(name)
        except InvalidName as error:
            raise InvalidSettings(f"{where}: {error}") from None
        found[name] = layer_of(table, CATEGORY_KEYS, where)
        if found[name].get("strategy") == "archive":
            # Its numbers alone would delete for good what somebody wanted archived.
            raise InvalidSettings(
                f"{where}: strategy: a single category cannot be archived; expected another "
                "strategy here, or archive = true in [tool.tempkeep]"
            )
    return found


def read_environment(environment: Mapping[str, str]) -> Layer:
    """What the variables `TEMPKEEP_…` set."""
    said: dict[str, Any] = {}
    for name, text in environment.items():
        if name.startswith(ENV_PREFIX) and name != PROJECT:
            key = name.removeprefix(ENV_PREFIX).lower()
            said[key] = from_text(text, KEYS[key].kind) if key in KEYS else text
    return layer_of(said, KEYS, "environment", spell=lambda key: f"{ENV_PREFIX}{key.upper()}")


def read_toml(path: Path, needed: bytes) -> dict[str, Any]:
    """What the TOML in `path` says; nothing if it is missing or does not mention `needed`."""
    try:
        data = read_file(path, _LARGEST_FILE, follow=True)
        return parse_toml(data) if needed in data else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except Unreadable as problem:
        raise InvalidSettings(f"{path}: {problem}") from None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        loaded = read_json(path, _LARGEST_FILE, follow=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Unreadable as problem:
        raise InvalidSettings(f"{path}: {problem}") from None
    if not isinstance(loaded, dict):
        raise InvalidSettings(f"{path}: expected an object, got {reprlib.repr(loaded)}")
    return loaded


def layer_of(
    said: Mapping[str, object],
    keys: Mapping[str, Key],
    where: str,
    spell: Callable[[str], str] = str,
) -> Layer:
    """What `said`, read from `where`, sets if it may have these `keys`."""
    layer: Layer = {}
    for key, value in said.items():
        if key not in keys:
            raise InvalidSettings(
                f"{where}: {_shown(spell(key))} is not a key; "
                f"expected one of {', '.join(map(spell, keys))}"
            )
        field, kind, *_ = keys[key]
        layer[field] = read_value(value, kind, f"{where}: {spell(key)}")
    return layer


def _shown(key: str) -> str:
    """`key` as it is where that is one plain word, so that a message stays one line."""
    return key if key.isprintable() and key.strip() else repr(key)
