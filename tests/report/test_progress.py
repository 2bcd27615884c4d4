"""The progress line: on stderr, and only on a terminal."""

from __future__ import annotations

import os
import sys
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from common.temp.report import progress
from common.temp.report.progress import ProgressLine


@contextmanager
def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bytes]]:
    """A real terminal as stderr; called, it gives back what was written to it since."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)

    def read() -> bytes:
        # What was written comes through a moment later, but in its order.
        os.write(theirs, b"\0")
        seen = b""
        while not seen.endswith(b"\0"):
            seen += os.read(ours, 65536)
        return seen[:-1]

    with open(theirs, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.delenv("CI", raising=False)
        patch.setattr(sys, "stderr", stream)
        yield read
    os.close(ours)


def test_a_terminal_gets_one_line_that_is_rewritten_and_then_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_SECONDS", 0)
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0)
    with a_terminal(monkeypatch) as written:
        line = ProgressLine("cleaning:")
        line(1, 1024)
        line(2, 2048)
        assert written() == (
            b"\rcleaning: 1 entry, 1.0 KiB\x1b[K\rcleaning: 2 entries, 2.0 KiB\x1b[K"
        )
        line.clear()
        assert written() == b"\r\x1b[K"
        line.clear()
        assert written() == b""


def test_short_work_shows_nothing_and_longer_work_does(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_terminal(monkeypatch) as written:
        line = ProgressLine("scanning:")
        line(1, 1)
        line.clear()
        assert written() == b""
        patience = time.monotonic() + 30
        while not (shown := written()) and time.monotonic() < patience:
            line(2, 2048)
        assert shown == b"\rscanning: 2 entries, 2.0 KiB\x1b[K"


def test_a_line_is_not_rewritten_for_every_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_SECONDS", 0)
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 3600)
    with a_terminal(monkeypatch) as written:
        line = ProgressLine("scanning:")
        for entries in range(1000):
            line(entries, 0)
        assert written().count(b"\r") == 1


def test_a_line_says_how_far_it_is_and_for_how_long_it_will_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_SECONDS", 0)
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0)
    monkeypatch.setattr(progress, "_GUESS_AFTER_SECONDS", 0)
    with a_terminal(monkeypatch) as written:
        line = ProgressLine("cleaning:")
        line._started -= 30  # as if that had been half a minute ago
        line(2, 2048, of=8, files=20, share=0.25)
        assert written() == b"\rcleaning: 2 of 8 entries, 20 files, 2.0 KiB, 90 s left\x1b[K"
        line(8, 2048, of=8, files=20, share=1.0)
        assert written() == b"\rcleaning: 8 of 8 entries, 20 files, 2.0 KiB\x1b[K"


def test_a_line_may_count_files_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_SECONDS", 0)
    with a_terminal(monkeypatch) as written:
        ProgressLine("reading:", ("file", "files"))(64, 2048, of=500)
        assert written() == b"\rreading: 64 of 500 files, 2.0 KiB\x1b[K"


def test_a_line_does_not_guess_before_it_has_seen_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_SECONDS", 0)
    with a_terminal(monkeypatch) as written:
        ProgressLine("cleaning:")(1, 1024, of=2, share=0.5)
        assert written() == b"\rcleaning: 1 of 2 entries, 1.0 KiB\x1b[K"


def test_ci_is_no_person(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_terminal(monkeypatch) as written:
        monkeypatch.setenv("CI", "true")
        _is_silent(monkeypatch)
        assert written() == b""


def test_a_file_is_no_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _is_silent(monkeypatch)
    assert capfd.readouterr() == ("", "")


def test_without_a_standard_error_there_is_no_progress(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere: TextIO | None = None
    monkeypatch.setattr(sys, "stderr", nowhere)
    _is_silent(monkeypatch)
    assert capfd.readouterr() == ("", "")


def _is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_AFTER_SECONDS", 0)
    line = ProgressLine("scanning:")
    line(1, 1)
    line.clear()
