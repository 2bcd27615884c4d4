from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from captions.errors import UnusableAudio
from captions.wav import Format, Samples, blocks, find_sound

from tests.each import each

GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def chunk(name: bytes, data: bytes, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return name + struct.pack("<I", size) + data + b"\0" * (len(data) % 2)


def fmt(
    kind: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, width: int | None = None
) -> bytes:
    width = channels * bits // 8 if width is None else width
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * width % 2**32, width, bits)
    )


def extensible(channels: int, rate: int, bits: int, guid: bytes = GUID) -> bytes:
    width = channels * bits // 8
    head = struct.pack("<HHIIHH", 0xFFFE, channels, rate, rate * width, width, bits)
    return chunk(b"fmt ", head + struct.pack("<HHI", 22, bits, 3) + guid)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def encoded(samples: Samples, bits: int) -> bytes:
    """The samples, from -1 to 1, as they are stored."""
    if bits == 8:
        small: bytes = (np.round(samples * 127) + 128).astype(np.uint8).tobytes()
        return small
    whole = np.round(samples.astype(np.float64) * (2 ** (bits - 1) - 1)).astype("<i4")
    data: bytes = whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    return data


def heard(data: bytes, at_once: int = 1000) -> Samples:
    file = io.BytesIO(data)
    return np.concatenate(list(blocks(file, find_sound(file), at_once)))


WAVE = np.sin(np.arange(2500) / 7).astype(np.float32)


@each("bits", [8, 16, 24, 32])
@each("rate", [1000, 8000, 44_100, 768_000])
@each("header", [fmt, extensible])
def test_what_is_heard_is_what_was_stored(
    bits: int, rate: int, header: Callable[..., bytes]
) -> None:
    data = riff(header(channels=1, rate=rate, bits=bits), chunk(b"data", encoded(WAVE, bits)))
    assert np.abs(heard(data) - WAVE).max() < (0.02 if bits == 8 else 0.0001)
    assert find_sound(io.BytesIO(data)).format == Format(rate, 1, bits)


@each("bits", [8, 16, 24, 32])
def test_of_stereo_the_mean_is_heard(bits: int) -> None:
    both = np.column_stack([WAVE, np.zeros_like(WAVE)]).reshape(-1)
    data = riff(fmt(channels=2, bits=bits), chunk(b"data", encoded(both, bits)))
    assert np.abs(heard(data) - WAVE / 2).max() < 0.01


def test_other_chunks_are_passed_over_whatever_they_hold() -> None:
    sound = chunk(b"data", encoded(WAVE, 16))
    odd = (chunk(b"LIST", b"odd"), chunk(b"junk", b""), chunk(b"data"[::-1], b"x" * 99))
    data = riff(odd[0], fmt(), *odd[1:], sound, chunk(b"LIST", b"after"))
    assert len(heard(data)) == len(WAVE)


def test_a_last_sample_that_is_cut_is_left_out() -> None:
    data = riff(fmt(), chunk(b"data", encoded(WAVE, 16) + b"x"))
    assert len(heard(data)) == len(WAVE)


SOUND = chunk(b"data", b"\0" * 100)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no WAV file"),
    "text": (b"hello, world, this is a text", "no WAV file"),
    "an AVI": (b"RIFF\x10\0\0\0AVI " + b"\0" * 40, "no WAV file"),
    "big-endian": (b"RIFX" + riff(fmt(), SOUND)[4:], "no WAV file"),
    "cut in the name": (b"RI", "no WAV file"),
    "cut after the name": (b"RIFF", "ends before its sound"),
    "cut after the head": (riff(), "ends before its sound"),
    "cut in the format": (riff(fmt())[:30], "ends before its sound"),
    "cut after the format": (riff(fmt()), "ends before its sound"),
    "no format": (riff(SOUND), "how its sound is stored"),
    "the format too late": (riff(SOUND, fmt()), "how its sound is stored"),
    "a short format": (riff(chunk(b"fmt ", b"\1\0"), SOUND), "ends before its sound"),
    "a chunk of 4 GiB": (riff(chunk(b"junk", b"", 2**32 - 1), SOUND), "ends before its sound"),
    "a sound of 4 GiB": (riff(fmt(), chunk(b"data", b"x", 2**32 - 1)), "says 4294967295 bytes"),
    "a sound that is cut": (riff(fmt(), chunk(b"data", b"x" * 8, 10)), "says 10 bytes of sound"),
    "no sound": (riff(fmt(), chunk(b"data", b"")), "no sound in it"),
    "half a sample": (riff(fmt(), chunk(b"data", b"x")), "no sound in it"),
    "a thousand chunks": (riff(*[chunk(b"junk", b"")] * 1001), "more than 1000 chunks"),
    "float": (riff(fmt(3, bits=32), SOUND), "compressed (format 0x0003)"),
    "MP3": (riff(fmt(0x55), SOUND), "compressed (format 0x0055)"),
    "extensible float": (riff(extensible(1, 8000, 32, b"\3" + GUID[1:]), SOUND), "compressed"),
    "extensible and short": (riff(fmt(0xFFFE), SOUND), "compressed (format 0xfffe)"),
    "no bits": (riff(fmt(bits=0), SOUND), "has 0 bits"),
    "12 bits": (riff(fmt(bits=12), SOUND), "has 12 bits"),
    "64 bits": (riff(fmt(bits=64), SOUND), "has 64 bits"),
    "no channels": (riff(fmt(channels=0), SOUND), "has 0 channels"),
    "65,535 channels": (riff(fmt(channels=65_535, width=2), SOUND), "has 65535 channels"),
    "no rate": (riff(fmt(rate=0), SOUND), "has 0 samples a second"),
    "a rate of 4 GHz": (riff(fmt(rate=2**32 - 1), SOUND), "has 4294967295 samples a second"),
    "samples of no bytes": (riff(fmt(width=0), SOUND), "says 0 bytes for a sample of 2"),
    "samples of 65,535 bytes": (riff(fmt(width=65_535), SOUND), "says 65535 bytes"),
}


@each("what", HOSTILE)
def test_what_cannot_be_read_is_refused_in_one_line(what: str) -> None:
    data, said = HOSTILE[what]
    with pytest.raises(UnusableAudio) as refused:
        heard(data)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_beginning_of_a_file_is_read_or_refused() -> None:
    whole = riff(chunk(b"LIST", b"odd"), extensible(2, 44_100, 24), chunk(b"data", b"x" * 60))
    for length in range(len(whole)):
        with pytest.raises(UnusableAudio):
            heard(whole[:length])
    assert len(heard(whole)) == 10


def test_a_file_that_is_cut_while_it_is_read_is_refused() -> None:
    file = io.BytesIO(riff(fmt(), chunk(b"data", encoded(WAVE, 16))))
    sound = find_sound(file)
    reading = blocks(file, sound, 1000)
    next(reading)
    file.truncate(3000)
    with pytest.raises(UnusableAudio, match="in the midst of its sound"):
        list(reading)
