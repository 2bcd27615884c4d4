"""Case-insensitive filesystems, where a name may be listed in another case than it was given."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

_Found = TypeVar("_Found")


def folded(path: str) -> str:
    """`path` without the differences that such filesystems ignore."""
    import unicodedata  # needed for few filesystems

    return unicodedata.normalize("NFC", path).casefold()


def takes_any_case(directory: str | os.PathLike[str], name: str = "") -> bool:
    """Whether the filesystem of `directory` is case-insensitive, tested with `name` in it, or with
    the first suitable name that is listed there.
    """
    with contextlib.suppress(OSError):
        if not name:
            with os.scandir(directory) as items:
                name = next((item.name for item in items if item.name.swapcase() != item.name), "")
        paths = (os.path.join(directory, one) for one in (name, name.swapcase()))
        one, other = map(os.lstat, paths)
        return bool(name) and os.path.samestat(one, other)
    return False


def as_listed(directory: str) -> Callable[[str], str]:
    """A function that spells a path below `directory` as the filesystem lists its parts; `str` if
    the filesystem is case-sensitive.
    """
    if not takes_any_case(directory):
        return str

    @functools.cache
    def listed(above: str) -> dict[str, str]:
        with contextlib.suppress(OSError):
            return {folded(name): name for name in os.listdir(os.path.join(directory, above))}
        return {}

    def spell(path: str) -> str:
        above = ""
        for part in path.split("/"):
            name = listed(above).get(folded(part), part)
            above = f"{above}/{name}" if above else name
        return above

    return spell


def respelled(found: Mapping[bytes, _Found], spell: Callable[[str], str]) -> dict[str, _Found]:
    """`found` with its paths respelled by `spell`; of several with the same path, the first."""
    by_path: dict[str, _Found] = {}
    for path, one in found.items():
        by_path.setdefault(spell(os.fsdecode(path)), one)
    return by_path
