"""The creation time of a file or directory, which no rename or write changes."""

from __future__ import annotations

import functools
import os
import struct
import sys
from collections.abc import Callable
from typing import Final

_HERE: Final = -100
_NO_FOLLOW: Final = 0x100
_BIRTH: Final = 0x800
_TIME: Final = struct.Struct("=qI")
_TIME_AT: Final = 80
_SIZE: Final = 256


def born_at(path: str) -> float | None:
    """When the file or directory at `path` was created (seconds since 1970); `None` if unknown."""
    if sys.platform != "linux":
        try:
            born = getattr(os.lstat(path), "st_birthtime", None)
        except OSError:
            return None
        return None if born is None else float(born)
    call = _statx()
    if call is None:
        return None
    import ctypes

    told = ctypes.create_string_buffer(_SIZE)
    if call(_HERE, os.fsencode(path), _NO_FOLLOW, _BIRTH, told):
        return None
    if not int.from_bytes(told.raw[:4], sys.byteorder) & _BIRTH:
        return None  # this filesystem does not record it
    seconds, nanoseconds = _TIME.unpack_from(told, _TIME_AT)
    return float(seconds) + float(nanoseconds) / 1e9


@functools.cache
def _statx() -> Callable[..., int] | None:
    try:
        import ctypes  # missing from some builds of Python

        call: Callable[..., int] = ctypes.CDLL(None).statx
    except (ImportError, AttributeError, OSError):
        return None
    return call
