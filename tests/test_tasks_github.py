"""In a GitHub workflow: the step summary, and problems as annotations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import DENIED, as_plain_user, inv, make_entry

ACTION = {"GITHUB_ACTIONS": "true"}


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    return path


def test_a_status_adds_its_totals_and_largest_entries(project: Path, summary: Path) -> None:
    make_entry(project / ".tmp", "debug/small|_1696348800")
    make_entry(project / ".tmp", "debug/large_1696348800", files=9)
    done = inv("temp-status", cwd=project, GITHUB_STEP_SUMMARY=str(summary), **ACTION)
    assert done.returncode == 0
    lines = summary.read_text().splitlines()
    assert lines[:4] == [
        "before",
        "### tempkeep: project",
        "",
        "2 entries, 48.0 KiB on disk, 48.0 KiB reclaimable (100 %)",
    ]
    assert lines[5].startswith("| entry ")
    assert lines[7].startswith("| debug/large_1696348800 ")
    assert lines[8].startswith("| debug/small\\|_1696348800 ")


def test_a_clean_adds_what_it_did_and_a_dry_run_what_it_would_do(
    project: Path, summary: Path
) -> None:
    make_entry(project / ".tmp", "debug/old_1696348800", age_hours=30)
    make_entry(project / ".tmp", "debug/new_1696348800")
    for flag in ("--dry-run", "--yes"):
        done = inv(
            *("temp-clean", "--max-age-hours", "24", "--format", "json", flag),
            cwd=project,
            GITHUB_STEP_SUMMARY=str(summary),
            **ACTION,
        )
        assert done.returncode == 0
    text = summary.read_text()
    assert "would clean 1 entry" in text
    assert "cleaned 1 entry, freed 8.0 KiB; kept 1 entry: 1 within limits" in text
    assert text.count("| debug/old_1696348800 ") == 2


def test_a_problem_becomes_an_annotation_in_one_line(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/odd%name_1696348800")
    (path / "closed").mkdir(mode=0)
    done = as_plain_user("temp-status", cwd=project)
    assert done.stderr.startswith("problem: ")
    done = as_plain_user("temp-status", cwd=project, **ACTION)
    assert done.returncode == 1
    assert done.stderr == (
        "::warning title=tempkeep::problem: project: debug/odd%25name_1696348800: "
        f"{DENIED.replace(';', ' in closed;')}\n"
    )


def test_what_failed_or_diverged_becomes_an_annotation(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/a_1696348800")
    inv("temp-clean", "--dry-run", "--plan", "plan.json", cwd=project)
    (path / "file0.txt").write_text("more")
    done = inv("temp-clean", "--apply", "plan.json", cwd=project, **ACTION)
    assert done.returncode == 1
    assert done.stderr == (
        "::warning title=tempkeep::diverged project: debug/a_1696348800: "
        "has changed meanwhile, in file0.txt\n"
    )
    archive = project / "not-a-directory"
    archive.write_text("")
    archives = {"TEMPKEEP_ARCHIVE_LOCATION": str(archive), **ACTION}
    done = inv(
        "temp-clean", "--strategy", "archive", "--max-age-hours", "0", cwd=project, **archives
    )
    assert done.returncode == 1
    assert done.stderr.startswith("::warning title=tempkeep::failed debug/a_1696348800: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_summary_that_cannot_be_written_is_one_line_and_the_clean_goes_on(
    project: Path, tmp_path: Path
) -> None:
    make_entry(project / ".tmp", "debug/x_1696348800")
    done = inv("temp-clean", "--yes", cwd=project, GITHUB_STEP_SUMMARY=str(tmp_path), **ACTION)
    assert done.returncode == 0
    assert (
        done.stderr
        == f"::warning title=tempkeep::problem: cannot add to {tmp_path}: Is a directory\n"
    )
    assert not (project / ".tmp" / "debug" / "x_1696348800").exists()


def test_a_summary_that_is_a_pipe_is_not_waited_for(project: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    make_entry(project / ".tmp", "debug/x_1696348800")
    pipe = str(tmp_path / "pipe")
    done = inv("temp-clean", "--yes", cwd=project, GITHUB_STEP_SUMMARY=pipe, **ACTION)
    assert done.returncode == 0
    assert f"problem: cannot add to {pipe}: no process reads from it" in done.stderr
    assert not (project / ".tmp" / "debug" / "x_1696348800").exists()


def test_elsewhere_nothing_is_added(project: Path, summary: Path) -> None:
    make_entry(project / ".tmp", "debug/x_1696348800")
    inv("temp-status", cwd=project, GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text() == "before\n"
