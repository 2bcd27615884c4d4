"""Keeps track of files with a time to live: which are tracked, where, and since when."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Final, NamedTuple, TypeAlias

from .core.layouts import FILES, is_inside
from .errors import InvalidName, Refused
from .store.project.project import system_temp
from .store.root.allocation import adopt
from .store.root.current_owners import own
from .store.root.making import make_root
from .store.root.owner import hand_over, release
from .store.root.owner_kinds import BORROWED, OWN, TRACKED, Book
from .store.system.user_path import users_path

AnyPath: TypeAlias = str | os.PathLike[str]

_MADE_WITHIN: Final = 3600.0
"""How long (seconds) the making of a tracked file is waited for before its process counts as idle.
"""


class Place(NamedTuple):
    """A place: its absolute path, and its path below the root if it is in there.

    `refusal` says why it can never be tracked.
    """

    path: str
    relative: str | None = None
    refusal: str = ""

    @property
    def entry(self) -> str:
        """The entry of the root that it is or lies in; "" outside the root."""
        return (self.relative or "").partition("/")[0]


class Mark:
    """Marks a path as tracked; each call makes a new mark, to tell it from earlier ones.

    `was_there` says that the path has existed. `tried` is when its removal failed, in seconds since
    1970: changes before that may come from the removal. `base` identifies the directory in which it
    was tracked, as another may be mounted or moved there.
    """

    __slots__ = ("base", "since", "tried", "was_there")

    def __init__(self, base: tuple[int, int], *, was_there: bool) -> None:
        self.base = base
        self.since = time.monotonic()
        self.tried: float | None = None
        self.was_there = was_there


class Ledger:
    """Which files are tracked in `base_temp_dir` and elsewhere. Tracking and untracking take
    constant time and can be done from any thread.
    """

    def __init__(self, base_temp_dir: AnyPath) -> None:
        self.base_temp_dir = users_path(base_temp_dir).absolute()
        spelled = os.path.abspath(self.base_temp_dir)
        make_root(spelled, FILES)
        self._root = os.path.realpath(spelled)
        self._spellings = (spelled, self._root)
        home, temporary = os.path.expanduser("~"), str(system_temp())
        self._sacred = {
            *self._spellings,
            home,
            temporary,
            *map(os.path.realpath, (home, temporary)),
        }
        self._start_afresh()
        _ledgers.add(self)

    def _start_afresh(self) -> None:
        """Track nothing: at first, and in a forked child, since the files are its parent's."""
        # A signal handler may call a method in the middle of another one.
        self._lock = threading.RLock()
        self._tracked: dict[str, Mark] = {}
        self._newest = 0.0
        self._inside: dict[str, set[str]] = {}
        """The tracked paths by the entry that they lie in; "" for those outside the root."""

    def track_file(self, file_path: AnyPath) -> None:
        """Delete the file (or directory) at `file_path` when it is old; it need not exist yet.

        In `base_temp_dir`, its entry is in use from now on, so that no other process cleans it.
        Track a file before you make it. A call costs two `stat`s and a line appended to an open
        file. Raises `Refused` for what cannot be tracked (`base_temp_dir` itself, its store, the
        directories above it), `InvalidName` or `StorageError`.
        """
        place = self._place(file_path)
        if place.refusal:
            raise Refused(f"{file_path} {place.refusal}")
        mark = Mark(self._base(), was_there=os.path.lexists(place.path))
        with self._lock:
            if place.relative is not None:
                self._lease(place.relative, place.path in self._tracked)
            self._inside.setdefault(place.entry, set()).add(place.path)
            self._tracked[place.path] = mark
            self._newest = mark.since

    def _base(self) -> tuple[int, int]:
        """Which directory the root is now."""
        try:
            status = os.stat(self._root)
        except OSError:
            return (0, 0)
        return status.st_dev, status.st_ino

    def untrack_file(self, file_path: AnyPath) -> None:
        """Stop tracking the file at `file_path`, for example after handing it over; it stays."""
        place = self._place(file_path)
        mark = self._tracked.get(place.path)
        if mark is not None:
            self._forget({place.path: mark})

    def _lease(self, relative: str, is_tracked: bool) -> None:
        """Record the path: this puts its entry in use, and tells the next run what was tracked."""
        noted, book = _record_of(relative)
        owner = own(self._root, book)
        if not is_tracked or owner is None or noted not in owner.live:
            adopt(self._root, noted, FILES, book)
        elif not owner.is_current():
            # The store or the root was removed: make the leases again, each as often as
            # before.
            adopt(self._root, noted, FILES, book)
            release(self._root, noted, book)

    def _place(self, path: AnyPath) -> Place:
        given = users_path(path)
        if "\0" in str(given):
            raise InvalidName(f"{str(given)!r} contains NUL; no file has such a name")
        spelled = os.path.abspath(given)
        if os.pardir in given.parts:
            # The parent of a link's target is not what precedes it in the path.
            whole = given.absolute()
            spelled = os.path.join(os.path.realpath(whole.parent), whole.name)
            if whole.name == os.pardir:
                spelled = os.path.realpath(whole)
        for root in self._spellings:
            if spelled.startswith(root + os.sep):
                relative = spelled[len(root) + 1 :].replace(os.sep, "/")
                entry = relative.partition("/")[0]
                own_file = not FILES.holds(entry, is_directory=True)
                refusal = f"is not scratch: {entry} is a part of {root} itself" if own_file else ""
                return Place(os.path.join(self._root, relative), relative, refusal)
        for kept in self._sacred:
            if is_inside(kept, spelled) or spelled == os.path.dirname(spelled):
                verb = "is" if spelled == kept else "holds"
                return Place(spelled, None, f"is not scratch: it {verb} {kept}")
        return Place(spelled)

    def _forget(self, marks: dict[str, Mark]) -> None:
        """Untrack paths, except those that were tracked again since they had the given mark."""
        with self._lock:
            for path, mark in marks.items():
                if self._tracked.get(path) is not mark:
                    continue
                self._tracked.pop(path, None)
                place = self._place(path)
                inside = self._inside.get(place.entry, set())
                inside.discard(path)
                if place.relative is not None:
                    noted, book = _record_of(place.relative)
                    release(self._root, noted, book)
                if not inside and self._inside.get(place.entry) is inside:
                    del self._inside[place.entry]
                    if place.entry:
                        self._hand_over(place.entry)

    def _show_life(self) -> None:
        """Note that this process is alive, if it may still be making tracked files: `recover`
        takes nothing that was made later. It stops in time, since each note wakes up a disk.
        """
        owner = own(self._root, TRACKED)
        if owner is not None and owner.live and time.monotonic() - self._newest < _MADE_WITHIN:
            owner.show_life()

    def _hand_over(self, entry: str) -> None:
        """Leave the entry to the holders of its descriptors, if nothing here needs it any more."""
        if own(self._root, Book(handed=entry)) is None:
            return
        owners = filter(None, (own(self._root, book) for book in OWN))
        if not any(is_inside(path, entry) for owner in owners for path in tuple(owner.live)):
            hand_over(self._root, entry)

    def _marks_inside(self, place: Place) -> dict[str, Mark]:
        """What is tracked in the directory at `place`, itself included."""
        with self._lock:
            return {
                path: self._tracked[path]
                for path in tuple(self._inside.get(place.entry, ()))
                if is_inside(path, place.path) and path in self._tracked
            }

    def _is_anothers(self, place: Place) -> bool:
        """Whether another manager in this process tracks something in the directory at `place`."""
        return any(
            path != place.path
            for other in tuple(_ledgers)
            if other is not self and other._root == self._root
            for path in other._marks_inside(place)
        )


def _record_of(relative: str) -> tuple[str, Book]:
    """What is recorded for a tracked path, and in which book.

    A record cannot hold a newline. For a path with a newline below its entry, only the entry is
    recorded; if this process is killed, the file is left to `cleanup_old_files`.
    """
    if "\n" in relative:
        return relative.partition("/")[0], BORROWED
    return relative, TRACKED


_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()


def _forget_after_fork() -> None:
    for ledger in tuple(_ledgers):
        ledger._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
