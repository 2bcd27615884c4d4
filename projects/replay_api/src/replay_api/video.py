"""The duration of a video, from its MP4 container; nothing is decoded."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

from .errors import BadInput

_MOST_BOXES: Final = 10_000
_NOT_MP4: Final = "the video is not an MP4 file, or is damaged: {}; record or convert it as MP4"


def duration_s(path: Path) -> float:
    """The duration in seconds. Raises `BadInput` if there is no MP4 movie header, and `OSError`."""
    with path.open("rb") as file:
        start, end = _box(file, b"moov", 0, os.fstat(file.fileno()).st_size)
        start, end = _box(file, b"mvhd", start, end)
        file.seek(start)
        header = file.read(min(32, end - start))
    try:
        if header[:1] == b"\1":
            scale, duration = struct.unpack_from(">20xIQ", header)
        else:
            scale, duration = struct.unpack_from(">12xII", header)
    except struct.error:
        raise BadInput(_NOT_MP4.format("its movie header is too short")) from None
    if not scale:
        raise BadInput(_NOT_MP4.format("its time scale is 0"))
    seconds: float = duration / scale
    return seconds


def _box(file: BinaryIO, kind: bytes, start: int, end: int) -> tuple[int, int]:
    """The position of the content of the first box of that kind between `start` and `end`."""
    for _ in range(_MOST_BOXES):
        file.seek(start)
        header = file.read(16)
        if start + 8 > end or len(header) < 8:
            break
        size, head = int.from_bytes(header[:4], "big"), 8
        if size == 1 and len(header) == 16:
            size, head = int.from_bytes(header[8:], "big"), 16
        elif size == 0:
            size = end - start  # to the end of the file
        if size < head or start + size > end:
            break
        if header[4:8] == kind:
            return start + head, start + size
        start += size
    raise BadInput(_NOT_MP4.format(f"it has no whole {kind.decode()} box"))
