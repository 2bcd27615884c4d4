"""Reads the value of a setting by its kind, from a file or from the text of a variable.

Each reader takes the value and its name for errors, and raises `InvalidSettings`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any, Final

from ...choices import choose_presets
from ...core.policy import STRATEGIES
from ...core.units import (
    DAY,
    HOUR,
    read_count,
    read_duration,
    read_interval,
    read_number,
    read_share,
    read_size,
)
from ...errors import InvalidSettings
from .keys import Kind
from .settings import SCHEMES, scheme_of


def read_value(value: object, kind: Kind, what: str) -> Any:
    """`value`, as read from a file, converted to seconds, bytes or a fraction of 1."""
    return _READERS[kind](value, what)


def check_strategy(value: object, what: str) -> str:
    """The name of a strategy. Raises `InvalidSettings`, listing them."""
    return _one_of(STRATEGIES, value, what)


def from_text(text: str, kind: Kind) -> object:
    """The value in the text of a variable, for `read_value`; `text` itself if it does not parse."""
    if kind == "flag":
        lowered = text.strip().lower()
        return {"1": True, "true": True, "0": False, "false": False}.get(lowered, text)
    if kind in ("texts", "globs", "files", "paths", "presets"):
        parts = re.split(r",(?![^{}]*\})", text)  # not within the braces of a glob
        return [part.strip() for part in parts if part.strip()]
    if kind in ("hours", "count"):
        try:
            return float(text) if kind == "hours" else int(text)
        except ValueError:
            return text
    return text


def _format(value: object, what: str) -> str:
    from ..system.archive_formats import checked_format  # few settings need it

    return checked_format(value, what)


def _number(scale: float, value: object, what: str) -> float:
    if isinstance(value, str):  # `read_number` would accept it
        raise InvalidSettings(f"{what}: expected a number of 0 or more, got {value!r}")
    return read_number(value, what, scale=scale)


def _count(value: object, what: str) -> int:
    if isinstance(value, str):
        raise InvalidSettings(f"{what}: expected a whole number of 0 or more, got {value!r}")
    return read_count(value, what)


def _gibibytes(value: object, what: str) -> int:
    return int(_number(1024**3, value, what))


def _flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidSettings(f"{what}: expected true or false, got {value!r}")


def _one_of(names: Any, value: object, what: str) -> str:
    if isinstance(value, str) and value in names:
        return value
    raise InvalidSettings(f"{what}: expected one of {', '.join(names)}, got {value!r}")


def _path(value: object, what: str) -> str:
    if isinstance(value, str) and value and "\0" not in value:
        scheme = scheme_of(value)
        if not scheme or (scheme in SCHEMES and _IN_BUCKET.fullmatch(value)):
            return value
        if scheme in SCHEMES:
            # No user, password or query: secrets belong in the environment.
            raise InvalidSettings(
                f"{what}: expected {scheme}://bucket/prefix, of letters, digits and any of "
                f"._=+-, got {value!r}"
            )
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES if scheme)
        raise InvalidSettings(
            f"{what}: expected the path of a directory, or a URL of {known}, got {value!r}"
        )
    raise InvalidSettings(f"{what}: expected the path of a directory, got {value!r}")


def _texts(value: object, what: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InvalidSettings(f"{what}: expected a list of texts, got {value!r}")


def _paths(value: object, what: str) -> tuple[str, ...]:
    paths = _texts(value, what)
    if all(path and "\0" not in path for path in paths):
        return paths
    raise InvalidSettings(f"{what}: expected a list of paths of directories, got {value!r}")


def _globs(value: object, what: str) -> tuple[str, ...]:
    globs = _texts(value, what)
    if all(map(_is_glob_below, globs)):
        return globs
    raise InvalidSettings(
        f'{what}: expected a list of globs of directories below, as "projects/*", got {value!r}'
    )


def _files(value: object, what: str) -> tuple[str, ...]:
    from ...core.keeping import can_match  # few settings need it

    globs = _texts(value, what)
    if all(map(can_match, globs)):
        return globs
    raise InvalidSettings(
        f"{what}: expected a list of globs of names or of paths in an entry (without .., and a / "
        f'or .tmp/ in front), as "*.mp4", got {value!r}'
    )


def _presets(value: object, what: str) -> tuple[str, ...]:
    return choose_presets(_texts(value, what), what)


def _command(value: object, what: str) -> tuple[str, ...]:
    words = value
    if isinstance(value, str):
        import shlex  # few settings need it

        try:
            words = shlex.split(value)
        except ValueError as error:
            raise InvalidSettings(f"{what}: {error} in {value!r}") from None
    if (
        isinstance(words, list)
        and words
        and words[0]
        and all(isinstance(word, str) and "\0" not in word for word in words)
    ):
        return tuple(words)
    raise InvalidSettings(
        f'{what}: expected a program and its arguments, as ["curl", "-fsS", "https://example.org"] '
        f"or in one text, got {value!r}"
    )


def _textfile(value: object, what: str) -> str:
    if isinstance(value, str) and PurePath(value).suffix == ".prom" and "\0" not in value:
        return value
    raise InvalidSettings(
        f"{what}: expected the path of a file whose name ends with .prom, got {value!r}"
    )


def _is_glob_below(text: str) -> bool:
    parts = PurePath(text).parts
    return (
        bool(parts)
        and not PurePath(text).is_absolute()
        and not any(part == ".." or ("**" in part and part != "**") for part in parts)
    )


_IN_BUCKET: Final = re.compile(
    r"[a-z0-9]+://[a-z0-9][a-z0-9._-]{1,62}(/(?!\.{1,2}(/|$))[a-z0-9._=+-]+)*/?",
    re.ASCII | re.IGNORECASE,
)

_READERS: Final[dict[Kind, Callable[[object, str], Any]]] = {
    "strategy": check_strategy,
    "duration": read_duration,
    "hours": partial(_number, HOUR),
    "days": partial(_number, DAY),
    "count": _count,
    "size": read_size,
    "gb": _gibibytes,
    "share": read_share,
    "number": partial(_number, 1.0),
    "flag": _flag,
    "path": _path,
    "paths": _paths,
    "texts": _texts,
    "globs": _globs,
    "files": _files,
    "format": _format,
    "interval": read_interval,
    "presets": _presets,
    "command": _command,
    "textfile": _textfile,
}
