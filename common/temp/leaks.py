"""What a test leaves behind, and who made it: directories that outlive it.

The interpreter tells of each directory that this process makes, and from which line. What the
processes made that a test started, their owner files tell.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import TempError
from .store.lease import Leases
from .store.listing import listing
from .store.project import system_temp, user_root

if TYPE_CHECKING:
    import pytest

_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{_LIBRARY}site-packages{os.sep}", f"{_LIBRARY}dist-packages{os.sep}")
_HERE = os.path.dirname(__file__) + os.sep


class Left(NamedTuple):
    """A directory that is still there: its path, who made it, and for which fixture, if any."""

    path: str
    maker: str
    fixture: pytest.FixtureDef[Any] | None = None


class Watch:
    """Watches what the tests of this process make; to be closed.

    Directories directly in the system's temporary directory and entries of roots count. What was
    made by code in the folder `ignored` does not.
    """

    def __init__(self, ignored: str) -> None:
        self._ignored = ignored + os.sep
        self._temporary = {str(system_temp()), os.path.realpath(system_temp())}
        self._roots: set[str] = set()
        self._prefixes: tuple[str, ...] = ()
        self._made: dict[str, Left] = {}
        self._test = ""
        self._known: dict[str, str] = {}
        _listen(self)

    def close(self) -> None:
        """Watch no longer."""
        with contextlib.suppress(ValueError):
            _watches.remove(self)

    def begin(self, test: str, roots: set[str]) -> None:
        """Watch a test, by its id, which may leave nothing in `roots`."""
        for root in (roots | {str(user_root())}) - self._roots:
            self._roots.add(root)
            self._prefixes += (f"{root}/", f"{os.path.realpath(root)}/")
        self._known = self._made_by_others(test)
        self._test = test

    def paths(self) -> set[str]:
        """What was made so far in this test, and before for fixtures that still live."""
        for path, who in self._made_by_others(self._test).items():
            if path not in self._known:
                self._made.setdefault(path, Left(path, f"by {who}"))
        return set(self._made)

    def made_for(self, fixture: pytest.FixtureDef[Any], before: set[str]) -> None:
        """Say that what was not there `before` was made for `fixture`, if for no other."""
        for path in self.paths() - before:
            if self._made[path].fixture is None:
                self._made[path] = self._made[path]._replace(fixture=fixture)

    def end(self, living: set[pytest.FixtureDef[Any]]) -> list[Left]:
        """What the test leaves, and the fixtures that it was the last to use: not the `living`."""
        found = [self._made[path] for path in sorted(self.paths())]
        self._test = ""
        self._made = {left.path: left for left in found if left.fixture in living}
        return [left for left in found if left.fixture not in living and self._is_left(left.path)]

    def note(self, path: str, frame: FrameType | None) -> None:
        """Note that this process is about to make the directory at `path`."""
        if not self._test or os.path.lexists(path):
            return
        above = os.path.dirname(path)
        if above not in self._temporary and not path.startswith(self._prefixes):
            return
        maker = _maker(frame)
        if not maker.startswith(self._ignored):
            self._made[path] = Left(path, f"at {maker}")

    def _made_by_others(self, test: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for root in self._roots:
            with contextlib.suppress(TempError):
                leases = Leases(Path(root))
                leases.refresh()
                for relative, who in leases.made_in(test).items():
                    found[f"{root}/{relative}"] = who
        return found

    def _is_left(self, path: str) -> bool:
        """Whether it is still there, as an entry if it lies in a root."""
        if not os.path.isdir(path) or path == str(user_root()):
            return False
        for root in self._roots:
            for prefix in (root, os.path.realpath(root)):
                if path.startswith(f"{prefix}/"):
                    return path[len(prefix) + 1 :] in _entries(Path(root))
        return True


def _entries(root: Path) -> set[str]:
    with contextlib.suppress(TempError):
        return {item.path for item in listing(root, Leases(root))[0]}
    return set()


# -- what the interpreter tells -------------------------------------------------------------------

_watches: list[Watch] = []
_is_listening = False


def _listen(watch: Watch) -> None:
    global _is_listening
    _watches.append(watch)
    if not _is_listening:  # there is no way to stop, nor to be told twice
        _is_listening = True
        sys.addaudithook(_hear)


def _hear(event: str, details: tuple[object, ...]) -> None:
    if event != "os.mkdir" or not _watches:
        return
    with contextlib.suppress(Exception):  # which would be raised from `mkdir`
        name, _, above = details
        if above == -1:  # not relative to a directory that is open, as when a tree is deleted
            path = os.path.abspath(os.fsdecode(name))  # type: ignore[arg-type]
            for watch in tuple(_watches):
                watch.note(path, sys._getframe(1))


_hear.__cantrace__ = True  # type: ignore[attr-defined] # a debugger may look on, and coverage


def _maker(frame: FrameType | None) -> str:
    """The line that had it made: the nearest that is neither the library's nor this package's."""
    for file, line, function in _calls(frame):
        is_library = file.startswith(_LIBRARY) and not file.startswith(_INSTALLED)
        if not (is_library or file.startswith((_HERE, "<frozen "))):
            return f"{file}:{line} in {function}"
    return "no line that is known"


def _calls(frame: FrameType | None) -> Iterator[tuple[str, int, str]]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        frame = frame.f_back
