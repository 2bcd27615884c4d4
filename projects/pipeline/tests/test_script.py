from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline.errors import PipelineError
from pipeline.script import Line, narration, shipped_text, write_script

TEXT = """\
A :mod:`small` Essay
====================

It has a *first* sentence
over two lines. And a second!

Terms
-----

    Model
        An object.  It represents :class:`~email.message.Message`.

-- -
"""


def spoken(text: str) -> list[tuple[str, str]]:
    return [(line.scene, line.text) for line in narration(text.splitlines(keepends=True))]


def test_each_sentence_is_a_line_of_the_scene_whose_heading_is_above_it() -> None:
    assert spoken(TEXT) == [
        ("A small Essay", "It has a first sentence over two lines."),
        ("A small Essay", "And a second!"),
        ("Terms", "Model:"),
        ("Terms", "An object."),
        ("Terms", "It represents Message."),
    ]


@pytest.mark.parametrize("text", ["Two lines\nof one sentence.\n", "A line\n===!\n", "One\n--\n"])
def test_what_is_not_underlined_is_no_heading(text: str) -> None:
    assert {scene for scene, _ in spoken(text)} == {""}


@pytest.mark.parametrize("text", ["version 5.1 of it.", "e.g. this one.", "a file.py here."])
def test_a_dot_within_a_sentence_does_not_end_it(text: str) -> None:
    assert [line for _, line in spoken(text)] == [text]


def test_words_are_told_from_signs() -> None:
    assert Line(1, "", "Don't “re-use” it, 2 times (un_der)!").words == [
        "Don't",
        "re-use",
        "it",
        "2",
        "times",
        "un",
        "der",
    ]


def test_the_text_that_python_ships_is_a_script_of_many_lines_and_scenes() -> None:
    with shipped_text() as text:
        lines = [*narration(text)]
    assert [line.number for line in lines] == [*range(1, len(lines) + 1)]
    assert len(lines) > 50
    assert {"Overview", "The Model", "Handling Binary Data"} <= {line.scene for line in lines}
    assert all(line.words and "`" not in line.text and line.text.isprintable() for line in lines)


def test_the_script_is_written_as_what_it_is(tmp_path: Path) -> None:
    lines = write_script(TEXT.splitlines(), tmp_path / "script.jsonl")
    written = (tmp_path / "script.jsonl").read_text(encoding="utf-8").splitlines()
    assert [Line(**json.loads(line)) for line in written] == lines


def test_each_line_is_on_disk_before_more_of_the_text_is_asked_for(tmp_path: Path) -> None:
    counts = []

    def text() -> Iterator[str]:
        for number in range(3):
            yield f"Sentence {number}.\n"
            yield "\n"
            counts.append(len((tmp_path / "script.jsonl").read_text().splitlines()))

    write_script(text(), tmp_path / "script.jsonl")
    assert counts == [1, 2, 3]


@pytest.mark.parametrize("text", ["", "\n\n", "=====\n", "Heading\n=======\n", "… !\n"])
def test_a_text_without_a_sentence_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PipelineError, match="not one sentence"):
        write_script(text.splitlines(), tmp_path / "script.jsonl")


def test_a_script_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "script.jsonl").write_text("mine")
    with pytest.raises(FileExistsError):
        write_script(["One."], tmp_path / "script.jsonl")
    assert (tmp_path / "script.jsonl").read_text() == "mine"
