"""The pictures of the docs show what the commands print today, and are small."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import pictures
from tests.docs import DOCS, PAGES, links

NAMED = {
    path.resolve() for page in PAGES for path, _ in links(page) if path.suffix in (".svg", ".png")
}


def shape(lines: list[str]) -> list[str]:
    """`lines` without what differs from run to run: numbers, sizes, bars, and the order."""
    told = []
    for line in lines:
        text = re.sub(r"\x1b\[[0-9;]*m|[▏▎▍▌▋▊▉█]+", " ", line)
        if text.startswith(" " * 20):
            continue  # the rest of a long cell, whose place depends on the widths of the others
        text = re.sub(r"[KMG]iB", "iB", re.sub(r"[\d.]+", "0", text))
        # Where a line is cut depends on the width of what stands before.
        text = re.sub("(expired|within limits|in use): .*", r"\1", re.sub("-+", "-", text))
        told.append(" ".join(text.split()))
    return sorted(filter(None, told))


def drawn() -> list[str]:
    """The lines of the picture of the terminal."""
    tree = ElementTree.parse(DOCS / "terminal.svg")
    rows = tree.getroot().findall("{*}text")
    spans = [row.findall("{*}tspan") for row in rows]
    return [
        " " * round((float(row[0].get("x", "0")) - 12) / 7.8)
        + " ".join(span.text or "" for span in row)
        for row in spans
    ]


def test_there_are_a_terminal_and_a_page_in_light_and_dark() -> None:
    assert {path.name for path in NAMED} == {"terminal.svg", "page.png", "page-dark.png"}


@pytest.mark.parametrize("path", sorted(NAMED), ids=lambda path: path.name)
def test_a_picture_is_smaller_than_150_kb(path: Path) -> None:
    assert 2_000 < path.stat().st_size < 150_000


def test_the_terminal_looks_well_in_light_and_dark() -> None:
    text = (DOCS / "terminal.svg").read_text(encoding="utf-8")
    light, dark = text.partition("@media (prefers-color-scheme: dark)")[::2]
    colours = [re.findall(r"(\.\w+) \{ fill: (#\w+)", part) for part in (light, dark)]
    assert (
        {name for name, _ in colours[0]} >= {name for name, _ in colours[1]} > {".red", ".yellow"}
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal and fallocate of Linux")
def test_the_terminal_shows_what_is_printed_today() -> None:
    with pictures.scene(4096) as project:
        assert shape(pictures.session(project)) == shape(drawn())
