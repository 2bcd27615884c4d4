"""Finds entries and directories that a test leaves behind, and who made them.

Audit events of the interpreter report each directory that this process makes, each file in a root
and each process that it starts, with the line of code. Owner files report what those processes
made. An entry made without a lease is only known to be new. If tests run in parallel, another test
may have made it, so it is not reported.
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
from .store.project.project import system_temp, user_root
from .store.root.leases import Leases
from .store.root.listing import listing
from .store.root.run_notes import made_in

if TYPE_CHECKING:
    import pytest

_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{_LIBRARY}site-packages{os.sep}", f"{_LIBRARY}dist-packages{os.sep}")
_HERE = os.path.dirname(__file__) + os.sep


class Left(NamedTuple):
    """A directory that still exists: its path, who made it, and for which fixture, if any."""

    path: str
    maker: str
    fixture: pytest.FixtureDef[Any] | None = None


class Watch:
    """Watches what the tests of this process make. Close it after use.

    Counts entries of roots, and directories directly in the system's temporary directory, except
    those made by code in the folder `ignored`. `alone` means that no other process runs tests of
    the same run.
    """

    def __init__(self, ignored: str, *, alone: bool = True) -> None:
        self._ignored = ignored + os.sep
        self._alone = alone
        self._temporary = {str(system_temp()), os.path.realpath(system_temp())}
        self._roots: set[str] = set()
        self._prefixes: tuple[str, ...] = ()
        self._made: dict[str, Left] = {}
        self._test = ""
        self._known: dict[str, str] = {}
        self._before: set[str] = set()
        self._started: dict[str, None] = {}
        """The lines of code that started processes, in order."""
        _listen(self)

    def close(self) -> None:
        """Stop watching."""
        with contextlib.suppress(ValueError):
            _watches.remove(self)

    def begin(self, test: str, roots: set[str]) -> None:
        """Start watching the test with that id; it must leave nothing in `roots`."""
        for root in (roots | {str(user_root())}) - self._roots:
            self._roots.add(root)
            self._prefixes += (f"{root}/", f"{os.path.realpath(root)}/")
        self._known = self._made_by_others(test)
        self._before = self._entries()
        self._started = {}
        self._test = test

    def paths(self) -> set[str]:
        """What this test has made so far, and what earlier tests made for fixtures still active."""
        for path, who in self._made_by_others(self._test).items():
            if path not in self._known:
                self._made.setdefault(path, Left(path, f"by {who}"))
        if self._started:
            who = f"by a process that was started at {' or at '.join(self._started)}"
            for path in self._entries() - self._before - self._recorded():
                self._made.setdefault(path, Left(path, who))
        return set(self._made)

    def made_for(self, fixture: pytest.FixtureDef[Any], before: set[str]) -> None:
        """Record that what was not there `before` was made for `fixture`, unless for another."""
        for path in self.paths() - before:
            if self._made[path].fixture is None:
                self._made[path] = self._made[path]._replace(fixture=fixture)

    def end(self, living: set[pytest.FixtureDef[Any]]) -> list[Left]:
        """What the test leaves, and the fixtures that ended with it; not those still `living`."""
        found = [self._made[path] for path in sorted(self.paths())]
        self._test = ""
        self._made = {left.path: left for left in found if left.fixture in living}
        return [left for left in found if left.fixture not in living and self._is_left(left.path)]

    def note_start(self, frame: FrameType | None) -> None:
        """Note that this process is about to start another."""
        maker = _maker(frame)
        if self._test and self._alone and not maker.startswith(self._ignored):
            self._started[maker] = None

    def note(self, path: str, is_directory: bool, frame: FrameType | None) -> None:
        """Note that this process is about to make the directory at `path`, or a file."""
        if not self._test or os.path.lexists(path):
            return
        is_temporary = is_directory and os.path.dirname(path) in self._temporary
        if not is_temporary and not path.startswith(self._prefixes):
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
                for relative, who in made_in(test, leases).items():
                    found[f"{root}/{relative}"] = who
        return found

    def _entries(self) -> set[str]:
        """The entries that are now in the roots of projects."""
        if not self._alone:
            return set()
        roots = self._roots - {str(user_root())}
        return {f"{root}/{path}" for root in roots for path in _entries(Path(root))}

    def _recorded(self) -> set[str]:
        """The recorded ones of those entries; the record names their maker if they leak."""
        found: set[str] = set()
        for root in self._roots:
            with contextlib.suppress(TempError):
                leases = Leases(Path(root))
                leases.refresh()
                found |= {f"{root}/{relative}" for relative in leases.recorded()}
        return found

    def _is_left(self, path: str) -> bool:
        """Whether it still exists, as an entry if it lies in a root."""
        for root in self._roots:
            for prefix in (root, os.path.realpath(root)):
                if path.startswith(f"{prefix}/"):
                    return path[len(prefix) + 1 :] in _entries(Path(root))
        return os.path.isdir(path) and path != str(user_root())


def _entries(root: Path) -> set[str]:
    with contextlib.suppress(TempError):
        return {item.path for item in listing(root, Leases(root))[0]}
    return set()


# -- the interpreter's audit events ----------------------------------------------------------------

_watches: list[Watch] = []
_is_listening = False


def _listen(watch: Watch) -> None:
    global _is_listening
    _watches.append(watch)
    if not _is_listening:  # an audit hook cannot be removed, so add only one
        _is_listening = True
        sys.addaudithook(_hear)


_MAKES = frozenset({"os.mkdir", "os.rename", "open"})
_STARTS = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
)


def _hear(event: str, details: tuple[Any, ...]) -> None:
    if not _watches or not (event in _MAKES or event in _STARTS):
        return
    with contextlib.suppress(Exception):  # an error here would be raised from `mkdir`
        if event in _STARTS:
            for watch in tuple(_watches):
                watch.note_start(sys._getframe(1))
        elif made := _made(event, details):
            for watch in tuple(_watches):
                watch.note(*made, sys._getframe(1))


def _made(event: str, details: tuple[Any, ...]) -> tuple[str, bool] | None:
    """The path that is about to be made and whether it is a directory; `None` if nothing is."""
    name, is_directory, relative_to = details[0], True, -1
    if event == "open":
        is_directory = False
        if isinstance(name, int) or not details[2] & os.O_CREAT:
            return None
    elif event == "os.mkdir":
        relative_to = details[2]
        if relative_to != -1:  # how this package makes an entry; on Linux, its path can be found
            name = os.path.join(os.readlink(f"/proc/self/fd/{relative_to}"), os.fsdecode(name))
            relative_to = -1
    else:
        is_directory, name, relative_to = os.path.isdir(name), *details[1::2]
    # Relative to an open directory (as when a tree is deleted), the path is not known.
    return None if relative_to != -1 else (os.path.abspath(os.fsdecode(name)), is_directory)


_hear.__cantrace__ = True  # type: ignore[attr-defined] # let debuggers and coverage see it


def _maker(frame: FrameType | None) -> str:
    """The nearest line of code outside the standard library and this package."""
    for file, line, function in _calls(frame):
        is_library = file.startswith(_LIBRARY) and not file.startswith(_INSTALLED)
        if not (is_library or file.startswith((_HERE, "<frozen "))):
            return f"{file}:{line} in {function}"
    return "an unknown line"


def _calls(frame: FrameType | None) -> Iterator[tuple[str, int, str]]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        frame = frame.f_back
