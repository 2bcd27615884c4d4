"""TK111: documentation, scripts and settings that mention scratch made by hand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from .findings import Finding
from .helpers import NAME

CODE: Final = "TK111"
EXPLAIN: Final = """
Documentation that names the legacy helper is out of date once the code is migrated, and a shell
script or a Makefile that deletes `.tmp` also deletes what is in use at that moment.

    clean:
        rm -rf build .tmp
becomes, by hand
    clean:
        rm -rf build
        inv temp-clean

Lines that mention `get_temp_dir` are listed if a file of the tree defines the legacy helper, and so
are commands that remove `.tmp`. Never rewritten, since these files are text.
"""
_PROSE: Final = frozenset({".md", ".markdown", ".rst", ".adoc", ".txt"})
_COMMANDS: Final = frozenset(
    {".sh", ".bash", ".zsh", ".mk", ".yml", ".yaml", ".toml", ".ini", ".just"}
)
_NAMED: Final = frozenset(
    {"Makefile", "GNUmakefile", "makefile", "justfile", "Justfile", "Dockerfile"}
    | {"Containerfile", "Jenkinsfile", "package.json"}
)
_REMOVAL: Final = re.compile(
    rb"""\b(?:rm|rmdir|rimraf)\b(?:[^#\n\\]|\\\r?\n|\\.)*?(?<![\w*.-])(?:\./)?(\.te?mp)(?![\w.-])"""
)
_HELPER: Final = re.compile(rb"(?<!\w)" + NAME.encode() + rb"(?!\w)")
_KEPT: Final = re.compile(rb"tempkeep:\s*keep\b.*" + CODE.encode())


def is_text(path: str) -> bool:
    """Whether the file may be documentation or contain commands."""
    name = path.rpartition("/")[2]
    return (
        name in _NAMED
        or name.startswith("Dockerfile.")
        or os.path.splitext(name)[1].lower() in _PROSE | _COMMANDS
    )


def find(path: str, raw: bytes, *, has_helper: bool) -> Iterator[Finding]:
    """Each line of the text that mentions scratch made by hand."""
    is_prose = os.path.splitext(path)[1].lower() in _PROSE
    removes = b".tmp" in raw or b".temp" in raw
    if not removes and not (has_helper and NAME.encode() in raw):
        return
    removals: dict[int, re.Match[bytes]] = {}
    for match in _REMOVAL.finditer(raw) if removes else ():
        if not is_prose or match[0].startswith(b"rm -"):
            removals.setdefault(raw.count(b"\n", 0, match.start()) + 1, match)
    for number, line in enumerate(raw.split(b"\n"), 1):
        said = _HELPER.search(line) if has_helper else None
        removal = removals.get(number)
        if _KEPT.search(line):
            continue
        if removal:
            what = f"removes {removal[1].decode()} by hand, with what is in use there"
            advice = "call inv temp-clean instead"
            column = removal.start() - raw.rfind(b"\n", 0, removal.start())
            yield Finding(CODE, number, column, number, what, advice)
        elif said:
            what = f"mentions the legacy {NAME}"
            advice = "describe get_debug_temp_dir() of common.temp, and where it puts the directory"
            yield Finding(CODE, number, said.start() + 1, number, what, advice)
