from __future__ import annotations

import pytest
from captions.speech import Heard, Segment
from captions.webvtt import render


def test_each_segment_is_a_cue() -> None:
    text = render(Heard(9.0, (Segment(0.5, 2.25), Segment(3.0004, 4.0005))))
    assert text == (
        "WEBVTT\n\n"
        "1\n00:00:00.500 --> 00:00:02.250\n[speech]\n\n"
        "2\n00:00:03.000 --> 00:00:04.000\n[speech]\n"
    )


def test_without_any_it_says_so() -> None:
    assert render(Heard(9.0, ())) == "WEBVTT\n\nNOTE no speech was found\n"


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [(59.9996, "00:01:00.000"), (3599.9996, "01:00:00.000"), (360_000.5, "100:00:00.500")],
)
def test_times_carry_over(seconds: float, spelled: str) -> None:
    assert f"{spelled} --> " in render(Heard(1e6, (Segment(seconds, seconds + 1),)))


def test_a_cue_ends_after_it_begins() -> None:
    assert "00:00:01.000 --> 00:00:01.001" in render(Heard(2.0, (Segment(1.0, 1.0001),)))
