"""Stage 3: a table of counts for each line of the script, and a plot of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from .script import Line
from .tones import Cue

_WIDTH, _HEIGHT, _MARGIN = 960, 320, 40
_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2")


class Row(NamedTuple):
    """The counts for one line of the script; times in seconds, pitch in hertz."""

    line: int
    scene: str
    words: int
    letters: int
    longest_word: str
    new_words: int
    start: float
    end: float
    pitch: float


def table(lines: Sequence[Line], cues: Sequence[Cue]) -> list[Row]:
    """A row for each line. A word is new the first time that it occurs; case is ignored."""
    rows = []
    heard: set[str] = set()
    for line, cue in zip(lines, cues, strict=True):
        words = line.words
        folded = {word.casefold() for word in words}
        rows.append(
            Row(
                line=line.number,
                scene=line.scene,
                words=len(words),
                letters=sum(map(len, words)),
                longest_word=max(words, key=len),
                new_words=len(folded - heard),
                start=round(cue.start, 3),
                end=round(cue.end, 3),
                pitch=round(cue.pitch, 1),
            )
        )
        heard |= folded
    return rows


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write the rows to `path` as CSV with a header."""
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)


def write_plot(rows: Sequence[Row], path: Path) -> None:
    """Plot the number of words of each line over the time at which it is heard, as SVG to `path`.

    Each line has a bar in the colour of its scene; the dark part is the number of new words.
    """
    whole = rows[-1].end
    most = max(row.words for row in rows)
    scenes = list(dict.fromkeys(row.scene for row in rows))
    right, bottom = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN
    svg = ElementTree.Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        attrib={"font-family": "sans-serif", "font-size": "12"},
    )
    for row in rows:
        colour = _COLOURS[scenes.index(row.scene) % len(_COLOURS)]
        left = _MARGIN + right * row.start / whole
        width = right * (row.end - row.start) / whole
        for words, opacity in ((row.words, "0.4"), (row.new_words, "1")):
            height = bottom * words / most
            bar = ElementTree.SubElement(
                svg,
                "rect",
                x=f"{left:.1f}",
                y=f"{_HEIGHT - _MARGIN - height:.1f}",
                width=f"{width:.1f}",
                height=f"{height:.1f}",
                fill=colour,
                opacity=opacity,
            )
        ElementTree.SubElement(bar, "title").text = f"{row.line}: {row.scene}"
    for text, x, y in (
        (f"words in each line (at most {most}), dark: new ones", _MARGIN, _MARGIN / 2),
        (f"0 to {whole:.0f} s", _MARGIN, _HEIGHT - _MARGIN / 2),
    ):
        ElementTree.SubElement(svg, "text", x=str(x), y=str(y)).text = text
    with path.open("xb") as file:
        ElementTree.ElementTree(svg).write(file, encoding="utf-8", xml_declaration=True)
