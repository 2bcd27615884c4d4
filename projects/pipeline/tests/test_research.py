from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pipeline.research import Row, table, write_plot, write_table
from pipeline.script import Line
from pipeline.tones import Cue

LINES = [Line(1, "One", "The parser, the model."), Line(2, "Two, “three”", "The generator")]
CUES = [Cue(0.0, 0.75, 300.04), Cue(1.0, 1.5, 440.0)]
ROWS = table(LINES, CUES)
RECT = "{http://www.w3.org/2000/svg}rect"


def test_a_line_is_counted_and_a_word_is_new_only_once() -> None:
    assert [
        Row(1, "One", 4, 17, "parser", 3, 0.0, 0.75, 300.0),
        Row(2, "Two, “three”", 2, 12, "generator", 1, 1.0, 1.5, 440.0),
    ] == ROWS


def test_the_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write_table(ROWS, tmp_path / "research.csv")
    with (tmp_path / "research.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(Row._fields)
    assert rows == [[str(value) for value in row] for row in ROWS]


def test_the_plot_has_a_bar_for_the_words_of_each_line_and_one_for_the_new(tmp_path: Path) -> None:
    write_plot(ROWS, tmp_path / "research.svg")
    bars = [*ElementTree.parse(tmp_path / "research.svg").iter(RECT)]
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert [height / heights[0] for height in heights] == [1.0, 0.75, 0.5, 0.25]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[0] / widths[2] == pytest.approx(1.5, rel=0.01)
    assert bars[0].attrib["fill"] != bars[2].attrib["fill"]


@pytest.mark.parametrize("write", [write_table, write_plot])
def test_what_is_there_is_not_written_over(tmp_path: Path, write: object) -> None:
    (tmp_path / "there").write_text("mine")
    assert callable(write)
    with pytest.raises(FileExistsError):
        write(ROWS, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
