"""TK900: a `.gitignore` that does not ignore scratch."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Final

from ..store.project.project import SCRATCH_NAMES
from .files import Ground, ignoring
from .findings import Edit, Finding

CODE: Final = "TK900"
WANTED: Final = tuple(f"{name}/" for name in SCRATCH_NAMES)
EXPLAIN: Final = """
Scratch in `.tmp`, and in the older `.temp`, does not belong in a commit. A new `.tmp` contains a
`.gitignore`, but an older one, made by hand, does not.

    build/
becomes
    build/
    .tmp/
    .temp/

The lines `.tmp/` and `.temp/` are added at the end of the topmost `.gitignore`, unless a pattern in
the tree already ignores these directories; git decides that where it can be run. A file that
re-includes them with a `!` pattern is reported.
"""


def examine(ground: Ground, path: str, raw: bytes) -> tuple[Finding, list[Edit]] | None:
    """The finding for the `.gitignore` at `path` and the edits of its bytes; `None` if there is
    nothing to add.
    """
    directory = path.rpartition("/")[0]
    above = directory
    while above:
        above = above.rpartition("/")[0]
        if (f"{above}/.gitignore" if above else ".gitignore") in ground.files:
            return None
    if directory and directory not in ground.projects:
        return None
    lines = [os.fsdecode(line).strip() for line in raw.split(b"\n")]
    missing = [name for name in WANTED if not _is_ignored(ground, directory, name, lines)]
    if not missing:
        return None
    count = len(lines) - (not lines[-1])
    what = f"does not ignore {' and '.join(missing)}"
    for number, line in enumerate(lines, 1):
        if line.startswith("!") and line.strip("!/*").startswith(SCRATCH_NAMES):
            what = f"re-includes {line[1:]}"
            return Finding(CODE, number, 1, number, what, "ignore it, or keep the line"), []
    newline = b"\r\n" if b"\r\n" in raw else b"\n"
    text = b"" if not raw or raw.endswith(b"\n") else newline
    text += b"".join(name.encode() + newline for name in missing)
    finding = Finding(CODE, max(1, count), 1, max(1, count), what, fix="safe")
    return finding, [Edit(len(raw), len(raw), text)]


def _is_ignored(ground: Ground, directory: str, name: str, lines: list[str]) -> bool:
    if ground.git:
        return ignoring(ground.top, f"{directory}/{name}" if directory else name)
    plain = name.rstrip("/")
    patterns = (line.strip("/").removeprefix("**/") for line in lines if not line.startswith("#"))
    return any(fnmatchcase(plain, pattern) for pattern in patterns if pattern)
