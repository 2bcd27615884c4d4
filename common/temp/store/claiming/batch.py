"""A batch: a directory in the holding area with one lock for everything claimed into it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...core.layouts import BATCH
from ..system import at
from ..system.locks import lock_directory
from .claim import opened


def batch_name(prefix: str = BATCH) -> str:
    """A new name for a batch; `prefix` shows its purpose."""
    return f"{prefix}{os.urandom(8).hex()}"


def make_batch(root: Path, stack: contextlib.ExitStack, holding: int, name: str) -> tuple[int, str]:
    """A new batch in the open holding area of `root`, open and locked until `stack` is closed, and
    its name: `name`, or another if a sweep removed that batch at once. Raises `OSError`.
    """
    while True:
        at.mkdir(name, dir_fd=holding)
        with contextlib.suppress(FileNotFoundError):
            batch = opened(stack, name, parent=holding)
            if lock_directory(root, batch) and _is_own(batch):
                return batch, name
        # A sweep found it before it was locked, and removed it as a leftover.
        name = batch_name()


def _is_own(directory: int) -> bool:
    """Whether it still exists and is this user's: another user may have replaced it."""
    status = at.fstat(directory)
    if not status.st_nlink or not hasattr(os, "geteuid") or status.st_uid == os.geteuid():
        return bool(status.st_nlink)
    # Some filesystems give every new file to another user.
    name = os.urandom(8).hex()
    probe = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=directory)
    try:
        return os.fstat(probe).st_uid == status.st_uid
    finally:
        os.close(probe)
        at.unlink(name, dir_fd=directory)
