"""Captions as WebVTT (https://www.w3.org/TR/webvtt1/)."""

from __future__ import annotations

from .speech import Heard


def render(heard: Heard) -> str:
    """The text of a WebVTT file with a cue for each segment."""
    lines = ["WEBVTT", ""]
    if not heard.segments:
        lines += ["NOTE no speech was found", ""]
    for number, segment in enumerate(heard.segments, 1):
        start, end = _milliseconds(segment.start), _milliseconds(segment.end)
        # A cue must end after it begins.
        lines += [str(number), f"{_time(start)} --> {_time(max(end, start + 1))}", "[speech]", ""]
    return "\n".join(lines)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _time(milliseconds: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"
