from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from captions.sounds import encode, speech, tone
from captions.speech import Segment, find_speech
from captions.wav import Samples

RATE = 16_000
RANDOM = np.random.default_rng(0)


def silence(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)


def noise(seconds: float, level: float = 0.3, rate: int = RATE) -> Samples:
    return (level * RANDOM.uniform(-1, 1, round(seconds * rate))).astype(np.float32)


def heard(path: Path, *parts: Samples, rate: int = RATE) -> list[tuple[float, float]]:
    """When somebody speaks, in tenths of a second."""
    path.write_bytes(encode(np.concatenate(parts), rate))
    return [(round(one.start, 1), round(one.end, 1)) for one in find_speech(path).segments]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sound.wav"


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 48_000, 192_000])
def test_a_voice_is_heard_from_when_it_begins_to_when_it_ends(path: Path, rate: int) -> None:
    parts = (silence(0.5, rate), tone(0.8, rate), silence(1, rate), tone(0.4, rate))
    found = heard(path, *parts, silence(0.3, rate), rate=rate)
    assert found == [(0.5, 1.3), (2.3, 2.7)]


def test_a_voice_is_heard_in_a_noisy_room(path: Path) -> None:
    room = noise(3, 0.01)
    room[RATE : 2 * RATE] += tone(1, RATE)
    assert heard(path, room) == [(1.0, 2.0)]


def test_nothing_is_heard_in_silence_and_in_noise(path: Path) -> None:
    assert heard(path, silence(2)) == []
    assert heard(path, noise(2)) == []


def test_noise_that_comes_and_goes_is_no_voice(path: Path) -> None:
    assert heard(path, silence(0.5), noise(0.5), silence(0.5), noise(0.5)) == []


def test_a_click_is_no_voice(path: Path) -> None:
    clicks = silence(2)
    clicks[RATE] = 1
    assert heard(path, clicks) == []


def test_a_hiss_on_either_side_belongs_to_the_voice(path: Path) -> None:
    """As in "speech" and in "fish"; alone, it would be too quiet."""
    hiss = noise(0.2, 0.0012)
    room = noise(0.6, 0.0004)
    assert heard(path, room, hiss, tone(0.5, RATE), hiss, room) == [(0.6, 1.5)]
    assert heard(path, room, room[: RATE // 5], tone(0.5, RATE), room) == [(0.8, 1.3)]
    assert heard(path, room, hiss, room) == []


def test_a_short_pause_is_a_part_of_speech_and_a_long_one_is_not(path: Path) -> None:
    word = tone(0.3, RATE)
    assert heard(path, silence(0.5), word, silence(0.2), word) == [(0.5, 1.3)]
    assert len(heard(path, silence(0.5), word, silence(0.5), word)) == 2


def test_a_direct_current_does_not_hide_the_voice(path: Path) -> None:
    parts = [part * 0.5 + 0.4 for part in (silence(0.5), tone(0.5, RATE), silence(0.5))]
    assert heard(path, *parts) == [(0.5, 1.0)]


@pytest.mark.parametrize("samples", [1, 2, 319, 320, 321])
def test_the_shortest_of_sounds_can_be_read(path: Path, samples: int) -> None:
    path.write_bytes(encode(tone(1, RATE)[:samples], RATE))
    found = find_speech(path)
    assert (found.segments, found.seconds) == ((), samples / RATE)


def test_a_segment_ends_with_the_recording(path: Path) -> None:
    path.write_bytes(encode(np.concatenate([silence(0.5), tone(0.5123, RATE)]), RATE))
    found = find_speech(path)
    assert found.segments == (Segment(0.5, found.seconds),)


def test_three_spoken_sentences_are_three(path: Path) -> None:
    sound, who = speech(["Every byte is owned.", "None is lost.", "Goodbye."])
    path.write_bytes(sound)
    assert len(find_speech(path).segments) == 3, who


def test_the_memory_is_bounded_whatever_the_length(path: Path) -> None:
    def most(seconds: int) -> int:
        path.write_bytes(encode(np.tile(noise(1, 0.1), seconds), RATE))
        tracemalloc.start()
        find_speech(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(600) < 1.3 * most(120)
