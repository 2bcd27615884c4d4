"""Where somebody speaks: by the energy of the sound and by how often it crosses zero.

After Rabiner and Sambur, "An algorithm for determining the endpoints of isolated utterances"
(1975): what is loud is speech, as far as it is not quiet to both sides, and further where a hiss
that crosses zero often may be an f or an s. Noise that does nothing but hiss is no speech.
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
"""Seconds; speech hardly changes within so short a time."""

_AT_ONCE = 2_000
"""How many frames are in memory at a time."""

_SILENCE = -90.0
"""Decibels below full scale; what is quieter is as quiet."""

_CONTRAST = 10.0
"""How many decibels speech must be louder than what is between."""

_LOUD, _QUIET = 0.35, 0.2
"""Above which part of the way from the quietest to the loudest speech begins, and to which it
goes on."""

_VOICED = 3_000.0
"""Crossings of zero a second; a voice has fewer, a hiss has more."""

_HISS_SECONDS = 0.2
_GAP_SECONDS = 0.3
_SHORTEST_SECONDS = 0.12
_VOICED_SECONDS = 0.06


@dataclass(frozen=True, slots=True)
class Segment:
    """Somebody speaks, from `start` to `end`, in seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in a recording of so many `seconds`."""

    seconds: float
    segments: tuple[Segment, ...]


def find_speech(path: Path) -> Heard:
    """The speech in a WAV file. Memory does not grow with its length but for 16 bytes a frame.

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
    """For each frame its level in decibels, and how often it crosses zero in a second."""
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
    """From which frame to before which other one somebody speaks."""
    floor, loudest = float(np.percentile(levels, 10)), _loudest(levels)
    if loudest - floor < _CONTRAST:
        return
    loud = levels >= floor + _LOUD * (loudest - floor)
    heard = levels >= floor + _QUIET * (loudest - floor)
    # A hiss on both sides of a voice belongs to it if it is no quieter than what is between.
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
    """The loudest level that lasts: a single frame may be a click."""
    lasting = np.minimum(levels[:-1], levels[1:]) if len(levels) > 1 else levels
    return float(lasting.max())


def _runs(flags: Flags) -> Iterator[tuple[int, int]]:
    """From where to where `flags` are set."""
    padded = np.concatenate(([False], flags, [False]))
    edges = np.flatnonzero(np.diff(padded))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(last)


def _grown(flags: Flags, first: int, last: int, reach: int) -> tuple[int, int]:
    """The run made longer to both sides while `flags` are set, at most by `reach`."""
    start, end = first, last
    while start > max(0, first - reach) and flags[start - 1]:
        start -= 1
    while end < min(len(flags), last + reach) and flags[end]:
        end += 1
    return start, end
