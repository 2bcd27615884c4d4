"""Names of what this process makes: none is used twice, not even after what bore it is gone.

Code that caches by path, and a process that still reads from what is gone, rely on that.
"""

from __future__ import annotations

import os
import threading

_SHORT_ATTEMPTS = 4

# Taken twice by one thread where a signal's handler or a finalizer interrupts it.
_lock = threading.RLock()
_newest = 0
_used: set[str] = set()
"""The paths of the newest second. Older ones cannot come again: they bear their second."""
_is_forked = False


def claim(path: str, epoch: int) -> bool | None:
    """Whether this process has not used `path` before; from now on it has.

    `path` bears the second `epoch`, so that only the paths of one second are to be remembered.
    `None` if nothing is known of that second, since the clock was set back.
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
    """`stem`, or `<stem>-<hex digits>`, so that this process has not used it in `directory`.

    `stem` bears the second `epoch`. Four digits if it may be `short`, else eight: four are soon
    used up by many processes that make names at once, as is seen by the number of the `attempt`. A
    forked child always takes eight, since its parent may come to use the others.
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
