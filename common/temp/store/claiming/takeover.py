"""Taking over what killed sweeps left claimed."""

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
from ..root.guard import check_store
from ..root.leases import Leases
from ..root.listing import holding_places
from ..system import at
from ..system.at import ANY_FLAGS
from ..system.locks import lock_directory
from ..system.mounts import mounts_below
from ..system.presence import locks_reach_all
from ..trees.contents import newest_status_in
from .area import may_be_unopenable
from .claim import Held, opened, opened_area


def leftovers(root: Path, stack: contextlib.ExitStack) -> Iterator[Held]:
    """What killed sweeps left claimed in `root`, taken over and locked. Close each after use.

    Those of a sweep that still runs are locked, and left to it. Where its lock may not reach (over
    a network, or FUSE), they are left until they have been unchanged for `foreign_for`. What they
    lie in is open until `stack` is closed. Raises `StorageError` if the holding area cannot be
    read, `Refused` if it lies behind a symlink.
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
    """Whether the sweep that claimed it is dead, and this one is now the only one at it.

    A link or a socket cannot be locked. A process that claims one holds a shared lock on the
    holding area during its removal. So a process with the exclusive lock knows that those are dead.
    (`alone`: not if the root itself holds them, on a full disk.)
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
            # By a description of its own, since workers may share the other.
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
    """Whether nothing in it, nor itself, has changed for so long."""
    newest = status.st_ctime_ns / 1e9
    if stat.S_ISDIR(status.st_mode):
        newest = max(newest, newest_status_in(left.holding, left.held))
    return time.time() - newest >= seconds
