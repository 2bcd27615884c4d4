"""Takes over the leftovers of killed sweeps."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ...core.layouts import is_inside
from ...errors import StorageError
from ..project.project import open_root
from ..project.store_guard import check_store
from ..root.leases import Leases
from ..root.listing import holding_places
from ..system import at
from ..system.at import ANY_FLAGS
from ..system.locks import lock_directory
from ..system.mounts import mounts_below
from ..system.process_identity import locks_reach_all
from ..trees.contents import newest_status_in
from .area import may_be_unopenable
from .claim import Held, opened, opened_area


def leftovers(root: Path, stack: contextlib.ExitStack) -> Iterator[Held]:
    """The leftovers of killed sweeps in `root`, taken over and locked. Close each after use.

    Entries claimed by a running sweep are locked, and left to it. Where locks may not be seen by
    all (network filesystems, FUSE), leftovers stay until they have been unchanged for
    `foreign_for`. Their parent directories are open until `stack` is closed. Raises `StorageError`
    if the holding area cannot be read, `Refused` if it is behind a symlink.
    """
    check_store(root)
    for directory, prefix in holding_places(root):
        try:
            top = open_root(root)
            stack.callback(at.close, top)
            holding = top if prefix else opened_area(stack, top)
            names = [name for name in at.listdir(holding) if name.startswith(prefix)]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError.of(f"cannot read {directory}", error) from error
        mounts = mounts_below(directory) if names else frozenset()
        for name in sorted(names):
            left = Held(root, holding, name, contextlib.ExitStack(), top)
            left.mounted = min(
                (point[len(name) + 1 :] for point in mounts if is_inside(point, name)),
                default=None,
            )
            if _take_over(left, root, alone=bool(prefix)):
                yield left
            else:
                left.close()


def _take_over(left: Held, root: Path, *, alone: bool) -> bool:
    """Lock a leftover; false if the sweep that claimed it may be alive.

    A symlink or a socket cannot be locked. A process that claims one holds a shared lock on the
    holding area during the removal. So a process with the exclusive lock knows that no such process
    is alive. (`alone`: this does not apply to claims in the root itself, made on a full disk.)
    """
    name, holding = left.held, left.holding
    try:
        status = at.stat(name, dir_fd=holding, follow_symlinks=False)
        try:
            descriptor = opened(left.stack, name, ANY_FLAGS, holding)
        except OSError as error:
            if not may_be_unopenable(status, error):
                return False
            if alone:
                return True
            # Use a separate file description, since workers may share the other one.
            descriptor = opened(left.stack, ".", parent=holding)
        if not lock_directory(root, descriptor):
            return False
        left.locks = (descriptor,)
        if not locks_reach_all(descriptor) and not _is_old(left, status, Leases(root).foreign_for):
            return False
        at.stat(name, dir_fd=holding, follow_symlinks=False)  # it still exists
    except OSError:
        return False
    return True


def _is_old(left: Held, status: os.stat_result, seconds: float) -> bool:
    """Whether it and everything in it has been unchanged for that many seconds."""
    newest = status.st_ctime_ns / 1e9
    if stat.S_ISDIR(status.st_mode):
        newest = max(newest, newest_status_in(left.holding, left.held))
    return time.time() - newest >= seconds
