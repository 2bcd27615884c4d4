"""`on_failure`, `on_success`: who is told how a scheduled clean ended, and whose commands run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from common.temp.commands.clean_arguments import CleanArguments
from common.temp.schedule import notify
from common.temp.schedule import run as scheduled
from common.temp.schedule.job import job_of
from common.temp.store.project.trusted_files import why_not_trusted
from tests.schedule.test_run import CLEAN, another, log
from tests.store.children import state_of, until
from tests.store.repositories import git
from tests.support import (
    check_report,
    environment,
    let_others_reach,
    make_entry,
    make_project,
    run,
    tempkeep,
)
from tests.warm import Started

Printed = pytest.CaptureFixture[str]
USER, OTHER = 41_000, 42_000
TELLS = """max_age = '7d'
on_failure = "sh -c 'cat >failure'"
on_success = ["sh", "-c", "cat >success"]
"""
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv"
)


def settings(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{text}\n")


def told(path: Path) -> dict[str, Any]:
    """The report that a command was told, which is gone then."""
    report: dict[str, Any] = check_report(json.loads(path.read_text()))
    path.unlink()
    return report


# -- what is told ---------------------------------------------------------------------------------


def test_each_hears_of_what_concerns_it_with_the_report(project: Path, root: Path) -> None:
    settings(project, TELLS)
    make_entry(root, "debug/old_1696348800", age_hours=999)
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 0
    report = told(project / "success")
    assert (report["exit_code"], report["project"]) == (0, str(project))
    assert report["line"] == log(project)[-1]
    assert [entry["path"] for entry in report["projects"][0]["entries"]] == ["debug/old_1696348800"]
    shutil.rmtree(root)
    root.write_text("no directory")
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 1
    report = told(project / "failure")
    assert report["exit_code"] == 1
    assert "is not a directory" in report["projects"][0]["problems"][0]["what"]
    assert not (project / "success").exists()


@pytest.mark.parametrize("wrong", ["max_age = 'old'", "max_size = 1", "strategy = 'none'"])
def test_settings_that_are_wrong_otherwise_are_heard_of(
    project: Path, root: Path, wrong: str
) -> None:
    settings(project, f"on_failure = ['sh', '-c', 'cat >failure']\n{wrong}")
    make_entry(root, "debug/old_1696348800")
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 2
    report = told(project / "failure")
    assert (report["exit_code"], report["projects"]) == (2, [])
    assert " exit 2: error: " in report["line"]


def test_a_command_in_the_environment_runs_at_home_and_without_a_shell(
    project: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(project, TELLS)
    root.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEMPKEEP_ON_SUCCESS", "tee '$HOME;a b'")
    assert tempkeep(*CLEAN) == 0
    assert told(tmp_path / "$HOME;a b")["exit_code"] == 0
    assert not (project / "success").exists()


def test_nobody_hears_of_a_clean_by_hand_or_one_that_leaves_the_work_to_another(
    project: Path, root: Path
) -> None:
    settings(project, TELLS)
    root.mkdir()
    assert tempkeep("temp-clean", "--yes") == 0
    with another(project):
        assert tempkeep(*CLEAN) == 0
    assert not (project / "success").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 7", "on_success ended with 7"),
        ("kill -9 $$", "on_success ended with -9"),
        ("sleep 77 & echo $! >pid; wait", "on_success took more than 0 s and was killed"),
        ("", "on_success cannot be run: missing-program: No such file or directory"),
        ("exec <&-; exit 3", "on_success ended with 3"),
    ],
)
def test_a_command_that_fails_is_a_line_in_the_log(
    project: Path,
    root: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    said: str,
) -> None:
    words = ["sh", "-c", f"echo heard; {command}"] if command else ["missing-program"]
    settings(project, f"max_age = '7d'\non_success = {json.dumps(words)}")
    if "sleep" in command:
        monkeypatch.setattr(notify, "MOST_SECONDS", 0.2)
    make_entry(root, "debug/new")
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 0
    assert log(project)[-1].endswith(f"Z {said}")
    assert " exit 0: " in log(project)[-2]
    out, err = capfd.readouterr()
    assert out.count("\n") == 1
    assert err == ("heard\n" if command else "") + f"problem: {said}\n"
    if "sleep" in command:
        child = int((project / "pid").read_text())
        until(lambda: state_of(child) in ("", "Z"), "what it has started is killed, too")


# -- whose commands run ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "mode"), [("pyproject.toml", 0o666), ("pyproject.toml", 0o664), (".", 0o777)]
)
def test_what_others_may_write_to_runs_nothing(
    project: Path, root: Path, capsys: Printed, where: str, mode: int
) -> None:
    settings(project, TELLS)
    make_entry(root, "debug/new")
    before = (project / where).stat().st_mode
    (project / where).chmod(mode)
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 0
    path = os.path.normpath(project / where)
    said = f"on_success is not run: others may write to {path} (chmod go-w)"
    assert log(project)[-1].endswith(said)
    assert f"problem: {said}\n" in capsys.readouterr().err
    if where == ".":
        assert tempkeep("temp-schedule", "--every", "1d", "--as", "cron") == 0
        assert "on_failure will not be run: others may write to" in capsys.readouterr().err
    (project / where).chmod(before)
    assert tempkeep("temp-clean", "--yes", "--scheduled") == 0
    told(project / "success")


def cleans(user: int, project: Path) -> str:
    """What a scheduled clean of `project` by that user says on stderr."""
    words = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]
    command = [*words, sys.executable, "-m", "common.temp", *CLEAN]
    done = run(command, cwd=project, HOME="/nonexistent")
    if not done.stdout:
        pytest.skip(f"another user cannot run this Python: {done.stderr[-200:]}")
    return done.stderr


@as_root
def test_a_user_s_settings_run_nothing_as_another_or_as_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, who = make_project(tmp_path / "project"), tmp_path / "who"
    root = project / ".tmp"
    for directory in (root, who):
        directory.mkdir()
        directory.chmod(0o1777)
    let_others_reach(project)
    settings(project, f"on_success = ['sh', '-c', 'cat >{who}/$(id -u)']")
    for path in (project, root, project / "pyproject.toml"):
        os.chown(path, USER, USER)
    assert f"{project / 'pyproject.toml'} belongs to another user" in cleans(OTHER, project)
    monkeypatch.chdir(project)
    assert tempkeep(*CLEAN) == 0
    said = f"on_success is not run: {project / 'pyproject.toml'} belongs to another user ({USER})"
    assert log(project)[-1].endswith(said)
    assert list(who.iterdir()) == []
    # What root wrote counts for all, but for root not where another may put it.
    os.chown(project / "pyproject.toml", 0, 0)
    shutil.rmtree(root / ".tempkeep")
    assert cleans(USER, project) == ""
    assert told(who / str(USER))["exit_code"] == 0
    assert tempkeep(*CLEAN) == 0
    assert f"on_success is not run: {project} belongs to another user" in log(project)[-1]
    assert list(who.iterdir()) == []


@as_root
def test_a_link_of_another_user_on_the_way_is_not_trusted(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for directory in (mine, theirs):
        directory.mkdir()
    (mine / "pyproject.toml").write_text("")
    (theirs / "link").symlink_to(mine)
    assert why_not_trusted(mine / "pyproject.toml") == ""
    assert why_not_trusted(theirs / "link" / "pyproject.toml") == ""
    os.lchown(theirs / "link", USER, USER)
    said = why_not_trusted(theirs / "link" / "pyproject.toml")
    assert said == f"{theirs / 'link'} is a symlink of another user ({USER})"
    os.lchown(theirs / "link", 0, 0)
    os.chown(theirs, USER, USER)
    said = why_not_trusted(theirs / "link" / "pyproject.toml")
    assert said == f"{theirs} belongs to another user ({USER})"


def test_what_git_tracks_runs_only_where_somebody_has_scheduled_the_clean(
    project: Path, root: Path
) -> None:
    settings(project, TELLS)
    root.mkdir()
    git(project, "init", "-q")
    given = CleanArguments(scheduled=True)
    assert scheduled.run(given, by_schedule=False) == 0
    told(project / "success")
    git(project, "add", "pyproject.toml")
    assert scheduled.run(given, by_schedule=False) == 0
    assert "on_success is not run: git tracks " in log(project)[-1]
    assert scheduled.run(given) == 0
    told(project / "success")


# -- killed ---------------------------------------------------------------------------------------


def killed(project: Path, *arguments: str) -> None:
    """A scheduled clean of `project` that is killed while it waits for `tar`."""
    slow = project / "bin" / "tar"
    slow.parent.mkdir(exist_ok=True)
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    command = [sys.executable, "-m", "common.temp", *CLEAN, *arguments]
    path = f"{slow.parent}{os.pathsep}{os.environ['PATH']}"
    with Started(command, cwd=project, env=environment(PATH=path), text=True) as running:
        until((project / ".tmp" / ".tempkeep" / "schedule.begun").exists, "its turn")
        until(lambda: state_of(running.pid) == "S", "waiting")
        running.send_signal(signal.SIGKILL)


def ends(lines: Sequence[str]) -> list[str]:
    return [line.split(" ")[1] for line in lines]


def test_one_that_was_killed_is_heard_of_at_the_next_run_and_once(
    project: Path, root: Path
) -> None:
    settings(project, f"archive = true\narchive_format = 'tar.gz'\n{TELLS}")
    make_entry(root, "debug/old_1696348800", age_hours=999)
    killed(project)
    assert ends(log(project)) == []
    for _ in range(2):
        assert tempkeep(*CLEAN) == 0
    assert ends(log(project)) == ["killed:", "exit", "exit"]
    report = told(project / "failure")
    assert (report["exit_code"], report["line"]) == (None, log(project)[0])
    # At once, where the scheduler runs something then; and it has nothing to say of other ends.
    make_entry(root, "debug/old_1696348801", age_hours=999)
    killed(project)
    after = job_of(project, 60).when_failed
    done = run([*after], cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    scheduled.failed()
    assert ends(log(project)[3:]) == ["killed:"]
    told(project / "failure")
    assert tempkeep(*CLEAN) == 0
    assert ends(log(project)[4:]) == ["exit"]
    assert not (project / "failure").exists()


@pytest.mark.parametrize("planted", ["link", "directory", "fifo", "junk", "told"])
def test_what_is_planted_in_place_of_its_mark_says_nothing(
    project: Path, root: Path, tmp_path: Path, planted: str
) -> None:
    make_entry(root, "debug/new")
    assert tempkeep(*CLEAN) == 0
    mark, victim = root / ".tempkeep" / "schedule.begun", tmp_path / "victim"
    victim.write_text("2026-01-01T00:00:00Z 0\n")
    assert not mark.exists()
    if planted == "link":
        mark.symlink_to(victim)
    elif planted == "directory":
        mark.mkdir()
    elif planted == "fifo":
        os.mkfifo(mark)
    else:
        told = f"{log(project)[0].partition(' ')[0]} 0\n"
        mark.write_text(told if planted == "told" else f"2026-01-01T00:00:00Z {'9' * 99}\n\x1b[31m")
    assert tempkeep(*CLEAN) == 0
    assert ends(log(project)) == ["exit", "exit"]
    assert victim.read_text() == "2026-01-01T00:00:00Z 0\n"
