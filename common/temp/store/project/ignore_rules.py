"""Deciding whether a git ignore rule names a path: only then does git confirm it is generated.

A rule that ignores everything (`*`), or a parent directory (`data/`), says nothing about `build`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from ...core.fields import Unreadable
from ..system.reading import read_file

ASKING: Final = ("check-ignore", "--no-index", "--verbose", "-z", "--stdin")
"""With the index, a directory with tracked files would not count as ignored."""


PLACEHOLDERS: Final = frozenset({".gitkeep", ".keep", ".gitignore", ".gitattributes"})
"""What keeps an empty directory in git, and is no content."""


class _Rule(NamedTuple):
    pattern: str
    source: str
    """The file that contains it."""


def question(paths: Iterable[str]) -> bytes:
    """The standard input for `git ASKING`, to find the rules that ignore the `paths`."""
    around = {_above(path) for path in paths} - {""}
    return b"".join(os.fsencode(f"./{path}\0") for path in sorted({*paths, *around}))


def why_unnamed(said: bytes, top: Path, paths: Iterable[str]) -> dict[str, str]:
    """For each of the `paths` below `top`, why no rule in git's output `said` names it, or ""."""
    rules = _rules(said)
    negations = cache(lambda source: _negations(top / source))
    found = {}
    for path in paths:
        rule = rules.get(path)
        if rule is None:
            found[path] = "git does not ignore it"
        elif _above(path) in rules or not _is_name(rule.pattern):
            found[path] = f"git ignores it only by the rule {rule.pattern}"
        else:
            said_not_to = (
                f"{source} has !{one}"
                for source in (rule.source, *_ignore_files(path))
                for one in negations(source)
                if _is_for_parts(one, path.rpartition("/")[2])
            )
            own = f"{path}/.gitignore"
            said_in_it = (
                f"{own} has !{one}" for one in negations(own) if one.strip("/") not in PLACEHOLDERS
            )
            found[path] = next(said_not_to, "") or next(said_in_it, "")
    return found


def _rules(said: bytes) -> dict[str, _Rule]:
    """The deciding rule of each ignored path."""
    fields = [os.fsdecode(field) for field in said.split(b"\0")]
    return {
        path.removeprefix("./"): _Rule(pattern, source)
        for source, pattern, path in zip(fields[::4], fields[2::4], fields[3::4], strict=False)
        if not pattern.startswith("!")
    }


def _is_name(pattern: str) -> bool:
    """Whether the last component of the pattern is more than wildcards and a single letter."""
    last = re.sub(r"\[.*\]", "", pattern).rstrip("/").rpartition("/")[2]
    return sum(map(str.isalnum, last)) > 1


def _ignore_files(path: str) -> Iterator[str]:
    """The `.gitignore` files that may contain rules for `path`."""
    while path:
        path = _above(path)
        yield f"{path}/.gitignore" if path else ".gitignore"


def _negations(source: Path) -> list[str]:
    """The negated patterns in that file (`!PATTERN`)."""
    try:
        lines = os.fsdecode(read_file(source, follow=True)).splitlines()
    except (OSError, Unreadable):
        return []
    return [line[1:].strip() for line in lines if line.startswith("!")]


def _is_for_parts(negation: str, name: str) -> bool:
    """Whether it is about a file in a directory called `name`. Git disregards it if the directory
    is ignored as a whole, but its author means to keep that file.
    """
    around = negation.strip("/").split("/")[:-1]
    return any(_is_name(part) and fnmatchcase(name, part) for part in around)


def _above(path: str) -> str:
    return path.rpartition("/")[0]
