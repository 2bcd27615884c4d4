"""The unified diff of two texts, in linear time for most inputs."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

_Kind: TypeAlias = Literal["replace", "delete", "insert", "equal"]
_Opcode: TypeAlias = tuple[_Kind, int, int, int, int]

_CONTEXT = 3


def unified(before: bytes, after: bytes, old: bytes, new: bytes) -> bytes:
    """The diff from `before` to `after`, for `git apply`, with `old` and `new` as file names."""
    was, now = _lines(before), _lines(after)
    out = [b"--- %b\n+++ %b\n" % (old, new)]
    for group in _Matcher(was, now).get_grouped_opcodes(_CONTEXT):
        first, final = group[0], group[-1]
        there = _range(first[1], final[2]), _range(first[3], final[4])
        out.append(b"@@ -%b +%b @@\n" % there)
        for kind, start, end, start_now, end_now in group:
            if kind == "equal":
                out += [_shown(b" ", line) for line in was[start:end]]
                continue
            out += [_shown(b"-", line) for line in was[start:end]]
            out += [_shown(b"+", line) for line in now[start_now:end_now]]
    return b"".join(out) if len(out) > 1 else b""


class _Matcher(difflib.SequenceMatcher[bytes]):
    """Compares lines piece by piece, split at lines that occur exactly once in both texts.

    Each piece goes to the standard matcher, which takes quadratic time.
    """

    def __init__(self, was: Sequence[bytes], now: Sequence[bytes]) -> None:
        super().__init__(None, was, now)
        self._was, self._now = was, now

    def set_seq2(self, b: Sequence[bytes]) -> None:
        """Set `b` without building the standard matcher's index, which is not used."""
        self.b = b

    def get_opcodes(self) -> list[_Opcode]:
        """The changes, in the form that the standard matcher uses."""
        found: list[_Opcode] = []
        start, start_now = 0, 0
        for place, place_now in [*_anchors(self._was, self._now), (len(self._was), len(self._now))]:
            piece = difflib.SequenceMatcher(
                None, self._was[start:place], self._now[start_now:place_now]
            )
            for kind, first, last, first_now, last_now in piece.get_opcodes():
                _append(
                    found,
                    (
                        kind,
                        start + first,
                        start + last,
                        start_now + first_now,
                        start_now + last_now,
                    ),
                )
            if place < len(self._was) and place_now < len(self._now):
                _append(found, ("equal", place, place + 1, place_now, place_now + 1))
            start, start_now = place + 1, place_now + 1
        return found


def _append(found: list[_Opcode], opcode: _Opcode) -> None:
    """Append an opcode, merging it into the last one if it continues that."""
    kind, first, last, first_now, last_now = opcode
    if found and found[-1][0] == kind == "equal" and found[-1][2::2] == (first, first_now):
        found[-1] = (kind, found[-1][1], last, found[-1][3], last_now)
    else:
        found.append(opcode)


def _anchors(was: Sequence[bytes], now: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """The index pairs of lines that occur exactly once in both texts, in the same order."""
    once = {line for line, count in Counter(was).items() if count == 1}
    once &= {line for line, count in Counter(now).items() if count == 1}
    places = {line: index for index, line in enumerate(now) if line in once}
    pairs = [(index, places[line]) for index, line in enumerate(was) if line in once]
    # The longest increasing subsequence of indices, by patience sorting.
    tops: list[int] = []
    piles: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        pile = bisect_left(tops, place)
        before.append(piles[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(place)
            piles.append(number)
        else:
            tops[pile], piles[pile] = place, number
    chosen = []
    number = piles[-1] if piles else -1
    while number >= 0:
        chosen.append(pairs[number])
        number = before[number]
    return reversed(chosen)


def _range(start: int, end: int) -> bytes:
    """A range of lines in unified diff notation."""
    length = end - start
    if length == 1:
        return b"%d" % (start + 1)
    return b"%d,%d" % (start + bool(length), length)


def _shown(mark: bytes, line: bytes) -> bytes:
    if line.endswith(b"\n"):
        return mark + line
    return mark + line + b"\n\\ No newline at end of file\n"


def _lines(data: bytes) -> list[bytes]:
    """The lines of `data`, split only at line feeds, as in `diff`."""
    parts = data.split(b"\n")
    whole = [part + b"\n" for part in parts[:-1]]
    return [*whole, parts[-1]] if parts[-1] else whole
