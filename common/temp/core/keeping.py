"""Files that stay when their entry goes: what `keep_files` matches, and what that changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from .disposal import Disposal
from .reasons import KEEP_FILES, Reason, Verdict


class FilesKept(NamedTuple):
    """How many files and directories of an entry stay for `keep_files`, and their bytes on disk.

    `rest` tells whether there is anything else in it.
    """

    number: int
    size: int
    rest: bool


@lru_cache(maxsize=64)
def files_matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a path in an entry matches one of the globs: its name, or if they have a `/`, all of
    it.
    """
    whole = [translate(text.strip("/")) for text in patterns if "/" in text.strip("/")]
    names = [translate(text.strip("/")) for text in patterns if "/" not in text.strip("/")]
    matches_path = re.compile("|".join(whole)).match if whole else None
    matches_name = re.compile("|".join(names)).match if names else None

    def matches(path: str) -> bool:
        if matches_name is not None and matches_name(path.rpartition("/")[2]):
            return True
        return matches_path is not None and matches_path(path) is not None

    return matches


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
