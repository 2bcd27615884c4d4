"""`temp-schedule`: which scheduler is chosen, what is refused, what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import listing, tempkeep

Printed = pytest.CaptureFixture[str]
EVERY = ("temp-schedule", "--every", "1d", "--strategy", "moderate")


@pytest.mark.parametrize("kind", ["systemd", "cron", "launchd", "windows"])
def test_by_default_it_is_shown_and_nothing_is_written(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed, kind: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = listing(tmp_path)
    assert tempkeep(*EVERY, "--as", kind) == 0
    out, err = capsys.readouterr()
    assert "temp-clean" in out
    assert str(project) in out
    assert err == "nothing was written; use --install to install it\n"
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--every: say how often to clean, for example 15m, 6h, 1d or 7d"),
        (
            ("--every", "soon"),
            "--every: expected 15m, 6h, 1d or similar, 365d at most, got 'soon'",
        ),
        (("--every", "1d", "--strategy", "x"), "--strategy: expected one of aggressive, "),
        (
            ("--every", "1d", "--as", "at"),
            "--as: expected one of systemd, cron, launchd, windows, ",
        ),
        (("--install", "--remove"), "--install, --remove and --print exclude each other; "),
        (
            ("--every", "1d"),
            "{project}: no limit is configured, so a scheduled clean would remove ",
        ),
        (("--every", "7h", "--as", "cron", "--strategy", "moderate"), "--every: cron cannot run "),
    ],
)
def test_what_cannot_be_scheduled_is_refused_in_one_line(
    project: Path, capsys: Printed, arguments: tuple[str, ...], said: str
) -> None:
    assert tempkeep("temp-schedule", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {said.format(project=project)}")
    assert err.count("\n") == 1


def test_a_limit_of_this_environment_alone_is_none_for_a_schedule(
    project: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPKEEP_MAX_AGE_HOURS", "1")
    assert tempkeep("temp-schedule", "--every", "1d", "--as", "cron") == 2
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_hours = 1\n")
    assert tempkeep("temp-schedule", "--every", "1d", "--as", "cron") == 0
    assert "--strategy" not in capsys.readouterr().out


@pytest.mark.parametrize("strategy", [(), ("--strategy", "moderate")])
def test_settings_that_each_run_would_end_with_are_refused_now(
    project: Path, capsys: Printed, strategy: tuple[str, ...]
) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_huors = 1\n")
    assert tempkeep("temp-schedule", "--every", "1d", "--as", "cron", *strategy) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "max_age_huors is not a key" in err


def test_a_configured_dry_run_is_said_to_be_one(project: Path, capsys: Printed) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\ndry_run = true\n")
    assert tempkeep(*EVERY, "--as", "cron") == 0
    said = "dry_run is configured, so each run only says what it would do; "
    assert said in capsys.readouterr().err


def test_a_machine_without_any_scheduler_is_told(
    project: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tempkeep(*EVERY) == 2
    assert "found neither systemd for this user nor crontab" in capsys.readouterr().err
    assert tempkeep(*EVERY, "--as", "cron", "--install") == 2
    assert "--as cron: there is no crontab; choose another" in capsys.readouterr().err
    assert tempkeep("temp-schedule", "--remove") == 0
    assert capsys.readouterr().out == "project: nothing is scheduled\n"
