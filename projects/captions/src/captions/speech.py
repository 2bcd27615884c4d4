"""Finds speech by the energy of the sound and its rate of zero crossings.

After Rabiner and Sambur, "An algorithm for determining the endpoints of isolated utterances"
(1975): loud parts are speech, extended to both sides until it is quiet, and further over a hiss
with many zero crossings, which may be an f or an s. Noise that only hisses is not speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .wav import Samples, blocks, find_sound

Levels: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

FRAME = 0.02
"""The length of a frame in seconds: speech hardly changes in such a short time."""

_AT_ONCE = 2_000
"""The number of frames in memory at a time."""

_SILENCE = -90.0
"""The lowest level, in decibels relative to full scale."""

_CONTRAST = 10.0
"""By how many decibels speech must be louder than the pauses."""

_LOUD, _QUIET = 0.35, 0.2
"""Speech begins above the first of these shares of the range from the quietest to the loudest
level,
and continues down to the second."""

_VOICED = 3_000.0
"""Zero crossings per second: a voice has fewer, a hiss more."""

_HISS_SECONDS = 0.2
_GAP_SECONDS = 0.3
_SHORTEST_SECONDS = 0.12
_VOICED_SECONDS = 0.06


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of speech, from `start` to `end` in seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Heard:
    """The speech in a recording of `seconds` seconds."""

    seconds: float
    segments: tuple[Segment, ...]


def find_speech(path: Path) -> Heard:
    """The speech in a WAV file. Memory use grows by 16 bytes for each frame.

    Raises `UnusableAudio` or `OSError`.
    """
    with path.open("rb") as file:
        sound = find_sound(file)
        rate = sound.format.rate
        length = max(1, round(rate * FRAME))
        levels, crossings = _measure(blocks(file, sound, length * _AT_ONCE), length, rate)
    seconds = length / rate
    found = tuple(
        Segment(first * seconds, min(last * seconds, sound.seconds))
        for first, last in _segments(levels, crossings, seconds)
    )
    return Heard(sound.seconds, found)


def _measure(sound: Iterable[Samples], length: int, rate: int) -> tuple[Levels, Levels]:
    """The level of each frame in decibels, and its zero crossings per second."""
    levels: list[Levels] = []
    crossings: list[Levels] = []
    for samples in sound:
        whole = len(samples) // length * length
        for part in (samples[:whole].reshape(-1, length), samples[None, whole:]):
            if not part.size:
                continue
            centred = part - part.mean(axis=1, keepdims=True)
            power = np.square(centred, dtype=np.float64).mean(axis=1)
            levels.append(10 * np.log10(np.maximum(power, 10 ** (_SILENCE / 10))))
            changes = np.count_nonzero(np.diff(centred >= 0, axis=1), axis=1)
            crossings.append(changes * (rate / part.shape[1]))
    return np.concatenate(levels), np.concatenate(crossings)


def _segments(levels: Levels, crossings: Levels, seconds: float) -> Iterator[tuple[int, int]]:
    """The first frame of each segment of speech, and the frame after its last."""
    floor, loudest = float(np.percentile(levels, 10)), _loudest(levels)
    if loudest - floor < _CONTRAST:
        return
    loud = levels >= floor + _LOUD * (loudest - floor)
    heard = levels >= floor + _QUIET * (loudest - floor)
    # A hiss before or after a voice belongs to it if it is no quieter than the pauses.
    hissing = (crossings > _VOICED) & (levels > floor + _CONTRAST / 3)
    reach = round(_HISS_SECONDS / seconds)
    found: list[tuple[int, int]] = []
    for first, last in _runs(heard):
        if not loud[first:last].any():
            continue
        first, last = _grown(hissing, first, last, reach)
        if found and (first - found[-1][1]) * seconds < _GAP_SECONDS:
            first = found.pop()[0]
        found.append((first, last))
    for first, last in found:
        voiced = np.count_nonzero(loud[first:last] & (crossings[first:last] <= _VOICED))
        if (last - first) * seconds >= _SHORTEST_SECONDS and voiced * seconds >= _VOICED_SECONDS:
            yield first, last


def _loudest(levels: Levels) -> float:
    """The loudest sustained level: a single loud frame may be a click."""
    lasting = np.minimum(levels[:-1], levels[1:]) if len(levels) > 1 else levels
    return float(lasting.max())


def _runs(flags: Flags) -> Iterator[tuple[int, int]]:
    """The start and the end of each run of set `flags`."""
    padded = np.concatenate(([False], flags, [False]))
    edges = np.flatnonzero(np.diff(padded))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(last)


def _grown(flags: Flags, first: int, last: int, reach: int) -> tuple[int, int]:
    """The run, extended to both sides while `flags` are set, by at most `reach`."""
    start, end = first, last
    while start > max(0, first - reach) and flags[start - 1]:
        start -= 1
    while end < min(len(flags), last + reach) and flags[end]:
        end += 1
    return start, end
