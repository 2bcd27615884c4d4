"""Globs: the texts that one glob stands for."""

from __future__ import annotations

import re


def without_braces(pattern: str) -> list[str]:
    """The glob itself, and those that a shell makes of its braces: `*.mp4` of `*.{mp4,mov}`."""
    if not (braces := re.search(r"\{([^{}]*,[^{}]*)\}", pattern)):
        return [pattern]
    begin, end = pattern[: braces.start()], pattern[braces.end() :]
    parts = braces[1].split(",")
    return [pattern, *(glob for part in parts for glob in without_braces(f"{begin}{part}{end}"))]
