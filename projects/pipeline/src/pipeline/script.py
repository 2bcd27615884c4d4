"""Stage 1: a script with one sentence of narration per line, from a text with headings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

from .errors import PipelineError

_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[\"'(A-Z0-9])")
_ROLE = re.compile(r":\w+:+`+~?([^`<>]*)`+")
_MARKS = re.compile(r"[`*]+|::$")


class Line(NamedTuple):
    """One sentence to read aloud, and the scene that it belongs to."""

    number: int
    scene: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the sentence, as written."""
        return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", self.text)


def shipped_text() -> TextIOWrapper:
    """The essay on the architecture of Python's `email` package, which it ships, open to read."""
    essay = files("email").joinpath("architecture.rst")
    if not essay.is_file():
        raise PipelineError("this Python ships no text to work on; give one")
    opened = essay.open(encoding="utf-8")
    assert isinstance(opened, TextIOWrapper)
    return opened


def write_script(text: Iterable[str], path: Path) -> list[Line]:
    """The lines of the script made from `text`; also written to `path` as JSON, one object a line.

    Each is written as soon as its paragraph is read. Raises `PipelineError` if there are none.
    """
    lines = []
    with path.open("x", encoding="utf-8") as file:
        for line in narration(text):
            lines.append(line)
            print(json.dumps(line._asdict(), ensure_ascii=False), file=file, flush=True)
    if not lines:
        raise PipelineError("there is not one sentence in the text; give another")
    return lines


def narration(text: Iterable[str]) -> Iterator[Line]:
    """The sentences of `text`, for each paragraph; an underlined line begins a scene."""
    scene = ""
    number = 0
    for paragraph in _paragraphs(text):
        if len(paragraph) == 2 and _is_underline(paragraph[1]):
            scene = _plain(paragraph[0])
            continue
        for sentence in _SENTENCE_END.split(_plain(" ".join(paragraph))):
            line = Line(number + 1, scene, sentence)
            if line.words:
                number += 1
                yield line


def _paragraphs(text: Iterable[str]) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for raw in text:
        if raw.strip():
            paragraph.append(raw.rstrip())
        elif paragraph:
            yield _without_indent(paragraph)
            paragraph = []
    if paragraph:
        yield _without_indent(paragraph)


def _without_indent(paragraph: list[str]) -> list[str]:
    """The lines without indentation; a term before an indented definition gets a colon."""
    first, *more = (line.strip() for line in paragraph)
    if more and _indent(paragraph[1]) > _indent(paragraph[0]):
        first += ":"
    return [first, *more]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_underline(text: str) -> bool:
    return len(text) >= 3 and not text[0].isalnum() and set(text) == {text[0]}


def _plain(text: str) -> str:
    """The text to read aloud, without the markup of reStructuredText."""
    return _MARKS.sub("", _ROLE.sub(lambda role: role[1].rpartition(".")[2], text)).strip()
