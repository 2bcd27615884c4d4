"""A walk by path to any depth: before Python 3.12, `os.walk` fails at about 1,000 levels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator


def walk(
    top: str | os.PathLike[str], onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk` top-down: the caller may remove directories from the list.

    A directory whose path is too long cannot be read; its error is passed to `onerror`.
    """
    waiting = [os.fspath(top)]
    while waiting:
        above = waiting.pop()
        directories: list[str] = []
        names: list[str] = []
        try:
            with os.scandir(above) as items:
                for item in items:
                    (directories if _is_directory(item) else names).append(item.name)
        except OSError as error:
            if onerror is not None:
                onerror(error)
            continue
        yield above, directories, names
        below = [os.path.join(above, name) for name in reversed(directories)]
        waiting += [path for path in below if not os.path.islink(path)]


def _is_directory(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        return False
