"""Deletes one named file or directory, with checks just before the deletion.

The caller decides what to delete; there is no scan. Below a root, the path is claimed like an
entry, at any depth, so that the next sweep finishes if the process is killed; no part of the path
may be a symlink. Elsewhere, it is a path that the user gave.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ...core.layouts import directories_above, is_inside
from ...errors import TempError, reason_of
from ..project.store_guard import is_gone
from ..root.containing_entry import entries_around
from ..root.leases import Leases
from ..root.pinning import Pins
from ..scanning.protections_inside import Within
from ..system import at
from ..system.locks import is_locked_at
from ..system.mounts import mounts_below
from ..system.opening import open_below, opened_in, opened_trusted
from ..system.processes_in_directory import AtWork
from ..trees.contents import newest_status_in
from ..trees.measured import Inside
from ..trees.measured_path import look_inside, newest_change
from ..trees.removal import Removal
from ..trees.removed import Removed, rmdir_at, spell_failures, unlink_at
from .area import HoldingArea
from .claim import Claim, NotClaimed

Kind = Literal["file", "directory", "empty", "either"]
"""What is expected: a file (or any symlink), a directory, an empty directory, or anything."""

GoOn = Callable[[], bool]
"""Called repeatedly during a removal; false stops it."""

_LOOKS_SECONDS: Final = 0.1
"""If examining a directory takes longer, it is checked again for changes."""


class NamedOutcome(NamedTuple):
    """The outcome for a named path, the bytes freed, and the total `length` of the files.

    "skipped": something protects it. "failed": a disk error. "stopped": a part is deleted, and the
    next sweep finds the rest. `detail` says more.
    """

    status: Literal["done", "missing", "skipped", "failed", "stopped"]
    detail: str = ""
    freed_bytes: int = 0
    length: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the path is gone, and was not left in place."""
        return self.status in ("done", "missing")


class NamedRemover:
    """Deletes named files and directories below one root of layout FILES. Close it after use.

    With `before` (seconds since 1970), deletes only what has not changed since then; for a
    directory, anywhere inside. Empty directories are not checked for that. With a `policy`, keeps
    anything in a pinned entry, anything that another process works in or has open, and directories
    with git work that exists nowhere else. `spare_own` also keeps what this process uses. Slow
    checks run before the claim; pins, leases and processes are checked again after it, when the
    path can no longer be reached by its name.
    """

    def __init__(
        self,
        root: Path,
        *,
        before: float | None = None,
        policy: bool = False,
        spare_own: bool = False,
        go_on: GoOn | None = None,
    ) -> None:
        self._root = root
        self._before = before
        self._policy = policy
        self._spare_own = spare_own
        self._go_on = go_on
        self._area: HoldingArea | None = None
        self._leases: Leases | None = None
        self._pins: Pins | None = None
        self._at_work = AtWork(root)

    def close(self) -> None:
        """Close all descriptors."""
        if self._area is not None:
            self._area.close()

    def delete(
        self, relative: str, kind: Kind, *, ours: bool, before: float | None = None
    ) -> NamedOutcome:
        """Delete `relative`, a path below the root.

        A directory, or a file that is not `ours`, stays while another process holds a lease on the
        entry. With a policy, so does a file of ours, unless only forks of this process have leases.
        A `before` that is later than that of this object applies to this path alone.
        """
        limit = self._before
        if limit is not None and before is not None:
            limit = max(limit, before)
        return _outcome(self._root / relative, lambda: self._delete(relative, kind, ours, limit))

    def delete_made(self, relative: str, by: float) -> NamedOutcome | None:
        """Like `delete`, for a path of any kind that another process made `by` that time (seconds
        since 1970); `None` if what is there now was made, moved there or changed later.
        """
        before = by if self._before is None else min(by, self._before)
        path = self._root / relative
        try:
            with opened_in(self._root, *relative.split("/")[:-1]) as parent:
                status = at.stat(path.name, dir_fd=parent, follow_symlinks=False)
                # Check the ctimes as well: a moved or copied file may keep its mtime.
                if status.st_ctime_ns / 1e9 > by or newest_change(parent, path.name)[0] > by:
                    return None
                if newest_status_in(parent, path.name) > by:
                    return None
        except (OSError, TempError):
            pass  # `_delete` reports it
        return _outcome(path, lambda: self._delete(relative, "either", False, before, by))

    def _delete(
        self, relative: str, kind: Kind, ours: bool, before: float | None, by: float | None = None
    ) -> Removed:
        if self._area is None:
            self._area = HoldingArea(self._root)
        above, _, name = relative.rpartition("/")
        parent = _open_below(self._area.top, above)
        try:
            seen = _look(parent, name, kind, before)
            ours = ours and not stat.S_ISDIR(seen.st_mode)
            changed = self._changed(relative.partition("/")[0])
            self._check(relative, ours, changed)
            if kind == "empty":
                _check_unlocked(self._root, parent, name)
                return rmdir_at(parent, name)
            inside = look_inside(parent, name)
            place = self._root / relative
            _check_within(self._root, relative, place, inside, self._policy)
        finally:
            at.close(parent)
        self._check_at_work(relative)  # last, since running git may have taken long
        with contextlib.closing(self._area.claim(relative, (seen.st_dev, seen.st_ino))) as claim:
            try:
                self._check(relative, ours, changed)
                _look_again(claim, before, by)
                inside = look_inside(claim.holding, claim.held)
                _check_within(claim.root, claim.path, Path(claim.place), inside, policy=False)
                self._check_at_work(os.path.relpath(claim.place, self._root))
            except NotClaimed as reason:
                raise NotClaimed(f"{reason.detail}{claim.put_back()}") from None
            except BaseException:
                claim.put_back()  # otherwise it would stay claimed
                raise
            claim.condemn()
            return claim.conclude(_remove_at(claim.holding, claim.held, self._go_on))

    def _check(self, path: str, ours: bool, changed: float) -> None:
        entry = path.partition("/")[0]
        objection = self._pin_on(entry) or self._lock_above(path) if self._policy else ""
        if not objection and (self._policy or not ours):
            objection = self._user_of(path if ours else entry, changed, ours)
        if objection:
            raise NotClaimed(objection)

    def _check_at_work(self, path: str) -> None:
        """Raise `NotClaimed` if a policy protects processes' work, and one works in `path`."""
        if self._policy and (who := self._at_work.inside(path)):
            raise NotClaimed(who)

    def _lock_above(self, path: str) -> str:
        for above in directories_above(path):
            with contextlib.suppress(OSError):
                if is_locked_at(self._root, self._root / above):
                    return f"in use: a process holds a lock (flock) on {above}"
        return ""

    def _pin_on(self, entry: str) -> str:
        if self._pins is None:
            self._pins = Pins(self._root)
        else:
            self._pins.refresh()
        return "is pinned" if self._pins.of(entry) is not None else ""

    def _user_of(self, path: str, changed: float, ours: bool) -> str:
        if self._leases is None:
            self._leases = Leases(self._root)
        self._leases.refresh()
        if ours:
            other = self._leases.use_by_others(path, time.time(), trackers=False)
            return f"in use: {other.who}" if other else ""
        use = self._leases.use_of(path, time.time(), changed)
        return f"in use: {use.who}" if use and (self._spare_own or not use.mine) else ""

    def _changed(self, entry: str) -> float:
        """When the entry itself last changed, to guess whether an unknown owner is alive."""
        try:
            return at.stat(self._root / entry, follow_symlinks=False).st_mtime_ns / 1e9
        except OSError:
            return time.time()


