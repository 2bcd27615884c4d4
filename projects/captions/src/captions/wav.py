"""Reads WAV files: PCM of 8, 16, 24 or 32 bits, mono or stereo, as blocks of mono samples.

The standard library's `wave` cannot read WAVE_FORMAT_EXTENSIBLE, the usual format for 24 bits,
before Python 3.12, and trusts any size in a header.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import UnusableAudio

Samples: TypeAlias = npt.NDArray[np.float32]

RATES = range(1_000, 768_001)
"""Samples per second: fewer cannot carry speech, and nobody records with more."""

_PCM = 1
_EXTENSIBLE = 0xFFFE
_PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
_MIDDLE, _FULL_16, _FULL_32 = np.float32(2**7), np.float32(2**15), np.float32(2**31)
_CHUNKS = 1000
"""The most chunks before the sound; a file with more is made to keep a reader busy."""


@dataclass(frozen=True, slots=True)
class Format:
    """The format of the sound: samples per second, channels, and bits per sample."""

    rate: int
    channels: int
    bits: int

    @property
    def width(self) -> int:
        """The bytes of one sample of all channels."""
        return self.channels * self.bits // 8


@dataclass(frozen=True, slots=True)
class Sound:
    """The position of the sound in a file: its `start` in bytes, and the number of samples."""

    format: Format
    start: int
    samples: int

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return self.samples / self.format.rate


def find_sound(file: BinaryIO) -> Sound:
    """The position of the sound in a WAV file. Raises `UnusableAudio` if it cannot be read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] not in (b"WAVE", b""):
        raise UnusableAudio("this is no WAV file")
    stored: Format | None = None
    for _ in range(_CHUNKS):
        chunk = file.read(8)
        if len(chunk) < 8:
            raise UnusableAudio("the WAV file ends before its sound begins")
        name, length = struct.unpack("<4sI", chunk)
        start = file.tell()
        if name == b"fmt ":
            stored = _read_format(file.read(min(length, 40)))
        elif name == b"data":
            return _sound(stored, start, length, size)
        # Chunks begin at even positions.
        file.seek(start + length + length % 2)
    raise UnusableAudio(f"the WAV file has more than {_CHUNKS} chunks before its sound")


def blocks(file: BinaryIO, sound: Sound, samples: int) -> Iterator[Samples]:
    """The sound as mono samples from -1 to 1, in blocks; the last block may be shorter.

    Raises `UnusableAudio` if the file was truncated meanwhile.
    """
    file.seek(sound.start)
    left = sound.samples
    while left:
        count = min(left, samples)
        data = file.read(count * sound.format.width)
        if len(data) < count * sound.format.width:
            raise UnusableAudio("the WAV file ends in the midst of its sound")
        left -= count
        yield _decode(data, sound.format.bits).reshape(count, -1).mean(axis=1)


def _read_format(data: bytes) -> Format:
    if len(data) < 16:
        raise UnusableAudio("the WAV file ends before its sound begins")
    kind, channels, rate, _, width, bits = struct.unpack("<HHIIHH", data[:16])
    if kind == _EXTENSIBLE and data[24:40] == _PCM_GUID:
        kind = _PCM
    if kind != _PCM:
        raise UnusableAudio(f"the sound is compressed (format {kind:#06x}); PCM can be read")
    stored = Format(rate, channels, bits)
    if bits not in (8, 16, 24, 32):
        raise UnusableAudio(f"the sound has {bits} bits; 8, 16, 24 and 32 can be read")
    if channels not in (1, 2):
        raise UnusableAudio(f"the sound has {channels} channels; mono and stereo can be read")
    if rate not in RATES:
        raise UnusableAudio(
            f"the sound has {rate} samples a second; {RATES[0]} to {RATES[-1]} can be read"
        )
    if width != stored.width:
        raise UnusableAudio(f"the header says {width} bytes for a sample of {stored.width}")
    return stored


def _sound(stored: Format | None, start: int, length: int, size: int) -> Sound:
    if stored is None:
        raise UnusableAudio("the WAV file does not say how its sound is stored")
    if start + length > size:
        raise UnusableAudio(
            f"the header says {length} bytes of sound, and {size - start} are there"
        )
    if length < stored.width:
        raise UnusableAudio("the WAV file has no sound in it")
    return Sound(stored, start, length // stored.width)


def _decode(data: bytes, bits: int) -> Samples:
    """The samples, from -1 to 1."""
    if bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - _MIDDLE) / _MIDDLE
    if bits == 16:
        return np.frombuffer(data, "<i2").astype(np.float32) / _FULL_16
    if bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data = wide.tobytes()
    return np.frombuffer(data, "<i4").astype(np.float32) / _FULL_32
