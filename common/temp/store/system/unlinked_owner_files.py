"""Reading an owner file that was unlinked but is still open in its process."""

from __future__ import annotations

from typing import Final

LARGEST: Final = 8 << 20
"""How much of such a file is read, in bytes."""

_IN_USE_BY_NOBODY: Final = b'"purpose": "failed"'


def held_by(said: bytes) -> list[bytes]:
    """The paths that an owner file with this content holds; see `Journal` for its lines."""
    first, *lines = said.split(b"\n")
    if _IN_USE_BY_NOBODY in first:
        return []
    held: dict[bytes, None] = {}
    for line in lines:
        if line[:1] == b"+":
            held[line[1:]] = None
        elif line[:1] == b"-":
            held.pop(line[1:], None)
    return [path for path in held if path]