def delete_elsewhere(
    path: str,
    kind: Kind,
    *,
    before: float | None = None,
    policy: bool = False,
    go_on: GoOn | None = None,
) -> NamedOutcome:
    """Delete the absolute `path`, which is in none of the caller's roots; `before` and `policy` are
    as in `NamedRemover`. In an entry of another root, that root's pins and leases count.

    The path is not claimed: if a killed process had moved it aside, no sweep would find it.
    Accepted race: a change between the check and the deletion (for a file, a very short time).
    """
    above, name = os.path.split(path)

    def delete() -> Removed:
        with opened_trusted(above) as parent:
            seen = _look(parent, name, kind, before)
            _check_around(path, seen, policy)
            _check_unlocked(Path(above), parent, name)
            if not stat.S_ISDIR(seen.st_mode):
                if policy and (who := AtWork(Path(above)).inside(name)):
                    raise NotClaimed(who)
                return unlink_at(parent, name)
            if kind == "empty":
                return rmdir_at(parent, name)
            began = time.monotonic()
            inside = look_inside(parent, name)
            _check_within(Path(above), name, Path(path), inside, policy)
            # Check again, since running git may have taken long.
            if time.monotonic() - began > _LOOKS_SECONDS:
                _look(parent, name, kind, before)
                _check_around(path, seen, policy)
                _check_unlocked(Path(above), parent, name)
            if policy and (who := AtWork(Path(above)).inside(name)):
                raise NotClaimed(who)
            for point in mounts_below(above):
                if is_inside(point, name):
                    where = f"{above}/{point}"
                    raise NotClaimed(
                        f"another filesystem is mounted at {where}; unmount it first", failed=True
                    )
            return _remove_at(parent, name, go_on)

    return _outcome(Path(path), delete)


