"""Whether an ignore rule of git names what it ignores: only then git says that it is generated.

A rule that ignores everything (`*`), or a directory around (`data/`), says nothing about `build`.
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
"""With the index, a directory in which git tracks something would not count as ignored."""


PLACEHOLDERS: Final = frozenset({".gitkeep", ".keep", ".gitignore", ".gitattributes"})
"""What keeps an empty directory in git, and is no content."""


class _Rule(NamedTuple):
    pattern: str
    source: str
    """The file that has it."""


def question(paths: Iterable[str]) -> bytes:
    """What `git ASKING` reads to tell by which rules it ignores the `paths`."""
    around = {_above(path) for path in paths} - {""}
    return b"".join(os.fsencode(f"./{path}\0") for path in sorted({*paths, *around}))


def why_unnamed(said: bytes, top: Path, paths: Iterable[str]) -> dict[str, str]:
    """Why no rule names each of the `paths` below `top`, by what git `said`; "" if one does."""
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
    """The rule that decides for each path that is ignored."""
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
    """Where those who work on the project may have rules for `path`."""
    while path:
        path = _above(path)
        yield f"{path}/.gitignore" if path else ".gitignore"


def _negations(source: Path) -> list[str]:
    """The patterns in that file for what git is not to ignore."""
    try:
        lines = os.fsdecode(read_file(source, follow=True)).splitlines()
    except (OSError, Unreadable):
        return []
    return [line[1:].strip() for line in lines if line.startswith("!")]


def _is_for_parts(negation: str, name: str) -> bool:
    """Whether it is for something in a directory called `name`. Where that is ignored as a whole,
    git does not heed it, but who wrote it means to keep that.
    """
    around = negation.strip("/").split("/")[:-1]
    return any(_is_name(part) and fnmatchcase(name, part) for part in around)


def _above(path: str) -> str:
    return path.rpartition("/")[0]
