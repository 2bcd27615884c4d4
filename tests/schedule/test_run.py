"""A scheduled clean: one line per run, never two at a time, and never without a limit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.temp.schedule.log import MOST_BYTES
from tests.store.children import state_of, until
from tests.support import (
    Process,
    environment,
    ext4,
    fill,
    listing,
    make_entry,
    make_project,
    mounted,
    process,
    run,
    tempkeep,
)

CLEAN = ("temp-clean", "--yes", "--scheduled", "--strategy", "moderate")
HOLDER = """
import pathlib, sys
from common.temp.schedule.log import turn
with turn(pathlib.Path(".tmp").absolute(), "") as own:
    print(own.is_mine, flush=True)
    sys.stdin.read()
"""


def log(project: Path) -> list[str]:
    return (project / ".tmp" / ".tempkeep" / "schedule.log").read_text().splitlines()


@contextmanager
def another(project: Path) -> Iterator[Process]:
    """A process whose turn it is at the root of `project`."""
    with process(HOLDER, cwd=project) as holder:
        assert holder.first_line == "True"
        yield holder


def test_each_run_says_and_logs_one_line(
    project: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = make_entry(root, "debug/old_1696348800", age_hours=999)
    kept = make_entry(root, "debug/new_1696348800")
    for cleaned in ("cleaned 1 entry, freed 8.0 KiB", "cleaned 0 entries, freed 0 B"):
        assert tempkeep(*CLEAN) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert re.fullmatch(
            rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ exit 0: project: {cleaned}; "
            r"kept 1 entry: 1 within limits\n",
            out,
        )
        assert log(project)[-1] + "\n" == out
    assert len(log(project)) == 2
    assert (gone.exists(), kept.exists()) == (False, True)


def test_one_whose_output_nobody_reads_is_logged(project: Path, root: Path) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-u", "-m", "common.temp", *CLEAN]
    done = subprocess.run(command, cwd=project, env=environment(), stdout=writing, check=False)
    os.close(writing)
    assert done.returncode == 141
    assert " exit 0: project: cleaned 1 entry" in log(project)[-1]
    assert not path.exists()


def test_one_that_is_interrupted_is_logged(project: Path, root: Path) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    table = '[tool.tempkeep]\narchive = true\narchive_format = "tar.gz"\n'
    (project / "pyproject.toml").write_text(table)
    slow = project / "bin" / "tar"  # which it waits for
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    command = [sys.executable, "-m", "common.temp", *CLEAN]
    path_of = f"{slow.parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(command, cwd=project, env=environment(PATH=path_of)) as running:
        until((root / ".tempkeep" / "schedule.log").exists, "its turn")
        until(lambda: state_of(running.pid) == "S", "waiting")
        running.send_signal(signal.SIGINT)
    assert running.returncode == 130
    assert " exit 130: interrupted" in log(project)[-1]
    assert path.exists()


def test_while_another_is_at_work_it_leaves_and_says_so(
    project: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    with another(project):
        assert tempkeep(*CLEAN) == 0
    assert "exit 0: another scheduled clean is active, so this one exits" in log(project)[-1]
    assert capsys.readouterr().out.rstrip("\n") == log(project)[-1]
    assert path.exists()


def test_the_turn_of_a_killed_one_is_over(project: Path, root: Path) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    with another(project) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert tempkeep(*CLEAN) == 0
    assert not path.exists()


def test_a_clean_by_hand_does_not_wait_for_a_scheduled_one(project: Path, root: Path) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    with another(project):
        assert tempkeep("temp-clean", "--yes") == 0
    assert not path.exists()


def test_without_any_limit_it_takes_nothing(
    project: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 2
    assert path.exists()
    assert " exit 2: error: " in log(project)[-1]
    assert (
        "no limit is configured, so a scheduled clean would remove everything" in log(project)[-1]
    )
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "limit", ["max_age_hours = 1", 'strategy = "moderate"', 'high_water = "0%"']
)
def test_a_configured_limit_is_enough(project: Path, root: Path, limit: str) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{limit}\n")
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 0
    assert not path.exists()


def test_a_configured_dry_run_is_one_here_as_well(
    project: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    (project / "pyproject.toml").write_text("[tool.tempkeep]\ndry_run = true\n")
    assert tempkeep(*CLEAN) == 0
    assert " exit 0: project: would delete 1 entry and free 8.0 KiB" in log(project)[-1]
    said = "dry_run is configured, so nothing is cleaned; remove that setting to clean\n"
    assert capsys.readouterr().err == said
    assert path.exists()


def test_where_its_project_is_gone_it_does_not_clean_the_one_around_it(
    project: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    (project / "inner").mkdir()
    monkeypatch.chdir(project / "inner")
    assert tempkeep(*CLEAN) == 3
    assert (
        "a scheduled clean ignores projects above it; remove its schedule"
        in capsys.readouterr().err
    )
    assert path.exists()


def test_a_project_without_scratch_stays_without(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listing(project)
    assert tempkeep(*CLEAN) == 0
    assert capsys.readouterr().out.endswith(" exit 0: project: nothing to clean\n")
    assert listing(project) == before


@pytest.mark.parametrize(
    "more", [["--dry-run"], ["--everything"], ["--ask"], ["--all-projects"], ["--format", "json"]]
)
def test_it_takes_no_other_flags(project: Path, root: Path, more: list[str]) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    assert tempkeep(*CLEAN, *more) == 2
    assert path.exists()


def test_the_log_is_put_aside_when_it_is_long_and_what_was_put_aside_goes(
    project: Path, root: Path
) -> None:
    make_entry(root, "debug/new_1696348800")
    assert tempkeep(*CLEAN) == 0
    path = root / ".tempkeep" / "schedule.log"
    aside = root / ".tempkeep" / "schedule.log.1"
    for letter in "ab":
        path.write_text(f"{letter}\n" * (MOST_BYTES // 2))
        assert tempkeep(*CLEAN) == 0
        assert not path.exists()
        assert aside.read_text().startswith(f"{letter}\n{letter}\n")
        assert " exit 0: " in aside.read_text().splitlines()[-1]
    assert tempkeep(*CLEAN) == 0
    assert len(log(project)) == 1
    assert sum(one.stat().st_size for one in (path, aside)) < 2 * MOST_BYTES


@pytest.mark.parametrize("planted", ["link", "second name", "fifo"])
def test_a_planted_log_is_not_written_to_and_the_clean_is_done(
    project: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], planted: str
) -> None:
    path = make_entry(root, "debug/old_1696348800", age_hours=999)
    store = root / ".tempkeep"
    store.mkdir()
    (tmp_path / "victim").write_text("whole")
    if planted == "link":
        (store / "schedule.log").symlink_to(tmp_path / "victim")
    elif planted == "second name":
        (store / "schedule.log").hardlink_to(tmp_path / "victim")
    else:
        os.mkfifo(store / "schedule.log")
    assert tempkeep(*CLEAN) == 0
    out, err = capsys.readouterr()
    assert err.startswith("problem: no log: ")
    assert " exit 0: project: cleaned 1 entry" in out
    assert not path.exists()
    assert (tmp_path / "victim").read_text() == "whole"


@pytest.mark.parametrize("filesystem", ["tmpfs", "ext4"])
def test_on_a_full_disk_it_cleans_with_a_log_or_without(tmp_path: Path, filesystem: str) -> None:
    small = mounted(tmp_path / "disk", "size=2m")
    with small if filesystem == "tmpfs" else ext4(tmp_path) as disk:
        project = make_project(disk / "project")
        path = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=999)
        fill(disk)
        done = run([sys.executable, "-m", "common.temp", *CLEAN], cwd=project)
        assert done.returncode == 0
        assert " exit 0: project: cleaned 1 entry" in done.stdout
        assert not path.exists()


def test_what_failed_is_told_on_stderr_and_by_the_exit_code(
    project: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root.write_text("no directory")
    assert tempkeep(*CLEAN) == 1
    out, err = capsys.readouterr()
    assert " exit 1: project: could not be cleaned" in out
    assert "is not a directory; move it away" in err


def test_water_marks_hold_beside_a_strategy_that_is_given(tmp_path: Path) -> None:
    settings = '[tool.tempkeep]\nhigh_water = "50%"\nmax_age_hours = 1\n'
    with mounted(tmp_path / "disk", "size=4m") as disk:
        project = make_project(disk / "project", settings)
        path = make_entry(project / ".tmp", "debug/day_1696348800", age_hours=24)
        command = [sys.executable, "-m", "common.temp", *CLEAN]
        assert "cleaned 0 entries" in run(command, cwd=project).stdout
        assert path.exists(), "max_age_hours does not hold beside it"
        (disk / "filler").write_bytes(b"x" * (3 << 20))
        done = run(command, cwd=project)
        assert "cleaned 1 entry" in done.stdout
        assert "low space: " in done.stdout
        assert not path.exists()
        assert done.stdout.count("\n") == 1
