"""Names for new entries and files: no name is used twice, even after it was deleted.

Code that caches by path, and processes that still use a deleted path, rely on that.
"""

from __future__ import annotations

import os
import threading

_SHORT_ATTEMPTS = 4

# Reentrant: a signal handler or a finalizer may interrupt the thread that holds it.
_lock = threading.RLock()
_newest = 0
_used: set[str] = set()
"""The paths of the newest second. A path contains its second, so older ones cannot recur."""
_is_forked = False


def claim(path: str, epoch: int) -> bool | None:
    """Mark `path` as used by this process, and return whether it was new.

    `path` contains the second `epoch`, so only the paths of one second are remembered. Returns
    `None` if nothing is known about that second because the clock was set back.
    """
    global _newest
    with _lock:
        if epoch > _newest:
            _newest = epoch
            _used.clear()
        if epoch < _newest:
            return None
        if path in _used:
            return False
        _used.add(path)
        return True


def fresh_name(
    directory: str, stem: str, epoch: int, attempt: int = 0, *, short: bool = True
) -> str:
    """A name that this process has not used in `directory`: `stem` or `<stem>-<hex digits>`.

    `stem` contains the second `epoch`. The suffix has four digits if it may be `short`, else eight.
    Many concurrent processes soon use up four digits, which a high `attempt` shows. A forked child
    always uses eight, since its parent may use the shorter ones.
    """
    if not _is_forked and attempt == 0 and claim(f"{directory}/{stem}", epoch):
        return stem
    while True:
        short = short and not _is_forked and attempt < _SHORT_ATTEMPTS and epoch >= _newest
        name = f"{stem}-{os.urandom(2 if short else 4).hex()}"
        is_new = claim(f"{directory}/{name}", epoch)
        if is_new or (is_new is None and not short):
            return name
        attempt += 1


def _forget_after_fork() -> None:
    global _is_forked, _lock
    _lock = threading.RLock()
    _is_forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
