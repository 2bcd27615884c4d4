"""The desktop's trash."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ...core.layout import STORE
from ...errors import reason_of
from ...needs import NEEDS
from ..project.project import user_root
from ..root.making import make_root
from ..system.at import PLAIN_FLAGS
from ..system.locks import wait_for_lock
from .claim import NotClaimed, NotDisposed


def send_to_trash(path: Path, check: Callable[[], None] = lambda: None) -> None:
    """Move `path` to the desktop's trash, from where the desktop can put it back.

    One entry at a time, among all processes of the user: send2trash picks a name and then takes it,
    so two calls with one name would lose an entry. After the wait for others, `check` is called; it
    raises `NotClaimed` if `path` must no longer be trashed. Raises `NotDisposed`.
    """
    try:
        from send2trash import send2trash

        with _one_at_a_time():
            check()
            _check_trash(path)
            send2trash(str(path))
    except (NotClaimed, NotDisposed):
        raise
    except Exception as error:  # it raises OSError, its own kinds, and whatever a desktop's does
        why, semicolon, remedy = _reason(error).partition("; ")
        raise NotDisposed(
            f"cannot be trashed ({why}); {remedy}{semicolon and ', or '}"
            "delete it without --trash, or free the trash"
        ) from error


def _check_trash(path: Path) -> None:
    """Raise `NotDisposed` if the trash for `path` may have been planted.

    On another filesystem than that of the home directory it lies at the top. Whoever may write
    there can put a link, or a directory with links in it, in its place.
    """
    if not hasattr(os, "getuid") or sys.platform == "darwin":
        return
    home = os.path.realpath(os.path.expanduser("~"))
    if os.lstat(path).st_dev == os.lstat(home).st_dev:
        return
    top = os.path.realpath(path)
    while not os.path.ismount(top):
        top = os.path.dirname(top)
    uid = os.getuid()
    for trash in (os.path.join(top, ".Trash", str(uid)), os.path.join(top, f".Trash-{uid}")):
        for part in (trash, os.path.join(trash, "files"), os.path.join(trash, "info")):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                status = os.lstat(part)
                if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid:
                    raise NotDisposed(
                        f"cannot be trashed ({part} is not a directory of this user); have that "
                        "removed, or delete it without --trash"
                    )


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f'{error}; python3 -m pip install "{NEEDS["send2trash"]}"'
    if isinstance(error, OSError) and error.strerror:
        return reason_of(error)
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    root = user_root()
    make_root(str(root))
    path = root / STORE / "trash.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | PLAIN_FLAGS, 0o600)
    try:
        wait_for_lock(descriptor)  # on Windows the shell itself trashes one at a time
        yield
    finally:
        os.close(descriptor)
