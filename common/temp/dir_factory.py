"""Directories for fixtures of a wider scope than one test, as `tmp_path_factory` gives them."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from pathlib import Path

from .core.layouts import check_name
from .errors import StorageError

_ROOM = 20
"""Bytes of a name for its number."""


class TempDirFactory:
    """Makes empty directories in `base`; the fixture `temp_dir_factory` gives one."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._numbers: defaultdict[str, count[int]] = defaultdict(count)

    def getbasetemp(self) -> Path:
        """The absolute path of the directory in which the others are made."""
        return self._base

    def mktemp(self, basename: str, numbered: bool = True) -> Path:
        """The absolute path of a new directory, `basename` with the next free number.

        Without `numbered` it is called `basename`. Raises `InvalidName` unless that is one plain
        path component, `FileExistsError` if an unnumbered one exists, or `StorageError`.
        """
        check_name(basename, "directory name", room=_ROOM if numbered else 0)
        while True:
            number = next(self._numbers[basename]) if numbered else ""
            path = self._base / f"{basename}{number}"
            try:
                path.mkdir()
            except FileExistsError:
                if not numbered:
                    raise
            except OSError as error:
                raise StorageError.of(f"cannot make {path}", error) from error
            else:
                return path
