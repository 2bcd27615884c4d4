"""Coverage of forked children: each passes on new lines to the process that runs the tests.

With coverage's own `patch = _exit`, each child writes a database of everything covered so far. Here
a child appends only what its parent has not covered yet, usually nothing, to one file.
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn


class Forks:
    """The forks of this process, of which coverage is measured."""

    def __init__(self, measured: Any, directory: Path) -> None:
        self._data: dict[str, set[Any]] = measured._collector.data
        self._mine = os.getpid()
        self._known: dict[str, set[Any]] = {}
        self._path = directory / f"covered-{self._mine}"
        self._exit = os._exit
        os.register_at_fork(after_in_child=self._begin)
        os._exit = self._end

    def _begin(self) -> None:
        self._known = {name: set(lines) for name, lines in self._data.items()}

    def _end(self, status: int) -> NoReturn:
        if os.getpid() != self._mine:
            with suppress(Exception):
                self._tell()
        self._exit(status)

    def _tell(self) -> None:
        nothing: set[Any] = set()
        new = {
            name: more
            for name, lines in self._data.items()
            if (more := lines - self._known.get(name, nothing))
        }
        if new:
            # In one write, which goes to the end of it whoever else writes there.
            place = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.write(place, pickle.dumps(new))

    def collect(self) -> None:
        """Take for covered what children have covered since the last time."""
        with suppress(FileNotFoundError):
            taken = self._path.with_suffix(".taken")
            self._path.rename(taken)
            with open(taken, "rb") as file, suppress(EOFError, pickle.UnpicklingError):
                while True:
                    for name, lines in pickle.load(file).items():
                        self._data.setdefault(name, set()).update(lines)
            taken.unlink()


def forks_if_measured(directory: Path) -> Forks | None:
    """The forks of this process, if its coverage is measured."""
    if "coverage" not in sys.modules:
        return None
    from coverage import Coverage

    measured = Coverage.current()
    return None if measured is None else Forks(measured, directory)
