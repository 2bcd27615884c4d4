"""The logic of the commands themselves: prompts, interrupts, and going on after failures."""

from __future__ import annotations

import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.commands.clean import clean
from common.temp.commands.clean_arguments import CleanArguments
from common.temp.core.plan import Outcome, Plan, Report
from common.temp.errors import Refused
from common.temp.report.clean import outcome_line
from common.temp.store.sweep import sweep
from tests.support import listing, make_entry, tempkeep

Printed = pytest.CaptureFixture[str]


class Terminal:
    """A real terminal at which a person sits; stdout stays with pytest."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.ours, theirs = pty.openpty()
        self.stdin = os.fdopen(theirs, encoding="utf-8")
        self.stderr = os.fdopen(os.dup(theirs), "w", encoding="utf-8")

    def type(self, typed: bytes) -> None:
        """Sit down and type ahead, before there is a question.

        In the test itself: pytest gives each phase of a test new streams.
        """
        self.monkeypatch.setattr(sys, "stdin", self.stdin)
        self.monkeypatch.setattr(sys, "stderr", self.stderr)
        os.write(self.ours, typed)

    def shows(self) -> str:
        """What has been printed on it, and the echo of what was typed."""
        self.stderr.write("<end>")
        self.stderr.flush()
        shown = b""
        while not shown.endswith(b"<end>"):
            shown += os.read(self.ours, 4096)
        return shown.decode().removesuffix("<end>").replace("\r\n", "\n")

    def close(self) -> None:
        self.stdin.close()
        self.stderr.close()
        os.close(self.ours)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    found = Terminal(monkeypatch)
    yield found
    monkeypatch.undo()
    found.close()


# -- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["y", "Y", "yes", " YES "])
def test_a_yes_in_any_spelling_cleans(project: Path, terminal: Terminal, answer: str) -> None:
    path = make_entry(project / ".tmp", "debug/a_1696348800")
    terminal.type(f"{answer}\n".encode())

    assert clean(CleanArguments()) == 0

    assert not path.exists()
    assert "Delete 1 entry, 8.0 KiB? [y/N] " in terminal.shows()


@pytest.mark.parametrize("answer", ["n", "", "yess", "ja"])
def test_anything_else_is_a_no(project: Path, terminal: Terminal, answer: str) -> None:
    path = make_entry(project / ".tmp", "debug/a_1696348800")
    terminal.type(f"{answer}\n".encode())

    with pytest.raises(Refused, match=r"^nothing was cleaned$"):
        clean(CleanArguments())

    assert path.is_dir()


def test_the_end_of_the_input_is_a_no_and_ends_the_line(project: Path, terminal: Terminal) -> None:
    path = make_entry(project / ".tmp", "debug/a_1696348800")
    terminal.type(b"\x04")

    with pytest.raises(Refused):
        clean(CleanArguments())

    assert path.is_dir()
    assert terminal.shows().endswith("? [y/N] \n")


def test_the_question_counts_what_all_projects_lose(project: Path, terminal: Terminal) -> None:
    inner = project / "projects" / "inner"
    make_entry(inner / ".tmp", "debug/a_1696348800")
    (inner / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_hours = 1\n")
    make_entry(project / ".tmp", "debug/a_1696348800")
    make_entry(project / ".tmp", "debug/b_1696348800", files=4)
    terminal.type(b"n\n")

    with pytest.raises(Refused):
        clean(CleanArguments(all_projects=True))

    assert "Delete 2 entries, 28.0 KiB? [y/N] " in terminal.shows()  # `inner` has a limit


def test_archiving_everything_is_asked_for_by_its_name(project: Path, terminal: Terminal) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\narchive = true\n")
    make_entry(project / ".tmp", "debug/a_1696348800")
    terminal.type(b"n\n")

    with pytest.raises(Refused):
        clean(CleanArguments())

    assert "Archive 1 entry, 8.0 KiB? [y/N] " in terminal.shows()


def test_without_a_terminal_for_the_question_nobody_is_asked(
    project: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(project / ".tmp", "debug/a_1696348800")
    terminal.type(b"n\n")
    monkeypatch.setattr(sys, "stderr", sys.stdout)

    assert clean(CleanArguments()) == 0

    assert not path.exists()


# -- interrupting ---------------------------------------------------------------------------------


def test_an_interrupted_clean_says_what_was_done(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    for number in range(3):
        make_entry(project / ".tmp", f"debug/a_169634880{number}", age_hours=9 - number)

    def interrupted(outcome: Outcome) -> str:
        if outcome.step.entry.path.endswith("1"):
            signal.raise_signal(signal.SIGINT)
        return outcome_line(outcome)

    monkeypatch.setattr("common.temp.commands.carrying.outcome_line", interrupted)
    monkeypatch.setenv("TEMPKEEP_WORKERS", "1")  # so that they go one after the other

    assert tempkeep("temp-clean", "--yes") == 130

    assert capsys.readouterr().err == (
        "interrupted: 2 of 3 entries dealt with, 16.0 KiB freed; "
        "the next temp-clean finishes what was begun\n"
    )
    assert (project / ".tmp" / "debug" / "a_1696348802").is_dir()


# -- going on -------------------------------------------------------------------------------------


def test_a_root_that_turns_bad_before_it_is_cleaned_does_not_stop_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    inner = project / "projects" / "inner"
    make_entry(inner / ".tmp", "debug/a_1696348800")
    make_entry(project / ".tmp", "debug/a_1696348800")
    execute = sweep.execute

    def replaced(plan: Plan, **more: object) -> Report:
        if Path(plan.root) == project / ".tmp":
            (project / ".tmp").rename(project / "aside")
            (project / ".tmp").write_text("")
        return execute(plan, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "execute", replaced)

    assert tempkeep("temp-clean", "--all-projects") == 1

    printed = capsys.readouterr()
    assert "is not a directory; move it away" in printed.err
    assert "projects/inner: cleaned 1 entry" in printed.out
    assert listing(project / "aside") == [
        "debug",
        "debug/a_1696348800",
        "debug/a_1696348800/file0.txt",
    ]


def test_an_entry_that_was_replaced_meanwhile_is_skipped_and_told(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    path = make_entry(project / ".tmp", "debug/a_1696348800")
    execute = sweep.execute

    def replaced(plan: Plan, **more: object) -> Report:
        path.rename(project / "aside")
        make_entry(project / ".tmp", "debug/a_1696348800")
        return execute(plan, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "execute", replaced)

    assert tempkeep("temp-clean") == 0

    assert path.is_dir()
    out = capsys.readouterr().out
    assert "skipped debug/a_1696348800: is no longer the one that was looked at" in out
    assert "; 1 skipped" in out
