"""Reads and caches the settings files of a project that is being migrated."""

from __future__ import annotations

import configparser
from collections.abc import Callable
from functools import cache
from typing import Any, Final, ParamSpec, TypeVar

from ..store.system.reading import parse_toml, read_file
from .source import LARGEST_SOURCE

_P = ParamSpec("_P")
_T = TypeVar("_T")
_forgetting: Final[list[Callable[[], None]]] = []


def remembered(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """`function`, whose results are cached during a run."""
    kept = cache(function)
    _forgetting.append(kept.cache_clear)
    return kept  # type: ignore[return-value]


def forget() -> None:
    """Clear all caches, since files may differ in a new run."""
    for clear in _forgetting:
        clear()


def read_bytes(path: str) -> bytes:
    """The content of the file. Raises `OSError` or `ValueError`."""
    return read_file(path, LARGEST_SOURCE, follow=True)


@remembered
def toml(path: str) -> dict[str, Any]:
    """The tables of a TOML file; none if it cannot be read."""
    try:
        return parse_toml(read_bytes(path))
    except (OSError, ValueError):
        return {}


@remembered
def ini(path: str) -> configparser.ConfigParser:
    """The sections of an INI file; none if it cannot be read."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_bytes(path).decode())
    except (OSError, configparser.Error, ValueError):
        return configparser.ConfigParser(interpolation=None)
    return parser


def table(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """The nested table with these names; empty if there is none."""
    for name in names:
        inner = document.get(name)
        if not isinstance(inner, dict):
            return {}
        document = inner
    return document
