"""Files with a time to live: deleted at the end of a block, or when they are old.

`FileCleanupManager` tracks files, usually in one directory of its own. There, each file is in use
while its process lives, and the next run deletes the files left by a killed run.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncContextDecorator,
)
from functools import partial
from pathlib import Path
from typing import TypeVar

from .companions import delete_whole
from .expiring import Cleaned, ExpiringFiles, tell
from .ledger import AnyPath
from .store.claiming.named_removal import delete_elsewhere
from .store.system.user_path import users_path

T = TypeVar("T")


# -- one file and one block ---------------------------------------------------------------------


class _UntilExit:
    """The file of one block."""

    def __init__(self, file_path: AnyPath, cleanup_on_error: bool = True) -> None:
        # Absolute, since the block may change the working directory.
        self.file_path = users_path(file_path).absolute()
        """The file, absolute."""
        self._cleanup_on_error = cleanup_on_error
        self._kept = False
        self._pid = os.getpid()

    def keep(self) -> None:
        """Keep the file when the block ends."""
        self._kept = True

    def _enter(self) -> Path:
        self._pid = os.getpid()
        return self.file_path

    def _stays(self, raised: type[BaseException] | None) -> bool:
        # A forked child did not make the file, and its parent may still use it.
        forked = os.getpid() != self._pid
        return self._kept or forked or (raised is not None and not self._cleanup_on_error)

    def _delete(self) -> None:
        path = str(self.file_path)
        tell(self.file_path, delete_whole(path, lambda one: delete_elsewhere(one, "file")))


class TempFileContext(_UntilExit, AbstractContextManager[Path]):
    """A context manager: the absolute path of a file, which is deleted when the block ends.

    The file need not exist. `keep()` keeps it, and so does an error in the block if
    `cleanup_on_error` is false. Only a file of exactly that name is deleted, with SQLite's files
    beside it: a directory stays, and for a symlink only the link is deleted. A failure to delete is
    logged as a warning, so that it does not hide an error of the block. If the process is killed,
    the file stays, unless it is tracked.
    """

    def __enter__(self) -> Path:
        """The path, absolute."""
        return self._enter()

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if not self._stays(kind):
            self._delete()


class temp_file_async(  # noqa: N801 - like a function
    _UntilExit, AsyncContextDecorator, AbstractAsyncContextManager[Path]
):
    """`TempFileContext` for `async with`: deletes in a thread, even if the task is cancelled.

    It can decorate a coroutine function. A cancellation during the deletion is raised once the file
    is gone. It does not notice a thread that is still making the file when the block ends: use
    `finish_in_thread` to wait for that.
    """

    async def __aenter__(self) -> Path:
        """The path, absolute."""
        return self._enter()

    async def __aexit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if self._stays(kind):
            return
        if kind is GeneratorExit:
            self._delete()  # the coroutine is being closed and must not await anything
        else:
            await finish_in_thread(self._delete)


async def finish_in_thread(work: Callable[[], T]) -> T:
    """Return the result of `work`, run in a thread that even a cancelled task waits for.

    Use it for threads that write a file which is deleted afterwards.
    """
    try:
        context = contextvars.copy_context()
        # A plain future, not a task: a closing loop would cancel it before its thread starts.
        future = asyncio.get_running_loop().run_in_executor(None, context.run, work)
    except RuntimeError:
        return work()  # the program is ending and starts no more threads
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
            future.exception()  # retrieve it, so that asyncio does not warn
        raise cancelled
    return future.result()


class FileCleanupManager(ExpiringFiles):
    """Deletes each tracked file in `base_temp_dir` once it is old.

    The directory is made if missing, belongs to the user and is never deleted; nor are untracked
    files, there or elsewhere. `async with` deletes the files left by killed runs, starts the
    periodic clean-up, and stops it at the end; it deletes nothing at the end (call
    `cleanup_all_tracked` for that). A file's age counts from its modification time, even if it was
    tracked a moment ago; a directory's, from the newest change anywhere inside.

    Deletions run in a thread, and even a cancelled task waits for them. A manager can be used from
    any thread, and from several event loops in turn. A failure to delete is logged as a warning,
    and the file stays tracked. Raises `InvalidSettings`, `Refused` or `StorageError`.
    """

    async def cleanup_file(self, file_path: AnyPath) -> bool:
        """Delete a file; return whether that was done. A file that is gone is no longer tracked."""
        return await finish_in_thread(partial(self._cleanup_file, file_path))

    async def cleanup_directory(self, directory: AnyPath, recursive: bool = True) -> bool:
        """Delete `directory`; return whether it is gone, which is true if it was missing.

        Its content is then no longer tracked. It stays while another process holds a lease on it
        and, unless `recursive`, if it is not empty.
        """
        return await finish_in_thread(partial(self._cleanup_directory, directory, recursive))

    async def cleanup_old_files(self, max_age_hours: float | None = None) -> Cleaned:
        """Delete what is older than `max_age_hours` (`default_ttl_hours`), and return the result.

        Only tracked files and directories are deleted: untracked directories stay, empty or not.
        So do pinned entries, and directories in which another manager tracks something. A missing
        path is no longer tracked; one that was never made stays tracked for its time to live.
        Raises `InvalidSettings`.
        """
        return await finish_in_thread(partial(self._cleanup_old_files, max_age_hours))

    async def cleanup_all_tracked(self) -> int:
        """Delete everything tracked, however old, and return how many went. What is pinned, or in
        use by another process, stays.
        """
        return await finish_in_thread(self._cleanup_all_tracked)

    async def recover(self) -> int:
        """Delete what killed runs tracked in `base_temp_dir`; return how many entries went.

        Files tracked by a run that ended normally go once they are older than `default_ttl_hours`.
        A file changed more than a second after its run was last known to be alive stays, since
        another program may have written it. A run records that it is alive whenever it tracks or
        untracks anything, and all the time while its periodic clean-up runs.
        """
        return await finish_in_thread(self._recover)

    async def stop_periodic_cleanup(self) -> None:
        """End the periodic clean-up at once; a running one stops where it is."""
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
    """A `FileCleanupManager` for programs without an event loop, with plain calls and `with`."""

    def cleanup_file(self, file_path: AnyPath) -> bool:
        """Delete a file; return whether that was done. A file that is gone is no longer tracked."""
        return self._cleanup_file(file_path)

    def cleanup_directory(self, directory: AnyPath, recursive: bool = True) -> bool:
        """Delete `directory`; return whether it is gone, which is true if it was missing."""
        return self._cleanup_directory(directory, recursive)

    def cleanup_old_files(self, max_age_hours: float | None = None) -> Cleaned:
        """Delete what is older than `max_age_hours` (`default_ttl_hours`); return the result."""
        return self._cleanup_old_files(max_age_hours)

    def cleanup_all_tracked(self) -> int:
        """Delete everything tracked, however old, and return how many went. What is pinned, or in
        use by another process, stays.
        """
        return self._cleanup_all_tracked()

    def recover(self) -> int:
        """Delete what killed runs tracked in `base_temp_dir`; return how many entries went."""
        return self._recover()

    def stop_periodic_cleanup(self) -> None:
        """End the periodic clean-up at once; a running one stops where it is."""
        ended = self._end_periodic()
        if ended is not None:
            ended.result()

    def __enter__(self) -> ThreadedFileCleanupManager:
        self.recover()
        self.start_periodic_cleanup()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop_periodic_cleanup()
