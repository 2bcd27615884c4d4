"""The desktop's trash."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ...errors import StorageError, reason_of
from ...needs import NEEDS
from ..system.freedesktop import Trashed, trashed
from .claim import NotClaimed, NotDisposed


def send_to_trash(path: Path, name: str, parent: int, check: Callable[[Trashed], None]) -> None:
    """Move `path`, which is `name` in the open directory `parent`, to the desktop's trash, from
    where the desktop can restore it.

    `check` is called when it is there, and raises `NotClaimed` if it has to be put back. macOS and
    Windows trash by path, without `check`. Raises `NotDisposed`.
    """
    try:
        if sys.platform in ("darwin", "win32"):
            from send2trash import send2trash

            send2trash(str(path))
            return
        with trashed(str(path), name, parent) as it:
            try:
                check(it)
            except BaseException as error:
                where = it.put_back(name, parent)
                if where and isinstance(error, NotClaimed):
                    error.detail += f"; its place is taken, so it is {where} now"
                raise
    except (NotClaimed, NotDisposed):
        raise
    except Exception as error:  # send2trash raises OSError, its own errors, and the desktop's
        why, semicolon, remedy = _reason(error).partition("; ")
        otherwise = "delete it without --trash"
        if not isinstance(error, StorageError):
            otherwise += ", or free the trash"
        raise NotDisposed(
            f"cannot be trashed ({why}); {remedy}{semicolon and ', or '}{otherwise}"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f'{error}; python3 -m pip install "{NEEDS["send2trash"]}"'
    if isinstance(error, OSError) and error.strerror and not isinstance(error, StorageError):
        return reason_of(error)
    return str(error) or type(error).__name__
