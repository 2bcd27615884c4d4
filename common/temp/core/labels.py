"""Finds the entries that a label given by a user refers to, and the newest of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import InvalidSettings
from .layouts import read_name


def labelled(text: str, path: str) -> bool:
    """Whether `text` is the label of the entry at `path`, or its category and label."""
    category, slash, name = path.rpartition("/")
    label, stamp = read_name(name)
    return stamp is not None and text in (label, f"{category}{slash}{label}")


def stamp_of(path: str) -> int:
    """The stamp in the name of the entry at `path`, in seconds since 1970; 0 if it has none."""
    return read_name(path.rpartition("/")[2])[1] or 0


def newest(text: str, paths: Sequence[str], born_at: Callable[[str], float | None]) -> str:
    """The newest of the entries at `paths`, which all have the label `text`.

    `born_at` decides between entries of the same second. Raises `InvalidSettings` if it cannot.
    """
    last = max(map(stamp_of, paths))
    found = [path for path in paths if stamp_of(path) == last]
    if len(found) == 1:
        return found[0]
    born = {path: born_at(path) for path in found}
    times = sorted(when for when in born.values() if when is not None)
    if len(times) < len(found) or times[-1] == times[-2]:
        raise several(text, found)
    return next(path for path, when in born.items() if when == times[-1])


def several(text: str, paths: Sequence[str]) -> InvalidSettings:
    """The error for a label that could mean any of `paths`."""
    return InvalidSettings(f"{text} could be {' or '.join(paths)}; give one of these names")
