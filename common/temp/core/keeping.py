"""Files that stay when their entry goes: what `keep_files` matches, and what that changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from .disposal import Disposal
from .entry import COMPANIONS, composed, database_of
from .globs import without_braces
from .reasons import KEEP_FILES, Reason, Verdict


class FilesKept(NamedTuple):
    """How many files and directories of an entry stay for `keep_files`, and their bytes on disk.

    `rest` tells whether there is anything else in it.
    """

    number: int
    size: int
    rest: bool


JOURNAL, LOG, INDEX, LOG_OF_DUCKDB = COMPANIONS


@lru_cache(maxsize=64)
def files_matcher(patterns: tuple[str, ...], *, any_case: bool) -> Callable[[str], bool]:
    """Whether a path in an entry matches one of the globs: its name, or if they have a `/`, all of
    it. What belongs to a database that matches does too. Letters in `any_case` are equal where they
    are for the filesystem.
    """
    flags = re.IGNORECASE if any_case else re.NOFLAG
    globs = [glob for pattern in patterns for glob in without_braces(composed(pattern))]
    split = [parts for parts in map(_parts, globs) if parts]
    whole = [_translated(parts) for parts in split if len(parts) > 1]
    names = [translate(parts[0]) for parts in split if len(parts) == 1]
    matches_path = re.compile("|".join(whole), flags).match if whole else None
    matches_name = re.compile("|".join(names), flags).match if names else None

    def matches(path: str) -> bool:
        path = composed(path)
        if matches_name is not None and matches_name(path.rpartition("/")[2]):
            return True
        if matches_path is not None and matches_path(path):
            return True
        return (database := database_of(path)) != path and matches(database)

    return matches


def can_match(pattern: str) -> bool:
    """Whether there can be a path in an entry that matches the glob; one that begins in `.tmp` is
    meant for another place.
    """
    parts = _parts(pattern)
    from_project = len(parts) > 1 and parts[0] in (".tmp", ".temp")
    return bool(parts) and ".." not in parts and not pattern.startswith("/") and not from_project


def _parts(pattern: str) -> list[str]:
    """The parts of a glob that say something: `**/` before a name matches at any depth, as the
    name alone does.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    is_deep = False
    while len(parts) > 1 and parts[0] == "**":
        del parts[0]
        is_deep = True
    return ["**", *parts] if is_deep and len(parts) > 1 else parts


def _translated(parts: list[str]) -> str:
    """The regular expression of a path: `**/` matches no directory too."""
    *above, last = parts
    found = ("(?s:.*/)?" if part == "**" else f"{_inner(part)}/" for part in above)
    return f"{''.join(found)}{translate(last)}"


def _inner(part: str) -> str:
    return translate(part).removesuffix(r"\Z").removesuffix(r"\z")


def why_files_keep_it(verdict: Verdict, files: FilesKept, disposal: Disposal) -> Verdict:
    """The verdict on an entry that goes, in which `files` were found: it may have to stay whole.

    It does if nothing else is in it, unless it is archived. In the trash or set aside, the files
    would not be in their place.
    """
    if disposal in ("trash", "undo"):
        why = f"{files.number} in it would not stay in place"
    elif disposal == "delete" and not files.rest:
        why = "all that is in it matches"
    else:
        return verdict
    return Verdict(verdict.entry, True, (Reason(KEEP_FILES, "stays", why), *verdict.reasons))
