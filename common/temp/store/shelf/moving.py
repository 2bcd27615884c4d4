"""Moving one entry onto a shelf by one rename."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from ...core.plan import Step
from ...errors import TempError, in_place, reason_of
from ..claiming.claim import NotClaimed, NotDisposed
from ..project.project import open_root
from ..root.arrivals import keep_age
from ..system import at
from ..system.archive_formats import ArchiveFormat, suffix_of
from ..system.opening import opened_in
from ..system.renaming import rename_new
from ..trees.contents import Digest, digest
from ..trees.measured_path import newest_change
from .reservation import Reservation
from .source import Source

Protection = Callable[[Path], str]
"""Called with the current path of an entry; returns why it must go back, or ""."""


class Move:
    """One entry on its way to the directory `shelf`. Close it after use, which rolls back unless it
    was kept.

    Each step raises `NotDisposed` if it fails; the entry is then where it was.
    """

    is_done: ClassVar[str]
    """A participle for messages: the entry cannot be …"""
    instead: ClassVar[str]
    """What to do if it fails, for messages."""

    def __init__(
        self,
        shelf: Path,
        root: Path,
        step: Step,
        now: float,
        *,
        form: ArchiveFormat = "dir",
        undo_for: float | None = None,
    ) -> None:
        self.shelf = Path(os.path.abspath(shelf))
        self.form = form
        self.root = root
        self.step = step
        self.id = os.urandom(8).hex()
        self.until = None if undo_for is None else now + undo_for
        """Until when it can be undone, in seconds since 1970."""
        self._undo_for = undo_for
        self._now = now
        self._source = Source(root, step)
        self._reservation = Reservation(self.shelf)
        self._top = -1
        self._kept = False
        self._before: os.stat_result | None = None
        """The entry as it was before it was moved."""

    @property
    def name(self) -> str:
        """Its name on the shelf, once it has one."""
        return self._reservation.name

    @property
    def target(self) -> Path:
        """Its path on the shelf, now or in future."""
        return self.shelf / f"{self.name}{suffix_of(self.form)}"

    def close(self) -> None:
        """Close everything, and roll back unless the entry was kept."""
        with contextlib.ExitStack() as stack:
            if self._top >= 0:
                stack.callback(at.close, self._top)
            stack.callback(self._reservation.close)
            if not self._kept:
                self._withdraw()

    def keep(self) -> None:
        """Keep the entry on the shelf when this is closed."""
        self._kept = True

    def _shares_disk(self) -> bool:
        """Whether the shelf is on the same filesystem as the entry."""
        return os.stat(self.shelf).st_dev == self.step.entry.device

    def _renamed(self) -> bool:
        """Move the entry there by one rename, and keep it; return `False` if that needs a copy."""
        self._reserve(digest(self._source.items(contents=False)), has_contents=False)
        self.keep()  # before the rename: afterwards it is the only copy
        try:
            with self._source.opened() as (parent, name):
                top = self._open_shelf()
                self._before = at.stat(name, dir_fd=parent, follow_symlinks=False)
                rename_new(name, self.target.name, src_dir_fd=parent, dst_dir_fd=top)
        except OSError as error:
            self._kept = False
            self._keep_age()  # its permissions may have been changed
            self._withdraw()
            if error.errno != errno.EXDEV:
                raise
            return False
        return True

    def check_moved(self, before: tuple[float, str], protection: Protection) -> None:
        """Put the entry back and raise `NotClaimed` if it was replaced, if it has changed since
        `before` (see `newest_change`), or if the `protection` returns a reason.
        """
        entry = self.step.entry
        status = at.stat(self.target, follow_symlinks=False)
        if (status.st_dev, status.st_ino) != (entry.device, entry.inode):
            where = self._undo_move()
            also = f", and what replaced it is {where}" if where else ""
            raise NotClaimed(f"was replaced at this moment{also}")
        try:
            objection = protection(self.target)
        except BaseException:
            self._undo_move()
            raise
        if not objection and self._newest() != before:
            objection = "has changed while it was being archived"
        if objection:
            where = self._undo_move()
            also = f"; its place is taken, so it is {where} now" if where else ""
            raise NotClaimed(f"{objection}{also}")

    def _newest(self) -> tuple[float, str] | None:
        """When and where it last changed inside; `None` if unknown."""
        with contextlib.suppress(OSError), opened_in(self.shelf) as top:
            return newest_change(top, self.target.name)
        return None

    def _undo_move(self) -> str:
        """Put the entry back; return "", or where it is instead."""
        where = ""
        try:
            with self._source.opened() as (parent, name):
                shelf = self._open_shelf()
                rename_new(self.target.name, name, src_dir_fd=shelf, dst_dir_fd=parent)
        except OSError:
            where = str(self.target)
        self._keep_age()
        self._reservation.give_up()  # in either case: the manifest describes what was read
        return where

    def _open_shelf(self) -> int:
        """A descriptor of the shelf: always the same directory, even if its path is replaced."""
        if self._top < 0:
            self._top = open_root(self.shelf)
        return self._top

    def _keep_age(self) -> None:
        if self._before is not None:
            keep_age(self.root, self.step.entry.path, self._before)

    def _reserve(self, found: Digest, *, has_contents: bool) -> None:
        """Reserve a free name on the shelf, for an entry with the digest `found`."""
        manifest = self._source.manifest(
            found,
            identifier=self.id,
            form=self.form,
            root=self._spelled_root(),
            now=self._now,
            has_contents=has_contents,
            undo_for=self._undo_for,
        )
        wanted = self.step.entry.path.replace("/", "__")
        self._reservation.take(self._open_shelf(), wanted, manifest)

    def _spelled_root(self) -> str:
        return os.path.relpath(os.path.realpath(self.root), os.path.realpath(self.shelf))

    def _withdraw(self) -> None:
        self._reservation.give_up()

    def _failing(self) -> AbstractContextManager[None]:
        """Turn every error into `NotDisposed`, with a remedy."""
        return failing(self._source, f"cannot be {self.is_done} in {self.shelf}", self.instead)


@contextlib.contextmanager
def failing(source: Source, what: str, instead: str) -> Iterator[None]:
    """Turn every error into `NotDisposed`: `what` failed, why, and what to do, or `instead`."""
    try:
        yield
    except (OSError, NotClaimed, TempError) as error:
        if isinstance(error, FileNotFoundError) and source.is_gone():
            raise NotClaimed("is gone already") from None
        reason = str(error)
        if isinstance(error, OSError) and not isinstance(error, TempError):
            # Inside the entry, files are opened relative to their directory.
            named = isinstance(error, PermissionError) and isinstance(error.filename, str)
            where = error.filename if named and not os.path.isabs(error.filename) else ""
            reason = in_place(reason_of(error), where)
        why, semicolon, remedy = reason.partition("; ")
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            # The usual remedy is to free space, which is what this clean is for.
            semicolon, remedy = "", ""
            instead += ", which frees the space of the entry"
        raise NotDisposed(f"{what} ({why}); {remedy}{semicolon and ', or '}{instead}") from error
