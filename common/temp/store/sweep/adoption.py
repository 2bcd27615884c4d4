"""Adoption: moves the older helper's flat entries that are not in use to `uncategorized`."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ...core.adoption import Moved, Survey, draft_adoption
from ...core.entry import Entry, Use
from ...core.layouts import HELD, STORE, UNCATEGORIZED, entry_name, is_inside, read_name
from ...core.policy import Need
from ...errors import StorageError, reason_of
from ..project.project import check_root, open_root
from ..project.store_guard import is_gone
from ..root.last_use import carry_use
from ..root.leases import Leases
from ..root.pinning import Pins
from ..scanning.protections_inside import Within
from ..scanning.scan import busy_entries, scan
from ..system import at
from ..system.at import DIRECTORY_FLAGS
from ..system.locks import lock_directory
from ..system.renaming import rename_new
from ..system.walking import walk
from ..trees.measured_path import look_inside

_ATTEMPTS = 16
_PROCESS_CHECK_SECONDS = 1.0
"""As in a sweep: a process that started to work in an entry within this time is not seen."""


def survey(root: Path, exclude: tuple[str, ...], now: float) -> Survey:
    """What an adoption of `root` would do. Writes nothing. Raises `StorageError` or `Refused`.

    A flat entry is a directory `<label>_<epoch>` directly in the root. It stays there while
    anything protects it from a clean (it is in use, pinned, excluded, a mount point, or holds
    unsaved work), and if moving it would break a symlink in the root. References to its path from
    elsewhere are not detected.
    """
    inventory = scan(root, now, need=lambda category: Need(inside=False))
    flat = any("/" not in entry.path for entry in inventory.entries)
    if flat:
        inventory = inventory._replace(entries=_protected(root, inventory.entries, now))
    return draft_adoption(inventory, _linked(root) if flat else {}, exclude, now)


def _protected(root: Path, entries: tuple[Entry, ...], now: float) -> tuple[Entry, ...]:
    """The entries; the flat ones also have the protections found inside them."""
    within = Within(root)
    top = open_root(root)
    try:
        return tuple(
            entry
            if "/" in entry.path or entry.kind != "directory"
            else within.protected(entry, look_inside(top, entry.path), now)
            for entry in entries
        )
    finally:
        at.close(top)


def _linked(root: Path) -> dict[str, str]:
    """The names that cannot move out of the top of `root` without breaking a symlink in the root,
    each with a text that names the symlink.
    """
    tops = {_slashed(str(root)), _slashed(os.path.realpath(root))}
    found: dict[str, str] = {}
    for place in _symlinks(root):
        with contextlib.suppress(OSError):
            target = os.readlink(root / place)
            home = place.partition("/")[0]
            for top in tops:
                leads_to = os.path.join(top, os.path.dirname(place), target)
                leads_to = _slashed(os.path.normpath(leads_to))
                inside = leads_to[len(top) + 1 :] if is_inside(leads_to, top) else None
                stays_inside = inside is not None and is_inside(inside, home)
                if "/" in place and stays_inside == os.path.isabs(target):
                    found.setdefault(home, f"the symlink {place} leads to {target}")
                if inside and not stays_inside:
                    found.setdefault(inside.partition("/")[0], f"the symlink {place} leads to it")
    return found


def _slashed(path: str) -> str:
    return path.replace(os.sep, "/")


def _symlinks(root: Path) -> Iterator[str]:
    """Every symlink below `root`, relative to it; symlinks are not followed."""
    for above, directories, files in walk(root):
        if above == str(root):
            directories[:] = [
                name for name in directories if name != STORE and not name.startswith(HELD)
            ]
        for name in (*directories, *files):
            path = os.path.join(above, name)
            if os.path.islink(path):
                yield _slashed(os.path.relpath(path, root))


def adopt(planned: Survey, on_moved: Callable[[Moved], None]) -> tuple[Moved, ...]:
    """Execute the `planned` moves; calls `on_moved` after each, and returns the outcomes.

    Each entry is checked again just before it is moved. The move is one rename that never replaces
    anything: if the name is taken, the entry gets a suffix. A kill at any time leaves the entry
    whole, in one place or the other. Raises `StorageError` or `Refused`.
    """
    root = Path(planned.root)
    done: list[Moved] = []
    if not planned.moves or not check_root(root):
        return ()
    with contextlib.ExitStack() as stack:
        mover = _Mover(root, stack)
        for entry in planned.moves:
            try:
                moved = mover.move(entry)
            except _Stays as reason:
                moved = Moved(entry, entry.path, "skipped", str(reason))
            except OSError as error:
                if is_gone(os.path.join(root, entry.path)):
                    moved = Moved(entry, entry.path, "skipped", "is gone already")
                else:
                    why = f"cannot be moved: {reason_of(error)}"
                    moved = Moved(entry, entry.path, "failed", why)
            done.append(moved)
            on_moved(moved)
    return tuple(done)


class _Stays(Exception):
    """An entry is not moved because something has changed; the text says what."""


class _Mover:
    """Moves entries of one root; `stack` closes what it opens."""

    def __init__(self, root: Path, stack: contextlib.ExitStack) -> None:
        self.root = root
        self.leases = Leases(root)
        self.pins = Pins(root)
        self._busy: dict[str, Use] = {}
        self._looked_at = float("-inf")
        self.top = open_root(root)
        stack.callback(at.close, self.top)
        with contextlib.suppress(FileExistsError):
            at.mkdir(UNCATEGORIZED, dir_fd=self.top)
        try:
            self.category = at.open(UNCATEGORIZED, DIRECTORY_FLAGS, dir_fd=self.top)
        except OSError as error:
            what = f"cannot use {root / UNCATEGORIZED}"
            raise StorageError.of(what, error, "make it a plain directory of yours") from error
        stack.callback(at.close, self.category)

    def move(self, entry: Entry) -> Moved:
        """Move `entry` and return the outcome. Raises `_Stays` or `OSError` if it did not move."""
        with self._locked(entry):
            if objection := self._objection(entry, self.top, entry.path):
                raise _Stays(objection)
            name = self._rename(entry)
            moved = Moved(entry, f"{UNCATEGORIZED}/{name}")
            # A pin or lease made just now has the old path, but the system shows processes that
            # work there with the new one.
            objection = self._objection(entry, self.category, name) or self._swapped(entry, name)
            if not objection:
                return moved
            try:
                here = {"src_dir_fd": self.category, "dst_dir_fd": self.top}
                rename_new(name, entry.path, **here)
            except FileExistsError:
                detail = f"{objection}, but its place is taken"
                return moved._replace(status="failed", detail=detail)
            raise _Stays(objection)

    @contextlib.contextmanager
    def _locked(self, entry: Entry) -> Iterator[None]:
        """Lock the entry, so that no sweep and no other adoption moves it."""
        descriptor: int | None = None
        try:
            try:
                descriptor = at.open(entry.path, DIRECTORY_FLAGS, dir_fd=self.top)
                free = lock_directory(self.root, descriptor)
                # Check the name while locked: anything that moves or removes it locks it first.
                status = at.stat(entry.path, dir_fd=self.top, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                raise _Stays("is gone already") from None
            if (status.st_dev, status.st_ino) != (entry.device, entry.inode):
                raise _Stays("is no longer the one that was looked at")
            if not free:
                raise _Stays("in use: a process holds a lock (flock) on it")
            yield
        finally:
            if descriptor is not None:
                at.close(descriptor)

    def _objection(self, entry: Entry, parent: int, name: str) -> str:
        """Why `entry` must not move; "" if it may. It is now `name` in the open directory `parent`,
        which is the root or the category.
        """
        self.pins.refresh()
        if self.pins.of(entry.path) is not None:
            return "has been pinned meanwhile"
        self.leases.refresh()
        use = self.leases.use_of(entry.path, time.time(), entry.changed)
        path = name if parent == self.top else f"{UNCATEGORIZED}/{name}"
        if use is None:
            inside, place = look_inside(parent, name), self.root / path
            if inside.unread:
                return f"cannot be looked into: {inside.unread}"
            use = Within(self.root).use_of(entry.path, place, inside, time.time(), entry.changed)
        if use is None:
            # Check this last, since the checks above take long for a large entry.
            if time.monotonic() - self._looked_at > _PROCESS_CHECK_SECONDS:
                self._looked_at = time.monotonic()
                self._busy = busy_entries(self.root)
            use = self._busy.get(path)
        return f"in use: {use.who}" if use is not None else ""

    def _swapped(self, entry: Entry, name: str) -> str:
        status = at.stat(name, dir_fd=self.category, follow_symlinks=False)
        same = (status.st_dev, status.st_ino) == (entry.device, entry.inode)
        return "" if same else "was replaced at this moment"

    def _rename(self, entry: Entry) -> str:
        """Move the entry to the category, and return its name there."""
        label, stamp = read_name(entry.path)
        assert stamp is not None, "only stamped entries move"
        name = entry.path
        for _ in range(_ATTEMPTS):
            carry_use(self.root, entry.path, f"{UNCATEGORIZED}/{name}")
            try:
                rename_new(entry.path, name, src_dir_fd=self.top, dst_dir_fd=self.category)
            except FileExistsError:
                name = entry_name(label, stamp, os.urandom(4).hex())
            else:
                return name
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
