"""Questions before a clean: which entries to clean, and whether to go ahead.

Questions go to one stream. Answers come from stdin, whether it is a terminal or not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, TextIO

from .core.disposal import DISPOSALS
from .core.links import once
from .core.plan import Step
from .core.units import spell_size
from .errors import Declined
from .report.text import counted, plain

_HELP: Final = "numbers and ranges (1-3,7), a glob of names (thumb*), all, each, or q to quit"


class Dialogue:
    """Asks on `stream`. Raises `Declined` if stdin ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, file=self._stream, flush=True)

    def ask(self, question: str) -> str:
        """The answer to a question, without surrounding spaces."""
        print(f"{question} ", end="", file=self._stream, flush=True)
        answer = ""
        try:
            answer = sys.stdin.readline()
        finally:
            # What is printed next begins a line: after Ctrl-D or Ctrl-C, or without a terminal.
            if not (answer.endswith("\n") and sys.stdin.isatty()):
                print(file=self._stream, flush=True)
        if not answer:
            raise Declined(
                "nothing was cleaned, because nobody answered; --yes cleans without asking"
            )
        return answer.strip()

    def confirm(self, steps: Sequence[Step], linked: Sequence[str] = ()) -> None:
        """Ask whether to clean all of `steps`. Raises `Declined` for a no.

        `linked` names roots behind links, and where they lead.
        """
        size = spell_size(sum(once(step.entry for step in steps)))
        verb = _verb(steps[0])
        where = f" in {plain(', '.join(linked))}" if linked else ""
        if not _is_yes(self.ask(f"{verb} {counted(len(steps))}, {size}{where}? [y/N]")):
            raise Declined("nothing was cleaned")

    def choose(self, steps: Sequence[Step], places: Sequence[str]) -> set[int]:
        """The indices of the steps that a person chooses. Raises `Declined`.

        `places` has the place of each step, which is shown if they differ.
        """
        paths = [plain(step.entry.path) for step in steps]
        if len(set(places)) > 1:
            paths = [f"{plain(place)}: {path}" for place, path in zip(places, paths, strict=True)]
        for number, (step, path) in enumerate(zip(steps, paths, strict=True), 1):
            size = "" if step.entry.partial else f"  {spell_size(step.entry.size)}"
            self.say(f"{number:4}  {path}{size}  ({plain(str(step.reason))})")
        while True:
            answer = self.ask("Which of them? (? for help)")
            if answer.lower() in ("q", "quit", ""):
                raise Declined("nothing was cleaned")
            if answer.lower() == "each":
                return self._one_by_one(steps, paths)
            if answer == "?":
                self.say(_HELP)
                continue
            chosen = read_choice(answer, steps)
            if chosen:
                return chosen
            self.say(f"{plain(answer)} is not one of the {counted(len(steps))}; {_HELP}")

    def _one_by_one(self, steps: Sequence[Step], paths: Sequence[str]) -> set[int]:
        chosen: set[int] = set()
        for index, (step, path) in enumerate(zip(steps, paths, strict=True)):
            answer = self.ask(f"{_verb(step)} {path}? [y/N/q]").lower()
            if answer in ("q", "quit"):
                break
            if _is_yes(answer):
                chosen.add(index)
        if not chosen:
            raise Declined("nothing was cleaned")
        return chosen


def _verb(step: Step) -> str:
    return DISPOSALS[step.disposal].verb.capitalize()


def _is_yes(answer: str) -> bool:
    return answer.lower() in ("y", "yes")


def read_choice(answer: str, steps: Sequence[Step]) -> set[int]:
    """The indices that `answer` means: numbers from 1, ranges, `all`, or a glob of names.

    None if it matches nothing, or if one of its numbers does not exist.
    """
    if answer.lower() == "all":
        return set(range(len(steps)))
    parts = [part for part in re.split(r"[,\s]+", answer) if part]
    ranges = [re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part) for part in parts]
    if ranges and all(ranges):
        chosen: set[int] = set()
        for match in filter(None, ranges):
            first, last = int(match[1]), int(match[2] or match[1])
            if not 1 <= first <= last <= len(steps):
                return set()
            chosen |= set(range(first - 1, last))
        return chosen
    return {
        index
        for index, step in enumerate(steps)
        if any(
            fnmatchcase(text, answer)
            for text in (step.entry.name, step.entry.label, step.entry.path)
        )
    }
