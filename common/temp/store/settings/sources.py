"""Reads each source of settings: both files of a directory, and the environment.

Invalid settings raise `InvalidSettings`, which names the file and the key. `keys` and `tables` are
imported only if something is set: most commands find nothing.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...core.fields import Unreadable
from ...errors import InvalidSettings
from ..project.place import ENV_PREFIX, HOST, PROJECT
from ..system.reading import parse_toml, read_file, read_json

if TYPE_CHECKING:
    from .tables import Layer

PYPROJECT: Final = "pyproject.toml"
CONFIG_JSON: Final = "cleanup_config.json"
_LARGEST_FILE: Final = 4 << 20


def read_files(
    directory: Path, config: Path | None = None
) -> Iterator[tuple[Layer, Mapping[str, Layer]]]:
    """The settings from each file in `directory`, and its settings for single categories.

    The file `config` is read instead of the `cleanup_config.json` there.
    """
    path = directory / PYPROJECT
    said = read_toml(path, b"tempkeep").get("tool", {})
    if isinstance(said, dict) and "tempkeep" in said:
        table = said["tempkeep"]
        where = f"{path}: [tool.tempkeep]"
        if not isinstance(table, dict):
            raise InvalidSettings(f"{where}: expected a table, got {table!r}")
        from .keys import KEYS
        from .tables import categories_of, layer_of

        rest = {key: value for key, value in table.items() if key != "category"}
        yield layer_of(rest, KEYS, where), categories_of(table.get("category", {}), path)
    path = config or directory / CONFIG_JSON
    loaded = _read_json(path) if config is None else read_config(config)
    if loaded is not None:
        from .keys import JSON_KEYS
        from .tables import layer_of

        yield layer_of(loaded, JSON_KEYS, str(path)), {}


def read_config(path: Path) -> dict[str, Any]:
    """The content of the `cleanup_config.json` at `path`, unchecked. Raises `InvalidSettings`."""
    loaded = _read_json(path)
    if loaded is None:
        raise InvalidSettings(f"{path}: no such file; give the path of a {CONFIG_JSON}")
    return loaded


def read_environment(environment: Mapping[str, str]) -> Layer:
    """The settings from the `TEMPKEEP_…` variables."""
    said = {
        name: text
        for name, text in environment.items()
        if name.startswith(ENV_PREFIX) and name not in (HOST, PROJECT)
    }
    if not said:
        return {}
    from .tables import layer_of_variables

    return layer_of_variables(said, ENV_PREFIX)


def read_toml(path: Path, needed: bytes) -> dict[str, Any]:
    """The content of the TOML file `path`; empty if it is missing or does not mention `needed`."""
    try:
        data = read_file(path, _LARGEST_FILE, follow=True)
        # Parse UTF-16 too, which PowerShell appends and in which `needed` is not found, so that it
        # is reported as an error.
        return parse_toml(data) if needed in data or b"\0" in data else {}
    except (FileNotFoundError, NotADirectoryError):
        _check_missing(path)
        return {}
    except Unreadable as problem:
        raise InvalidSettings(f"{path}: {problem}") from None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        loaded = read_json(path, _LARGEST_FILE, follow=True)
    except (FileNotFoundError, NotADirectoryError):
        _check_missing(path)
        return None
    except Unreadable as problem:
        raise InvalidSettings(f"{path}: {problem}") from None
    if not isinstance(loaded, dict):
        raise InvalidSettings(f"{path}: expected an object, got {reprlib.repr(loaded)}")
    return loaded


def _check_missing(path: Path) -> None:
    """Raise `InvalidSettings` for a dangling symlink: its target may be on an unmounted disk."""
    if os.path.islink(path):
        raise InvalidSettings(f"{path}: a link to nowhere; mount or make its target, or remove it")
