"""What a schedule runs, and its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.temp.core.units import read_interval, spell_interval
from common.temp.errors import InvalidSettings
from common.temp.schedule.job import Job, job_of
from tests.support import REPOSITORY, environment


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("1m", 1), ("15m", 15), (" 6 h ", 360), ("1d", 1440), ("2w", 20_160), ("365d", 525_600)],
)
def test_an_interval_is_read(text: str, minutes: int) -> None:
    assert read_interval(text, "--every") == minutes


@pytest.mark.parametrize("text", ["", "0m", "5", "53w", "1.5h", "-1d", "366d", "9999999m", "1h30m"])
def test_what_is_no_interval_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^--every: expected 15m, 6h, 1d or similar, 365d"):
        read_interval(text, "--every")


@pytest.mark.parametrize("text", ["1m", "15m", "90m", "6h", "25h", "1d", "7d"])
def test_an_interval_is_spelled_as_it_is_read(text: str) -> None:
    assert spell_interval(read_interval(text, "--every")) == text


def test_a_job_is_named_after_its_project_and_its_path() -> None:
    names = {Job(path, (), 1).name for path in ("/a/my proj", "/b/my proj", "/a/my_proj", "/a/é")}
    assert len(names) == 4
    assert sorted(name.rpartition("-")[0] for name in names) == [
        "tempkeep-my-proj", "tempkeep-my-proj", "tempkeep-my-proj", "tempkeep-project",
    ]  # fmt: skip
    assert Job("/a/x", (), 1).name == Job("/a/x", ("other",), 60).name
    assert len(Job("/a/" + "x" * 250, (), 1).name) < 64


@pytest.mark.parametrize("letter", ["\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\udcff"])
def test_a_path_that_no_scheduler_takes_is_refused_in_one_line(tmp_path: Path, letter: str) -> None:
    project = tmp_path / f"a{letter}b"
    project.mkdir()
    with pytest.raises(InvalidSettings, match="rename the directory") as raised:
        job_of(project, 60)
    assert str(raised.value).isprintable()


def bare(command: tuple[str, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command, as a scheduler runs it: with no environment to speak of."""
    return subprocess.run(
        command, cwd=cwd, env={"HOME": "/"}, capture_output=True, text=True, check=False
    )


def test_the_command_runs_without_path_or_environment(project: Path) -> None:
    command = job_of(project, 60, "moderate").command
    assert os.path.isabs(command[0])
    assert command[-5:] == ("temp-clean", "--yes", "--scheduled", "--strategy", "moderate")
    done = bare(command, project)
    assert (done.returncode, done.stderr) == (0, "")
    assert " exit 0: " in done.stdout
    # Before it may be what this machine has in its temporary directory, of no project.
    assert done.stdout.endswith("project: nothing to clean\n")


def test_a_package_of_the_project_does_not_hide_ours(project: Path) -> None:
    (project / "common").mkdir()
    (project / "common" / "__init__.py").write_text("raise SystemExit('not this one')")
    done = bare(job_of(project, 60, "moderate").command, project)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_copy_of_the_package_that_is_not_installed_is_run_where_it_lies(
    tmp_path: Path, project: Path
) -> None:
    base = tmp_path / "mono'repo é"
    (base / "common").mkdir(parents=True)
    subprocess.run(["cp", "-r", REPOSITORY / "common" / "temp", base / "common"], check=True)
    code = (
        "import json, pathlib; from common.temp.schedule.job import job_of; "
        "print(json.dumps(job_of(pathlib.Path.cwd(), 60, 'moderate').command))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**environment(), "PYTHONPATH": str(base)},
        capture_output=True,
        check=True,
    )
    command = json.loads(said.stdout)
    assert command[1:3] == ["-P", "-c"]
    done = bare(command, project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to clean" in done.stdout
