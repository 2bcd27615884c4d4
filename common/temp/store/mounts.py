"""Where other filesystems are mounted below a directory, bind mounts included."""

from __future__ import annotations

import os
import re

_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mounts_below(directory: str) -> frozenset[str]:
    """The mount points strictly below `directory`, relative to it, with `/` between their parts.

    Told by `/proc/self/mountinfo`; elsewhere empty, and only a change of device gives a mount
    away. (A bind mount of the same filesystem has the same device, so that alone is not enough.)
    """
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return frozenset()
    prefix = os.fsencode(os.path.realpath(directory)).rstrip(b"/") + b"/"
    points = (
        _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4]) for line in lines
    )
    return frozenset(
        os.fsdecode(point[len(prefix) :]) for point in points if point.startswith(prefix)
    )
