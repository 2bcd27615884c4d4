"""Reads tables of settings, checked against the keys that they may have.

Any invalid key or value raises `InvalidSettings`, which names the file and the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ...core.layouts import check_category
from ...errors import InvalidName, InvalidSettings
from .keys import CATEGORY_KEYS, KEYS, Key
from .values import from_text, read_value

Layer: TypeAlias = dict[str, Any]
"""Field names and their values."""


def layer_of(
    said: Mapping[str, object],
    keys: Mapping[str, Key],
    where: str,
    spell: Callable[[str], str] = str,
) -> Layer:
    """The fields set by `said`, which was read from `where` and may have these `keys`.

    Two keys must not set the same field.
    """
    layer: Layer = {}
    setters: dict[str, str] = {}
    for key, value in said.items():
        if key not in keys:
            raise InvalidSettings(
                f"{where}: {_shown(spell(key))} is not a key; "
                f"expected one of {', '.join(map(spell, keys))}"
            )
        if value is None:  # files saved by other programs may have nulls
            continue
        field, kind, *_ = keys[key]
        first = setters.setdefault(field, key)
        if first != key:
            both = " and ".join(map(spell, sorted((first, key))))
            raise InvalidSettings(f"{where}: {both} set the same; leave out one")
        layer[field] = read_value(value, kind, f"{where}: {spell(key)}")
    return layer


def layer_of_variables(said: Mapping[str, str], prefix: str) -> Layer:
    """The fields set by environment variables, whose names begin with `prefix`.

    An empty variable is an error, not an empty list: a script whose own variable is empty must not
    remove a protection.
    """
    for name, text in said.items():
        if name.removeprefix(prefix).lower() in KEYS and not text.strip(" \t\n,"):
            raise InvalidSettings(f"environment: {name} is empty; give it a value, or unset it")
    values = {
        key: from_text(text, KEYS[key].kind) if key in KEYS else text
        for key, text in ((name.removeprefix(prefix).lower(), said[name]) for name in said)
    }
    return layer_of(values, KEYS, "environment", spell=lambda key: f"{prefix}{key.upper()}")


def categories_of(tables: object, path: Path) -> dict[str, Layer]:
    """The fields set by the tables for single categories, by category."""
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
            # Its limits alone would delete entries that the user wanted archived.
            raise InvalidSettings(
                f"{where}: strategy: a single category cannot be archived; expected another "
                "strategy here, or archive = true in [tool.tempkeep]"
            )
    return found


def _shown(key: str) -> str:
    """`key`, or its `repr` if it is blank or unprintable, so that a message stays one line."""
    return key if key.isprintable() and key.strip() else repr(key)
