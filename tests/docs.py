"""The README and the pages in `docs`: where they are, and their contents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.support import REPOSITORY

README: Final = REPOSITORY / "README.md"
DOCS: Final = REPOSITORY / "docs"
PAGES: Final = (README, *sorted(DOCS.glob("*.md")))

_FENCE: Final = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


class Block(NamedTuple):
    """A code block: the word after its fence, its text and the line on which it begins."""

    kind: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["kind"], found["text"], text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[tuple[Path, str]]:
    """The files of this repository that a page links to, each with the anchor or ""."""
    found = []
    for match in _LINK.finditer(prose(page)):
        target = match[1] or match[2]
        if "://" not in target:
            name, _, anchor = target.partition("#")
            found.append((page.parent / name if name else page, anchor))
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
