"""`hold` and `lease_fds`: keep an entry in use by other processes than the one that made it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidSettings, StorageError, TempError

if TYPE_CHECKING:
    from .store.root.owner_kinds import Book


class Hold:
    """An entry that is in use by this process; made by `hold`, released once or never."""

    def __init__(self, entries: list[tuple[Path, str]], book: Book) -> None:
        self._entries = entries
        self._book = book
        # Emptied by the one release that counts, in this process: a child has its own holds.
        self._holders = [os.getpid()]

    @property
    def path(self) -> Path:
        """The absolute path of the entry."""
        return self._entries[0][0] / self._entries[0][1]

    def release(self) -> None:
        """End this hold, so that a clean may remove the entry."""
        from .store.root.owner import release

        if self._holders == [os.getpid()]:
            with contextlib.suppress(IndexError):
                self._holders.pop()
                for root, relative in self._entries:
                    release(str(root), relative, self._book)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *raised: object) -> None:
        self.release()


def hold(path: str | os.PathLike[str]) -> Hold:
    """Keep the entry that holds `path` in use until it is released or this process ends.

    For a process that was given the path by another: a worker that `multiprocessing` spawned, a job
    of a queue. As a context manager it is released with the block, and gives the entry's path;
    else it lasts until `release()`, or as long as the process. For a symlink, its target is held
    as well, and each symlink on the way. The use is noted, and counts as a change. Raises
    `InvalidSettings` if `path` is in no entry, `InvalidName` if that has a newline in its path,
    `StorageError` if it is gone or cannot be recorded.
    """
    return _hold_all(_locate(path))


def hold_entry(root: Path, relative: str) -> Hold:
    """As `hold`, for the entry at `relative` in `root`."""
    return _hold_all([(root, relative)])


def _hold_all(entries: list[tuple[Path, str]]) -> Hold:
    from .store.project.store_guard import wait_for
    from .store.root.allocation import adopt
    from .store.root.last_use import note_use
    from .store.root.owner_kinds import BORROWED
    from .store.settings.recorded_layout import layout_of

    taken: list[tuple[Path, str]] = []
    held = Hold(taken, BORROWED)
    try:
        for root, relative in entries:
            layout = layout_of(root, is_scratch=True)
            adopt(str(root), relative, layout, BORROWED)
            taken.append((root, relative))
            wait_for(root / relative)
            note_use(root, relative, layout)
    except (OSError, TempError) as error:
        held.release()
        if isinstance(error, TempError):
            raise
        raise StorageError.of(f"cannot note the use of {held.path}", error) from error
    return held


def lease_fds(path: str | os.PathLike[str], *, inheritable: bool = False) -> tuple[int, ...]:
    """Descriptors that keep the entry that holds `path` in use while any process has them open.

    `subprocess.Popen(command, pass_fds=lease_fds(path))` hands the lease to a command that outlives
    this process. If `inheritable`, a program that `os.execv` runs in place of this one has them
    too, and so does everything that it starts. This process closes its own when it gives up the
    entry, or ends. Empty if the system has no such locks (Windows). Raises what `hold` raises.
    """
    from .store.project.store_guard import wait_for
    from .store.root.allocation import adopt
    from .store.root.owner import owner_of, release
    from .store.root.owner_kinds import Book
    from .store.settings.recorded_layout import layout_of
    from .store.system.locks import has_locks

    entries = _locate(path)
    if not has_locks():
        return ()
    descriptors = []
    for root, relative in entries:
        book = Book(handed=relative)
        adopt(str(root), relative, layout_of(root, is_scratch=True), book)
        owner = owner_of(str(root), book)
        if owner.live[relative] > 1:
            release(str(root), relative, book)  # one lease is enough
        wait_for(root / relative)
        if inheritable:
            os.set_inheritable(owner.descriptor, True)
        descriptors.append(owner.descriptor)
    return tuple(descriptors)


def _locate(path: str | os.PathLike[str]) -> list[tuple[Path, str]]:
    """The entry that holds `path`, and the entries to which symlinks in the path lead."""
    from .store.root.find_entry import entries_behind, locate
    from .store.system.user_path import users_path

    try:
        entry = locate(users_path(path))
    except InvalidSettings:
        entry = locate(Path(os.path.realpath(users_path(path))))  # reached by another name
    return [entry, *entries_behind(entry, users_path(path))]
