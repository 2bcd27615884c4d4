"""Files with a time to live: gone at the end of a block, or when they are old.

`FileCleanupManager` keeps account of files, mostly in one directory that belongs to it. There each
is in use while its process lives, and the next run takes what a killed one left.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeVar

from .expiring import Cleaned, ExpiringFiles, tell
from .ledger import AnyPath
from .store.claiming.named import delete_elsewhere

T = TypeVar("T")


# -- one file and one block ---------------------------------------------------------------------


class _UntilExit:
    """The file of one block."""

    def __init__(self, file_path: AnyPath, cleanup_on_error: bool = True) -> None:
        # Absolute, for the block may change the working directory.
        self._path = Path(file_path).absolute()
        self._cleanup_on_error = cleanup_on_error
        self._kept = False
        self._pid = os.getpid()

    def keep(self) -> None:
        """Have the file stay when the block ends."""
        self._kept = True

    def _enter(self) -> Path:
        self._pid = os.getpid()
        return self._path

    def _stays(self, raised: type[BaseException] | None) -> bool:
        # A forked child did not make the file, and its parent may be working with it.
        forked = os.getpid() != self._pid
        return self._kept or forked or (raised is not None and not self._cleanup_on_error)

    def _delete(self) -> None:
        tell(self._path, delete_elsewhere(str(self._path), "file"))


class TempFileContext(_UntilExit, AbstractContextManager[Path]):
    """A context manager: the absolute path of a file, which is deleted when the block ends.

    Nobody need have made it. `keep()` has it stay, and so does an error of the block where
    `cleanup_on_error` is false. Only a file of exactly that name goes: a directory stays, and of a
    symlink the link goes. What cannot be deleted is logged as a warning: the error of a block is
    worth more than one of ours. If the process is killed the file stays, unless it is tracked.
    """

    def __enter__(self) -> Path:
        """The path, absolute."""
        return self._enter()

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if not self._stays(kind):
            self._delete()


class temp_file_async(_UntilExit, AbstractAsyncContextManager[Path]):  # noqa: N801 - like a function
    """The same for `async with`: the file is deleted in a thread, also if the task is cancelled.

    A cancellation that comes meanwhile is raised as soon as the file is gone. A thread that is
    still making the file when the block has ended is not seen: `finish_in_thread` waits for it.
    """

    async def __aenter__(self) -> Path:
        """The path, absolute."""
        return self._enter()

    async def __aexit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if self._stays(kind):
            return
        if kind is GeneratorExit:
            self._delete()  # the coroutine is being closed, and may wait for nothing any more
        else:
            await finish_in_thread(self._delete)


async def finish_in_thread(work: Callable[[], T]) -> T:
    """What `work` returns in a thread, for which even a cancelled task waits.

    For threads that make or write a file which is to be gone afterwards.
    """
    try:
        context = contextvars.copy_context()
        # A plain future, and no task that a closing loop would cancel before its thread began.
        future = asyncio.get_running_loop().run_in_executor(None, context.run, work)
    except RuntimeError:
        return work()  # the program is ending, and there are no more threads to be had
    return await _wait_for(future)


async def _wait_for(future: asyncio.Future[T]) -> T:
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # looked at, so that nobody warns of it
        raise cancelled
    return future.result()


class FileCleanupManager(ExpiringFiles):
    """Deletes the files of `base_temp_dir` that it was told of, each when it is old.

    The directory is made if need be, is the user's own and never deleted; what lies in it should be
    scratch. Of other places only what was tracked by name is deleted. `async with` cleans what a
    killed run left, starts the periodic clean-up, and stops it at the end; it deletes nothing then
    (`cleanup_all_tracked` does). Ages go by the newest change, of a directory anywhere inside.

    What deletes does so in a thread, and is waited for even if the task is cancelled meanwhile. A
    manager can be used from any thread, and from one loop after the other. What cannot be deleted
    is logged as a warning and stays tracked. Raises `InvalidSettings`, `Refused` or `StorageError`.
    """

    async def cleanup_file(self, path: AnyPath) -> bool:
        """Whether the file at `path` was deleted; it is no longer tracked then, nor if missing."""
        return await finish_in_thread(partial(self._cleanup_file, path))

    async def cleanup_directory(self, path: AnyPath, recursive: bool = True) -> bool:
        """Whether the directory at `path` is gone, as it is if it was missing.

        What lies inside is no longer tracked then. It stays while another process holds a lease on
        it, and unless `recursive`, if it is not empty.
        """
        return await finish_in_thread(partial(self._cleanup_directory, path, recursive))

    async def cleanup_old_files(self, max_age_hours: float | None = None) -> Cleaned:
        """Delete what is older than `max_age_hours` (`default_ttl_hours`); what that did.

        That is: tracked files and directories; then, in `base_temp_dir`, other directories that
        nobody uses; then empty directories. Pinned entries stay. Raises `InvalidSettings`.
        """
        return await finish_in_thread(partial(self._cleanup_old_files, max_age_hours))

    async def cleanup_all_tracked(self) -> int:
        """Delete all that is tracked, however old; how many went."""
        return await finish_in_thread(self._cleanup_all_tracked)

    async def recover(self) -> int:
        """Delete what killed runs were tracking in `base_temp_dir`; how many entries went."""
        return await finish_in_thread(self._recover)

    async def stop_periodic_cleanup(self) -> None:
        """End the periodic clean-up at once: one that is at work stops where it is."""
        ended = self._end_periodic()
        if ended is not None:
            await _wait_for(asyncio.wrap_future(ended))

    async def __aenter__(self) -> FileCleanupManager:
        await self.recover()
        self.start_periodic_cleanup()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.stop_periodic_cleanup()


class ThreadedFileCleanupManager(ExpiringFiles):
    """A `FileCleanupManager` for programs without a loop: the same, in plain calls and `with`."""

    def cleanup_file(self, path: AnyPath) -> bool:
        """Whether the file at `path` was deleted; it is no longer tracked then, nor if missing."""
        return self._cleanup_file(path)

    def cleanup_directory(self, path: AnyPath, recursive: bool = True) -> bool:
        """Whether the directory at `path` is gone, as it is if it was missing."""
        return self._cleanup_directory(path, recursive)

    def cleanup_old_files(self, max_age_hours: float | None = None) -> Cleaned:
        """Delete what is older than `max_age_hours` (`default_ttl_hours`); what that did."""
        return self._cleanup_old_files(max_age_hours)

    def cleanup_all_tracked(self) -> int:
        """Delete all that is tracked, however old; how many went."""
        return self._cleanup_all_tracked()

    def recover(self) -> int:
        """Delete what killed runs were tracking in `base_temp_dir`; how many entries went."""
        return self._recover()

    def stop_periodic_cleanup(self) -> None:
        """End the periodic clean-up at once: one that is at work stops where it is."""
        ended = self._end_periodic()
        if ended is not None:
            ended.result()

    def __enter__(self) -> ThreadedFileCleanupManager:
        self.recover()
        self.start_periodic_cleanup()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop_periodic_cleanup()
