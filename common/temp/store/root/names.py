"""Names for what this process makes: none is used twice, even after it was deleted.

Code that caches by path, and processes that still use a deleted path, rely on that.
"""

from __future__ import annotations

import os
import threading

_SHORT_ATTEMPTS = 4

# Reentrant: a signal handler or a finalizer may interrupt a thread that holds it.
_lock = threading.RLock()
_newest = 0
_used: set[str] = set()
"""The paths of the newest second. Older ones cannot recur: a path contains its second."""
_is_forked = False


def claim(path: str, epoch: int) -> bool | None:
    """Whether `path` is new for this process; from now on, it counts as used.

    `path` contains the second `epoch`, so only the paths of one second are remembered. `None` if
    nothing is known about that second, since the clock was set back.
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
    """`stem` or `<stem>-<hex digits>`, a name that this process has not used in `directory`.

    `stem` contains the second `epoch`. The suffix has four digits if it may be `short`, else eight.
    Many processes at once soon use up four digits, which a high `attempt` shows. A forked child
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
