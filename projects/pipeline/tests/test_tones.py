from __future__ import annotations

import itertools
import wave
from array import array
from pathlib import Path

import pytest
from pipeline.script import Line, narration, shipped_text
from pipeline.tones import RATE, Cue, pitch, write_tones


def samples(path: Path) -> array[int]:
    with wave.open(str(path)) as track:
        assert (track.getnchannels(), track.getsampwidth(), track.getframerate()) == (1, 2, RATE)
        return array("h", track.readframes(track.getnframes()))


def written(tmp_path: Path, *texts: str) -> tuple[list[Cue], array[int]]:
    lines = [Line(number, "", text) for number, text in enumerate(texts, 1)]
    cues = write_tones(lines, tmp_path / "tones.wav")
    return cues, samples(tmp_path / "tones.wav")


def test_a_line_lasts_as_long_as_its_letters_and_a_pause_follows_it(tmp_path: Path) -> None:
    cues, heard = written(tmp_path, "abcd ef", "abcdefghij")
    times = [time for cue in cues for time in (cue.start, cue.end)]
    assert times == pytest.approx([0, 0.18, 0.43, 0.73])
    assert len(heard) == round(0.98 * RATE)


def test_the_track_is_silent_between_the_lines_and_nowhere_else(tmp_path: Path) -> None:
    cues, heard = written(tmp_path, "abcdef", "abcdef")
    first, second = cues
    between = heard[round(first.end * RATE) : round(second.start * RATE)]
    assert set(between) == {0}
    assert max(heard[: len(heard) // 3]) > 8_000


@pytest.mark.parametrize("letters", [1, 4, 9, 16])
def test_a_tone_has_the_pitch_of_its_word(tmp_path: Path, letters: int) -> None:
    cues, heard = written(tmp_path, *["x" * letters] * 3)
    tone = heard[: round(cues[0].end * RATE)]
    rising = sum(before < 0 <= after for before, after in itertools.pairwise(tone))
    assert rising / cues[0].end == pytest.approx(pitch(letters), abs=1.5 / cues[0].end)


def test_longer_words_are_higher_up_to_a_limit() -> None:
    pitches = [pitch(letters) for letters in range(1, 17)]
    assert pitches == sorted(set(pitches))
    assert pitch(6) == 2 * pitch(1)
    assert pitch(200) == pitch(16) < RATE / 2


def test_no_tone_begins_or_ends_with_a_click_or_clips(tmp_path: Path) -> None:
    letters = range(1, 20)
    _, heard = written(tmp_path, " ".join("x" * count for count in letters))
    at = 0
    for count in letters:
        tone = heard[at : at + round(count * 0.03 * RATE)]
        assert tone[0] == 0
        assert abs(tone[-1]) < 500
        assert 8_000 < max(map(abs, tone)) < 14_000
        at += len(tone)


def test_the_shipped_text_has_a_cue_for_each_line_in_their_order(tmp_path: Path) -> None:
    with shipped_text() as text:
        lines = [*narration(text)]
    cues = write_tones(lines, tmp_path / "tones.wav")
    assert len(cues) == len(lines)
    times = [time for cue in cues for time in (cue.start, cue.end)]
    assert times == sorted(times)
    assert len(samples(tmp_path / "tones.wav")) / RATE == pytest.approx(times[-1] + 0.25)
