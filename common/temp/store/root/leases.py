"""The leases on the entries of a root, read from its owner files. Reading them writes nothing.

A record is written *before* its directory is made, and a scan reads the records *after* it has
listed the directories. So every directory that the scan sees has its record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...core.entry import Use
from ...core.layouts import OWNERS, STORE, directories_above
from ...core.units import DAY, HOUR
from ...errors import StorageError, TempError
from ..project.store_guard import Unchanged, check_store, folds_case, is_gone
from ..system.at import PLAIN_FLAGS, ROOT_FLAGS
from ..system.letter_case import folded
from ..system.locks import is_file_locked
from ..system.opening import opened, opened_below
from .current_owners import forks_of_own, own
from .owner_kinds import BORROWED, FAILED, HELD_ON, OWN, PLAIN, TRACKED, Book

if TYPE_CHECKING:
    from .owner_file_reading import Journal, Left

_UNREADABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EMLINK})
"""The errors for an owner file of another user, or for a symlink or socket in its place."""


class Leases:
    """The leases on the entries of one root, as of the last `refresh`.

    Raises `Refused` for a root whose owner files are behind a symlink or mounted over.
    """

    def __init__(self, root: Path, foreign_for: float | None = None) -> None:
        check_store(root)
        self._root = str(root)
        self._directory = os.path.join(self._root, STORE, OWNERS)
        self._is_same = Unchanged(self._root, self._directory)
        self._fold = folded if folds_case(root) else str
        self._foreign_for = foreign_for
        self._journals: dict[str, Journal] = {}
        self._damaged: tuple[Journal, ...] = ()
        self._holders: dict[str, list[Journal]] = {}
        # For each directory above recorded entries: the number of these entries by journal.
        self._below: dict[str, dict[Journal, int]] = {}
        self._own: frozenset[str] = frozenset()
        self._ours: dict[str, int] = {}
        self._namespace: str | None = None
        self._views: dict[int, str] = {}

    @property
    def foreign_for(self) -> float:
        """How many seconds without change free an entry whose owner cannot be checked.

        As given, or as configured for the project of the root.
        """
        if self._foreign_for is None:
            from ..settings.loading import configured_foreign_for  # few owners are elsewhere

            try:
                self._foreign_for = configured_foreign_for(Path(self._root))
            except TempError:  # wrong settings are reported where they are used
                self._foreign_for = DAY
        return self._foreign_for

    def refresh(self) -> None:
        """Read the lines appended to the owner files since the last `refresh`."""
        for _ in range(100):
            owners = (own(self._root, book) for book in OWN)
            self._own = frozenset(owner.id for owner in owners if owner is not None)
            self._ours = forks_of_own()
            if self._read_all():
                return
        raise StorageError(0, f"{self._directory} does not stop changing; try again")

    def _read_all(self) -> bool:
        """Read all owner files; false if one was unlinked meanwhile."""
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise StorageError.of(f"cannot read {self._directory}", error) from error
        self._is_same.check()  # only after listing, which may have read a mount over the directory
        for gone in self._journals.keys() - set(names):
            self._forget(self._journals.pop(gone))
        for name in names:
            known = self._journals.get(name)
            if known is not None and known.alive is False and known.read:
                # A dead owner stays dead: owner names are never reused. (But an empty file may
                # have been read before its owner locked it.)
                continue
            try:
                self._read(name)
            except FileNotFoundError:
                return False
            except OSError as error:
                path = os.path.join(self._directory, name)
                if error.errno not in _UNREADABLE:
                    raise StorageError.of(f"cannot read {path}", error) from error
                self._pass_over(name, error.strerror or "it is not a file")
        self._damaged = tuple(
            journal
            for journal in self._journals.values()
            if journal.damage and journal.alive is not False and journal.id not in self._own
        )
        return True

    def _read(self, name: str) -> None:
        from ..system.process_identity import host_name  # a root without owners does not need these
        from .owner_file_reading import Journal

        path = os.path.join(self._directory, name)
        descriptor = os.open(path, os.O_RDONLY | PLAIN_FLAGS)
        try:
            # Check the lock before reading: an owner found dead writes nothing more. (A process
            # forked from it holds the lock until it has added its line. Only a child is missed
            # whose parent had closed all descriptors before forking it, and exits just now.)
            locked = True if name in self._own else is_file_locked(descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._pass_over(name, "it is not a plain file")
                return
            if status.st_nlink == 0:
                raise FileNotFoundError(path)
            journal, identity = self._journals.get(name), (status.st_dev, status.st_ino)
            if journal is None or journal.identity != identity:
                if journal is not None:
                    self._forget(journal)
                journal = self._journals[name] = Journal(name, identity)
            journal.written = status.st_mtime
            if status.st_size > journal.read:
                for is_taken, record in journal.read_on(descriptor, host_name()):
                    if is_taken and record not in journal.records:
                        self._add(journal, record)
                    elif not is_taken and record in journal.records:
                        self._remove(journal, record)
            journal.alive = self._is_alive(journal, locked, descriptor)
            if name in self._ours:
                journal.look_for_forks(self._ours[name])
        finally:
            os.close(descriptor)

    def _pass_over(self, name: str, why: str) -> None:
        """Treat an unreadable file with an owner's name as an unchecked owner."""
        from .owner_file_reading import Journal, is_owner_name

        if is_owner_name(name):
            if (known := self._journals.get(name)) is not None:
                self._forget(known)
            self._journals[name] = Journal(name, damage=why)

    def _is_alive(self, journal: Journal, locked: bool | None, descriptor: int) -> bool | None:
        """Whether the owner, or a process that shares its lease, is alive; `None`, and a `doubt` in
        the journal, if unknown.
        """
        from ..system import process_identity as identity

        journal.doubt = ""
        if locked:
            journal.note_missing(time.time())
            return True
        owner = journal.header.presence
        journal.doubt = "this filesystem has no locks" if locked is None else ""
        is_same_host = journal.header.host == identity.host_name()
        if not owner.boot:  # written by an older version, or on a system without a boot id
            is_far = bool(owner.machine or owner.view) and not is_same_host
            journal.doubt = journal.doubt or ("it ran on another system" if is_far else "")
        elif owner.boot != identity.boot():
            if is_same_host and identity.outlived(owner, identity.presence_here(descriptor)):
                return False
            journal.doubt = journal.doubt or "it ran on another system, or before a restart"
        else:
            if self._namespace is None:
                self._namespace = identity.namespace()
            if self._namespace and self._namespace == owner.namespace:
                alive = journal.has_living()
                if alive:
                    return True
                if alive is None:
                    journal.doubt = "the system hides it"
            elif journal.is_seen():
                return True
            elif identity.differ_in_time(self._namespace, owner.namespace) and journal.may_run():
                journal.doubt = "it runs in another time namespace"
            if not journal.doubt and self._view(descriptor) != owner.view:
                journal.doubt = "it saw the filesystem by another mount"
        return None if journal.doubt or journal.is_damaged else False

    def _view(self, descriptor: int) -> str:
        from ..system.process_identity import view

        device = os.fstat(descriptor).st_dev
        if device not in self._views:
            self._views[device] = view(descriptor)
        return self._views[device]

    def _add(self, journal: Journal, path: str) -> None:
        journal.records.add(path)
        path = self._fold(path)
        self._holders.setdefault(path, []).append(journal)
        for above in directories_above(path):
            counts = self._below.setdefault(above, {})
            counts[journal] = counts.get(journal, 0) + 1

    def _remove(self, journal: Journal, path: str) -> None:
        journal.records.discard(path)
        path = self._fold(path)
        self._holders[path].remove(journal)
        if not self._holders[path]:
            del self._holders[path]
        for above in directories_above(path):
            counts = self._below[above]
            counts[journal] -= 1
            if not counts[journal]:
                del counts[journal]

    def _forget(self, journal: Journal) -> None:
        for path in tuple(journal.records):
            self._remove(journal, path)

    def use_of(self, relative: str, now: float, changed: float) -> Use | None:
        """The lease held on the entry at `relative`, on anything below it, or on a directory above
        it, which was an entry itself when it was leased.

        `changed` is when the entry last changed. If it is unknown whether the owner is alive, this
        time decides whether the entry counts as in use.
        """
        if not self.has_any:
            return None  # the usual case
        use: Use | None = None
        relative = self._fold(relative)
        for journal in (*self._on(relative), *self._damaged):
            found = self._use_by(journal, now, changed)
            if found is None:
                continue
            if journal.alive and not found.mine:
                return found
            if use is None or (use.mine and not journal.alive):
                use = found
        return use

    @property
    def has_any(self) -> bool:
        """Whether there is any lease in the root."""
        return bool(self._holders or self._damaged)

    def use_by_others(
        self, relative: str, now: float, *, maker: bool = True, trackers: bool = True
    ) -> Use | None:
        """The lease on `relative` that another process took or was handed. Forks of this process do
        not count, nor do damaged owner files, its maker without `maker`, and without `trackers`
        tracked files.
        """
        on = (one for one in self._on(self._fold(relative)) if one.id not in self._ours)
        on = (one for one in on if maker or one.header.book != PLAIN or relative not in one.records)
        on = (one for one in on if trackers or one.header.book != TRACKED)
        uses = (self._use_by(one, now, now) for one in on if one.header.book != HELD_ON)
        return next(filter(None, uses), None)

    def _on(self, relative: str) -> Iterator[Journal]:
        """The journals with a record of `relative`, of anything below it, or of a parent."""
        yield from self._holders.get(relative, ())
        yield from self._below.get(relative, ())
        for above in directories_above(relative):
            yield from self._holders.get(above, ())

    def _use_by(self, journal: Journal, now: float, changed: float) -> Use | None:
        if journal.header.book == FAILED:
            return None
        # Entries that this process holds for others stay, even when this process cleans.
        mine = journal.id in self._own and not journal.is_shared and journal.header.book != BORROWED
        if journal.alive:
            return Use("owner", self._spell_damaged(journal) or journal.who, mine=mine)
        if journal.alive is None and now - changed < self.foreign_for:
            return Use("unknown", self._spell_doubt(journal), mine=mine)
        return None

    def any_use(self, now: float, changed: float) -> Use | None:
        """The lease of any owner that is alive or cannot be checked, others before this process.
        `changed` is as in `use_of`. The root may have been moved.
        """
        use: Use | None = None
        for journal in self._journals.values():
            found = self._use_by(journal, now, changed)
            if found is not None and journal.id in self._ours and not journal.is_shared:
                found = found._replace(mine=True)
            if found is not None and not found.mine:
                return found
            use = use or found
        return use

    def _spell_doubt(self, journal: Journal) -> str:
        why = self._spell_damaged(journal)
        why = why or f"{journal.who} cannot be checked from here ({journal.doubt})"
        hours = f"{self.foreign_for / HOUR:g} h"
        return f"{why}, so the entry counts as in use until it has been unchanged for {hours}"

    def _spell_damaged(self, journal: Journal) -> str:
        if not journal.is_damaged:
            return ""
        file = f"{os.path.join(self._directory, journal.id)}: {journal.damage}"
        return f"a process that cannot be checked ({file}; remove that file if no process needs it)"

    def is_guessed(self, relative: str) -> bool:
        """Whether it is unknown if an owner of the entry is alive: then its last change decides."""
        return bool(self._damaged) or None in {one.alive for one in self._on(self._fold(relative))}

    @property
    def has_unchecked(self) -> bool:
        """Whether there is an owner that can never be checked."""
        return any(
            one.alive is None or (one.alive and one.doubt) for one in self._journals.values()
        )

    def has_died(self, relative: str) -> bool:
        """Whether the process that had the entry was killed, and certainly nobody has it now."""
        holders = (*self._on(self._fold(relative)), *self._damaged)
        return {(one.alive, one.has_left) for one in holders} == {(False, False)}

    def maker_of(self, relative: str) -> str | None:
        """The process that made the entry at `relative`, if it is still recorded."""
        if not self._holders:
            return None
        relative = self._fold(relative)
        noted = (*self._holders.get(relative, ()), *self._below.get(relative, ()))
        books = ((one.who, one.header.book) for one in noted)
        return next((who for who, book in books if book != BORROWED and not book.handed), None)

    def left_in(self, book: Book) -> list[Left]:
        """The paths in that `book` of processes that have ended or cannot be checked."""
        from .owner_file import last_alive
        from .owner_file_reading import Left

        return [
            Left(
                path,
                f"{self._directory}/{name}",
                one.identity,
                one.alive is False,
                one.has_left,
                last_alive(f"{self._directory}/{name}", one.written),
                one.inodes.get(path),
            )
            for name, one in self._journals.items()
            if one.header.book == book and one.alive is not True
            for path in sorted(one.records)
        ]

    @property
    def journals(self) -> tuple[Journal, ...]:
        """All owner files, as read."""
        return tuple(self._journals.values())

    def recorded(self) -> set[str]:
        """The paths of all recorded entries that were not given up."""
        return {path for journal in self._journals.values() for path in journal.records}

    def recorded_categories(self) -> set[str]:
        """The categories in which live processes have made entries: these are certain.

        Other records may be planted, and only protect: an entry must not be cleaned in parts.
        """
        return {
            path.partition("/")[0]
            for one in self._journals.values()
            if one.alive and one.has_made
            for path in one.records
            if "/" in path
        }

    def forget_dead(self) -> None:
        """Remove the owner files of dead processes that no existing entry needs."""
        from .owner_file import unlink_if_dead

        if not (ended := [one for one in self._journals.values() if self._has_ended(one)]):
            return
        with (
            contextlib.suppress(OSError),
            opened(self._root, ROOT_FLAGS) as top,
            opened_below(top, STORE, OWNERS) as owners,
        ):
            for journal in ended:
                if all(is_gone(record, dir_fd=top) for record in journal.records):
                    unlink_if_dead(journal.id, journal.identity, owners)

    def _has_ended(self, journal: Journal) -> bool:
        # An unchecked owner may be about to make an entry; a damaged file may name any entry.
        if journal.alive is not None or journal.damage:
            return journal.alive is False
        return time.time() - max(journal.header.started, journal.written) >= self.foreign_for
