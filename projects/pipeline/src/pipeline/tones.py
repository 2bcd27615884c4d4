"""Stage 2: a tone track, one tone for each word of the script."""

from __future__ import annotations

import math
import sys
import wave
from array import array
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .script import Line

RATE = 8_000  # samples a second, mono, 16 bits
_LETTER_SECONDS = 0.03
_PAUSE_SECONDS = 0.25  # after each line
_FADE_SECONDS = 0.005  # in and out, without which each tone begins and ends with a click
_LOWEST = 220.0
_STEPS = (0, 2, 4, 7, 9)  # semitones of a pentatonic scale, on which nothing sounds wrong
_LOUDNESS = 0.4


class Cue(NamedTuple):
    """The time at which a line is heard, in seconds, and its mean pitch in hertz."""

    start: float
    end: float
    pitch: float


def write_tones(lines: Iterable[Line], path: Path) -> list[Cue]:
    """Write the track to the WAV file `path`. Returns the cue of each line.

    Long words get high and long tones. The header is written last: the header in a run that was
    killed midway says that the track is empty.
    """
    cues = []
    at = 0
    with path.open("xb") as file, wave.open(file, "wb") as track:
        track.setnchannels(1)
        track.setsampwidth(2)
        track.setframerate(RATE)
        for line in lines:
            start = at
            pitches = []
            for word in line.words:
                track.writeframesraw(_tone(len(word)))
                at += _samples(len(word))
                pitches.append(pitch(len(word)))
            cues.append(Cue(start / RATE, at / RATE, sum(pitches) / len(pitches)))
            pause = round(_PAUSE_SECONDS * RATE)
            track.writeframesraw(bytes(2 * pause))
            at += pause
    return cues


def pitch(letters: int) -> float:
    """The pitch of a word with that many letters, in hertz; the same for 16 and more."""
    octave, step = divmod(min(letters, 16) - 1, len(_STEPS))
    return float(_LOWEST * 2 ** (octave + _STEPS[step] / 12))


def _samples(letters: int) -> int:
    return round(letters * _LETTER_SECONDS * RATE)


@cache
def _tone(letters: int) -> bytes:
    count = _samples(letters)
    fade = _FADE_SECONDS * RATE
    step = 2 * math.pi * pitch(letters) / RATE
    samples = array("h")
    for index in range(count):
        envelope = min(1.0, index / fade, (count - index) / fade)
        samples.append(round(32_767 * _LOUDNESS * envelope * math.sin(step * index)))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
