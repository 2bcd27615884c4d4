"""Questions before a clean: which entries to clean, and whether to go ahead.

Questions go to one stream. Answers come from stdin, whether it is a terminal or not.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, TextIO

from .choices import either
from .core.disposal import DISPOSALS
from .core.links import once
from .core.plan import Step
from .core.reasons import ARTEFACT
from .core.units import spell_size
from .errors import Declined
from .report.going import going_text
from .report.table import Screen, folded
from .report.text import counted, plain

_HELP: Final = "numbers and ranges (1-3,7), globs of names (thumb*), all, each, or q to quit"


class Dialogue:
    """Asks on `stream`, which may be a `screen`, at the time `now`.

    Raises `Declined` with the `remedy` if stdin ends.
    """

    def __init__(self, stream: TextIO, screen: Screen | None, now: float, remedy: str) -> None:
        self._stream = stream
        self._screen = screen
        self._now = now
        self._remedy = remedy

    def say(self, line: str) -> None:
        """Print a line; on a screen it is broken at words."""
        shown = line if self._screen is None else folded(line, self._screen.width)
        print(shown, file=self._stream, flush=True)

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
            raise Declined(f"nothing was cleaned, because there was no answer; {self._remedy}")
        return answer.strip()

    def show(self, steps: Sequence[Step], places: Sequence[str], *, numbered: bool = False) -> None:
        """Print what goes: the largest, or all with a number each; `places` as for `choose`."""
        text = going_text(steps, places, self._now, self._screen, numbered=numbered)
        print(f"{text}\n", file=self._stream, flush=True)

    def confirm(
        self, steps: Sequence[Step], linked: Sequence[str] = (), besides: Sequence[Step] = ()
    ) -> None:
        """Ask whether to clean all of `steps`. Raises `Declined` for a no.

        `linked` names roots behind links, and where they lead; `besides` are the archives and the
        entries set aside before that go too.
        """
        size = spell_size(sum(once(step.entry for step in steps)))
        verb = _verb(steps[0])
        where = f" in {plain(', '.join(linked))}" if linked else ""
        also = f", and delete {_counted(besides)} for good" if besides else ""
        if not _is_yes(self.ask(f"{verb} {_counted(steps)}, {size}{where}{also}? [y/N]")):
            raise Declined("nothing was cleaned")

    def choose(self, steps: Sequence[Step], places: Sequence[str]) -> set[int]:
        """The indices of the steps that a person chooses. Raises `Declined`.

        `places` has the place of each step, which is shown if they differ.
        """
        self.show(steps, places, numbered=True)
        while True:
            answer = self.ask("Which of them? (? for help)")
            if answer.lower() in ("q", "quit", ""):
                raise Declined("nothing was cleaned")
            if answer.lower() == "each":
                return self._one_by_one(steps, places)
            if answer == "?":
                self.say(_HELP)
                continue
            chosen, wrong = read_choice(answer, steps)
            if wrong:
                self.say("; ".join(wrong))
                continue
            return chosen

    def _one_by_one(self, steps: Sequence[Step], places: Sequence[str]) -> set[int]:
        chosen: set[int] = set()
        several = len(set(places)) > 1
        for index, (step, place) in enumerate(zip(steps, places, strict=True)):
            where = f"{plain(place)}: " if several else ""
            answer = self.ask(f"{_verb(step)} {where}{plain(step.entry.path)}? [y/N/q]").lower()
            if answer in ("q", "quit"):
                break
            if _is_yes(answer):
                chosen.add(index)
        if not chosen:
            raise Declined("nothing was cleaned")
        return chosen


def _counted(steps: Sequence[Step]) -> str:
    """`2 entries`, `3 artefacts and 2 entries`, `1 entry set aside before and 2 archives`."""
    nouns = Counter(
        ("artefact", "artefacts")
        if step.reason.rule == ARTEFACT
        else DISPOSALS[step.disposal].nouns
        for step in steps
    )
    return " and ".join(counted(number, *noun) for noun, number in nouns.items())


def _verb(step: Step) -> str:
    return DISPOSALS[step.disposal].verb.capitalize()


def _is_yes(answer: str) -> bool:
    return answer.lower() in ("y", "yes")


def read_choice(answer: str, steps: Sequence[Step]) -> tuple[set[int], tuple[str, ...]]:
    """The indices that `answer` means, and what is wrong with its parts, a clause for each.

    It means `all`, or numbers from 1, ranges and globs of names, with commas or spaces between.
    """
    if answer.lower() == "all":
        return set(range(len(steps))), ()
    parts = [part for part in re.split(r"[,\s]+", answer) if part]
    if not all(map(_as_range, parts)) and (chosen := _matching(answer, steps)):
        return chosen, ()  # a name may have spaces in it
    chosen, wrong, missing, unknown = set(), [], [], []
    for part in parts:
        if match := _as_range(part):
            first, last = int(match[1]), int(match[2] or match[1])
            if first > last:
                wrong.append(f"{part} counts down; write {last}-{first}")
            elif first and last <= len(steps):
                chosen |= set(range(first - 1, last))
            else:
                missing.append(part)
        elif found := _matching(part, steps):
            chosen |= found
        else:
            unknown.append(plain(part))
    if missing:
        wrong.append(f"there is no {either(missing)}, only 1 to {len(steps)}")
    if unknown:
        wrong.append(f"no name matches {either(unknown)}")
    return (set() if wrong else chosen), tuple(wrong)


def _as_range(part: str) -> re.Match[str] | None:
    return re.fullmatch(r"([0-9]{1,99})(?:-([0-9]{1,99}))?", part)


def _matching(glob: str, steps: Sequence[Step]) -> set[int]:
    return {
        index
        for index, step in enumerate(steps)
        if any(fnmatchcase(text, glob) for text in step.entry.names)
    }
