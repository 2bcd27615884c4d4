"""`OutputRoot`: a root for the outputs of one process, removed at its end at the latest."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

from .core.layouts import AUTO
from .errors import StorageError
from .store.project.project import absolute, user_root
from .store.root.allocation import allocate_private, allocate_run, allocate_run_in
from .store.root.containing_entry import lease_around
from .store.system.user_path import users_path

_ATTEMPTS = 64

_log = logging.getLogger(__name__)


class OutputRoot:
    """Makes run directories, in a temporary root of its own or in a directory of the caller.

    Nothing is on disk until the first run directory is made. The temporary root is private to this
    user and lies in the system's temporary directory. It is removed by `cleanup`, when the instance
    is garbage collected, or when the process ends, whichever is first: keep the instance for as
    long as its paths are in use. What a killed process leaves is removed by the next sweep.

    Threads may share an instance. A forked child has its own root and leaves its parent's alone,
    and so does a copy, pickled or not. Workers of `multiprocessing` clean up when they end.
    """

    __slots__ = ("__weakref__", "_state")

    def __init__(self) -> None:
        self._state = _State()
        with _guard:
            _live.add(self)

    @property
    def temp_dir(self) -> Path | None:
        """The absolute path of the temporary root; `None` while there is none."""
        made = self._state.made
        return Path(made.path) if made is not None else None

    def run_dir(self, output_dir: str | os.PathLike[str] | None = None) -> Path:
        """The absolute path of a new, empty directory, named after the current second in UTC.

        The name is `20250917T013040Z`, or `20250917T013040Z-2` if that is taken. The directory is
        in the temporary root, which is made if needed; or in `output_dir`, which is made if
        missing and which no clean touches; a leading `~` is the home directory. Raises `Refused` or
        `StorageError`.
        """
        if output_dir is not None:
            # If that lies in an entry, this process now works there.
            lease_around(str(absolute(users_path(output_dir)) / "run"))
            while True:
                run = allocate_run_in(output_dir)
                lease_around(run)  # which may be the entry itself
                if os.path.lexists(run):  # else a clean took it before it was leased
                    return Path(run)
        state = self._state
        for _ in range(_ATTEMPTS):
            with state.lock:
                made = state.made or self._make_root(state)
                try:
                    return Path(allocate_run(made.path))
                except FileNotFoundError:
                    # It was removed, or a signal handler has just cleaned up.
                    if state.made is made:
                        state.forget()
                        made.remove()
        raise StorageError(0, f"cannot make a run: {made.path} vanished {_ATTEMPTS} times")

    def cleanup(self) -> None:
        """Remove the temporary root, if there is one; the next run gets a new one.

        Logs the path; what cannot be removed is logged as a warning and left to the next sweep.
        Can be called at any time, from any thread and from a signal handler.
        """
        state = self._state
        with state.lock:
            made = state.forget()
        if made is not None and made.remove():
            _log.info("removed %s", made.path)

    @staticmethod
    def cleanup_all() -> None:
        """Call `cleanup` on every live instance."""
        for instance in _instances():
            instance.cleanup()

    def _make_root(self, state: _State) -> _TemporaryRoot:
        _clean_up_with_worker()
        state.made = made = _TemporaryRoot()
        state.finalizer = weakref.finalize(self, made.remove)
        state.finalizer.atexit = False  # see the end of this module
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy starts without a root: otherwise each could remove the other's."""
        return type(self), ()


class _State:
    """The state of one instance in this process.

    The lock is reentrant, since a signal handler may interrupt `run_dir`.
    """

    __slots__ = ("finalizer", "lock", "made")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.made: _TemporaryRoot | None = None
        self.finalizer: weakref.finalize[[], OutputRoot] | None = None

    def forget(self) -> _TemporaryRoot | None:
        """Hand over the temporary root to the caller; `None` if there is none."""
        made, self.made = self.made, None
        if made is not None and self.finalizer is not None:
            self.finalizer.detach()
        return made


class _TemporaryRoot:
    """An entry among this user's auto-cleanup entries."""

    __slots__ = ("_pid", "_relative", "_root", "path")

    def __init__(self) -> None:
        # Imported now, so that nothing has to be imported at the interpreter's end.
        from .store.sweep import sweep  # noqa: F401

        self._pid = os.getpid()
        self._root = str(user_root())
        # A path that was never used: code that still reads an old one finds nothing.
        self.path = allocate_private(self._root, AUTO, f"outputs-{os.urandom(4).hex()}")
        self._relative = self.path[len(self._root) + 1 :]

    def remove(self) -> bool:
        """Whether this call removed it; a failure is logged. A forked child does not remove it."""
        from .store.sweep.discard import discard

        if os.getpid() != self._pid:
            return False
        was_there = os.path.lexists(self.path)
        problem = discard(self._root, self._relative)
        if problem:
            _log.warning("cannot remove %s: %s", self.path, problem)
        return was_there and not problem


# -- all instances of this process --------------------------------------------------------------

_live: weakref.WeakSet[OutputRoot] = weakref.WeakSet()
_guard = threading.RLock()
_worker = 0
"""The process id for which `multiprocessing` has been told to clean up."""


def _instances() -> tuple[OutputRoot, ...]:
    with _guard:
        return tuple(_live)


def _clean_up_with_worker() -> None:
    """Clean up at the end of a process that multiprocessing forked: it runs no `atexit`."""
    global _worker
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _worker != os.getpid():
        _worker = os.getpid()
        # The priority with which multiprocessing removes its own temporary directory.
        util.Finalize(None, OutputRoot.cleanup_all, exitpriority=-100)


def _forget_after_fork() -> None:
    """Reset every instance in the child, whatever the parent's threads were doing."""
    global _guard, _live
    _guard = threading.RLock()
    _live = weakref.WeakSet(tuple(_live))
    for instance in tuple(_live):
        instance._state.forget()
        instance._state = _State()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
# Registered after the lease's own exit function, so it runs before that one: without a lease,
# nothing may be removed. (The exit function of `weakref.finalize` may be registered earlier.)
atexit.register(OutputRoot.cleanup_all)
