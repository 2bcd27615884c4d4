"""Reads values from JSON: limits the nesting, and checks the type of each field."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

_DEEPEST: Final = 32
"""The deepest nesting of lists and objects that is accepted."""

LARGEST: Final = 2**63 - 1
"""No count, number of bytes or inode is larger than this."""


class Unreadable(ValueError):
    """A file cannot be used: the message is one clause that can follow its path.

    `error` is the underlying `OSError`, if there was one.
    """

    def __init__(self, why: str, error: OSError | None = None) -> None:
        super().__init__(why)
        self.error = error


def parsed(data: bytes) -> object:
    """The value of the UTF-8 JSON in `data`. Raises `Unreadable`."""
    try:
        value = json.loads(data.decode("utf-8"))
    except RecursionError:
        raise Unreadable("not valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"not valid JSON: {error}") from None
    check_depth(value, _DEEPEST, "JSON")
    return value


def check_depth(value: object, most: int, kind: str) -> None:
    """Raise `Unreadable` if lists and tables are nested more than `most` deep.

    Printing or comparing a deeply nested value would overflow the stack.
    """
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise Unreadable(f"not valid {kind}: it is nested too deeply")


def table(value: object, what: str = "it") -> Mapping[str, Any]:
    """`value`, if it is an object. Raises `Unreadable`, like all functions below."""
    if not isinstance(value, dict):
        raise Unreadable(f"{what} is not an object")
    return value


def items(said: Mapping[str, Any], key: str) -> list[Any]:
    """The list at `key`."""
    return _of_kind(list, said, key, "a list")


def words(said: Mapping[str, Any], key: str) -> str:
    """The text at `key`, not checked further."""
    return _of_kind(str, said, key, "a text")


def text(said: Mapping[str, Any], key: str) -> str:
    """The text at `key`, if it can be a path or a part of one."""
    return _text(said.get(key), key)


def texts(said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The texts in the list at `key`."""
    return tuple(_text(value, key) for value in items(said, key))


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise _unlike(key, "a text")
    try:
        # Names that are not UTF-8 are decoded to lone surrogates; no name has any other surrogates.
        data = value.encode("utf-8", sys.getfilesystemencodeerrors())
    except UnicodeEncodeError:
        raise _unlike(key, "a text that a path can have") from None
    if b"\0" in data:
        raise _unlike(key, "a text without NUL")
    return value


def flag(said: Mapping[str, Any], key: str) -> bool:
    """The boolean at `key`."""
    return _of_kind(bool, said, key, "true or false")


def whole(said: Mapping[str, Any], key: str, least: int = 0, most: int = LARGEST) -> int:
    """The whole number at `key`, within the range."""
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _unlike(key, f"a whole number from {least} to {most}")
    return value


def number(said: Mapping[str, Any], key: str, least: float = 0.0) -> float:
    """The number at `key`, finite and not less than `least`."""
    value = said.get(key)
    if not isinstance(value, bool) and isinstance(value, int | float):
        try:
            found = float(value)
        except OverflowError:
            found = float("inf")
        if isfinite(found) and found >= least:
            return found
    raise _unlike(key, f"a number of at least {least:g}")


def optional(
    read: Callable[[Mapping[str, Any], str], _T], said: Mapping[str, Any], key: str
) -> _T | None:
    """The result of `read` for `key`; `None` if that is missing or null."""
    return None if said.get(key) is None else read(said, key)


def _of_kind(kind: type[_T], said: Mapping[str, Any], key: str, expected: str) -> _T:
    value = said.get(key)
    if not isinstance(value, kind):
        raise _unlike(key, expected)
    return value


def _unlike(key: str, expected: str) -> Unreadable:
    return Unreadable(f"{key} is not {expected}")
