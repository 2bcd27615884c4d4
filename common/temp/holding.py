"""`hold` and `lease_fds`: keep an entry in use by other processes than the one that made it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from .errors import InvalidSettings, StorageError

_SECONDS: Final = 0.5
"""How long a clean may take to put back an entry that it moved aside and then found in use."""


class Hold:
    """An entry that is in use by this process; made by `hold`, released once or never."""

    def __init__(self, root: Path, relative: str) -> None:
        self._root = root
        self._relative = relative
        # Taken by the first release in this process, the only one that counts.
        self._holders = [os.getpid()]

    @property
    def path(self) -> Path:
        """The absolute path of the entry."""
        return self._root / self._relative

    def release(self) -> None:
        """End this hold, so that a clean may remove the entry."""
        from .store.root.owner import release

        if self._holders == [os.getpid()]:
            with contextlib.suppress(IndexError):
                self._holders.pop()
                release(str(self._root), self._relative)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.release()


def hold(path: str | os.PathLike[str]) -> Hold:
    """Keep the entry that holds `path` in use until it is released or this process ends.

    For a process that was given the path by another: a worker that `multiprocessing` spawned, a job
    of a queue. As a context manager, it is released when the block ends, and gives the entry's
    path; else it lasts until `release()`, or as long as the process. The use is recorded, and
    counts as a change. Raises `InvalidSettings` if `path` is not in an entry, `StorageError` if it
    is gone or cannot be recorded.
    """
    return hold_entry(*_locate(path))


def hold_entry(root: Path, relative: str) -> Hold:
    """Like `hold`, for the entry at `relative` in `root`."""
    from .store.root.allocation import adopt
    from .store.root.lastuse import note_use
    from .store.root.layouts import layout_of

    layout = layout_of(root, is_scratch=True)
    adopt(str(root), relative, layout)
    held = Hold(root, relative)
    try:
        _wait_for(held.path)
        note_use(root, relative, layout)
    except OSError as error:
        held.release()
        if isinstance(error, StorageError):
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
    from .store.root.allocation import adopt
    from .store.root.journal import Book
    from .store.root.layouts import layout_of
    from .store.root.owner import owner_of, release
    from .store.system.locks import has_locks

    root, relative = _locate(path)
    if not has_locks():
        return ()
    book = Book(handed=relative)
    adopt(str(root), relative, layout_of(root, is_scratch=True), book)
    owner = owner_of(str(root), book)
    if owner.live[relative] > 1:
        release(str(root), relative, book)  # once is enough, and ends once
    _wait_for(root / relative)
    if inheritable:
        os.set_inheritable(owner.descriptor, True)
    return (owner.descriptor,)


def _wait_for(entry: Path) -> None:
    """Return when the recorded `entry` is in its place. Raises `StorageError` if it is gone.

    A clean that moves it aside after it was recorded sees the record, and puts it back.
    """
    from .store.root.guard import is_gone

    end = time.monotonic() + _SECONDS
    while is_gone(str(entry)):
        if time.monotonic() > end:
            raise StorageError(0, f"{entry} is gone; make it again")
        time.sleep(0.01)


def _locate(path: str | os.PathLike[str]) -> tuple[Path, str]:
    from .store.root.listing import locate

    try:
        return locate(Path(path))
    except InvalidSettings:
        return locate(Path(os.path.realpath(path)))  # reached by another name