def _look(parent: int, name: str, kind: Kind, before: float | None) -> os.stat_result:
    """The status of `name`, if it is of that kind and unchanged. Raises `NotClaimed`."""
    status = at.stat(name, dir_fd=parent, follow_symlinks=False)
    is_directory = stat.S_ISDIR(status.st_mode)
    if is_directory and kind == "file":
        raise NotClaimed("is a directory", failed=True)
    if not is_directory and kind in ("directory", "empty"):
        raise NotClaimed("is not a directory", failed=True)
    if before is not None and kind != "empty" and newest_change(parent, name)[0] > before:
        raise NotClaimed("has changed since")
    return status


def _look_again(claim: Claim, before: float | None, by: float | None) -> None:
    """Raise `NotClaimed` if anything in it has an mtime after `before` or a ctime after `by`."""
    if before is not None and newest_change(claim.holding, claim.held)[0] > before:
        raise NotClaimed("has changed meanwhile")
    if by is not None and newest_status_in(claim.holding, claim.held) > by:
        raise NotClaimed("has changed meanwhile")


def _check_within(root: Path, path: str, place: Path, inside: Inside, policy: bool) -> None:
    """Raise `NotClaimed` if another process uses a root in `place`, or anything there is pinned;
    with a `policy`, also if git has work there that exists nowhere else.
    """
    if inside.unread:
        raise NotClaimed(f"cannot be looked into: {inside.unread}", failed=True)
    if policy and inside.repositories:
        from ..repositories.unsaved_work import unsaved_work

        if found := unsaved_work(str(place), inside.repositories):
            raise NotClaimed(f"holds unsaved work: git: {found[1]}")
    if inside.roots:
        within, now = Within(root), time.time()
        use = within.use_of(path, place, inside, now, now)
        if use is not None and not use.mine:
            raise NotClaimed(f"in use: {use.who}")
        if pin := within.pin_of(path, place, inside):
            raise NotClaimed(f"holds what is pinned: {pin}")


def _check_around(path: str, seen: os.stat_result, policy: bool) -> None:
    """Raise `NotClaimed` if `path` is in an entry of another root that another process uses; a file
    without a `policy`, only if it is that entry. With a `policy`, also if that entry is pinned.
    """
    is_asked = policy or stat.S_ISDIR(seen.st_mode)
    for root, entry in entries_around(path):
        if not (is_asked or _is_at(root / entry, seen)):
            continue
        if policy and Pins(root).of(entry) is not None:
            raise NotClaimed("is pinned")
        leases = Leases(root)
        leases.refresh()
        use = leases.use_of(entry, time.time(), seen.st_mtime_ns / 1e9)
        if not is_asked:
            use = leases.use_by_others(entry, time.time(), trackers=False)
        if use is not None and not use.mine:
            raise NotClaimed(f"in use: {use.who}")


def _is_at(path: Path, seen: os.stat_result) -> bool:
    try:
        return os.path.samestat(seen, at.stat(path, follow_symlinks=False))
    except OSError:
        return False


def _check_unlocked(root: Path, parent: int, name: str) -> None:
    with contextlib.suppress(PermissionError):
        if is_locked_at(root, name, dir_fd=parent):
            raise NotClaimed("in use: a process holds a lock (flock) on it")


def _open_below(top: int, path: str) -> int:
    """The open directory at `path` below the open `top`; no part of the path may be a symlink."""
    try:
        return open_below(top, path.split("/") if path else ())
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            part = os.path.basename(error.filename or path)
            raise NotClaimed(f"{part} on the way to it is not a directory", failed=True) from None
        raise


def _remove_at(parent: int, name: str, go_on: GoOn | None) -> Removed:
    removal = Removal(None if go_on is None else lambda _: go_on())
    if not removal.remove(parent, name):
        raise _Stopped(removal.removed)
    return removal.removed


class _Stopped(Exception):
    """A removal was stopped; `removed` is what it did until then."""

    def __init__(self, removed: Removed) -> None:
        super().__init__()
        self.removed = removed


def _outcome(path: Path, delete: Callable[[], Removed]) -> NamedOutcome:
    try:
        removed = delete()
    except FileNotFoundError:
        return NamedOutcome("missing")
    except NotClaimed as reason:
        if is_gone(str(path)):
            return NamedOutcome("missing")
        return NamedOutcome("failed" if reason.failed else "skipped", reason.detail)
    except _Stopped as stopped:
        detail = "was stopped midway; the next sweep finishes it"
        return NamedOutcome("stopped", detail, stopped.removed.freed_bytes, stopped.removed.length)
    except OSError as error:
        return NamedOutcome("failed", reason_of(error))
    except TempError as error:
        return NamedOutcome("failed", str(error))
    if removed.failures:
        return NamedOutcome("failed", spell_failures(removed), removed.freed_bytes, removed.length)
    return NamedOutcome("done", "", removed.freed_bytes, removed.length)
