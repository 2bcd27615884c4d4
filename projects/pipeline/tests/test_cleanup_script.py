"""`scripts/cleanup_artifacts.sh` as cron runs it: hardly any environment, and another directory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from common.temp.pipeline import pipeline_run

CRON = {"HOME": "/", "LOGNAME": "root", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
LINE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z exit ([0-9]+): (.*)"


def start(project: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in environment.items()),
         str(project / "scripts" / "cleanup_artifacts.sh"), *arguments],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def cron(project: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """The exit code of the script, and what it printed."""
    started = start(project, *arguments, **{**CRON, "PYTHON": sys.executable, **environment})
    out, err = started.communicate(timeout=120)
    return started.returncode, out, err


def make_runs(base: Path, count: int) -> list[str]:
    for number in range(count):
        run = base / f"pipeline_artifacts_20250917_{number:06}"
        run.mkdir(parents=True)
        (run / "script.jsonl").write_text("x")
        when = time.time() - number * 60
        for path in (run / "script.jsonl", run):
            os.utime(path, (when, when))
    return [f"pipeline_artifacts_20250917_{number:06}" for number in range(count)]


def runs(base: Path) -> list[str]:
    return sorted(path.name for path in base.glob("pipeline_artifacts_*"))


def logged(base: Path) -> list[tuple[str, str]]:
    """The exit code and the text of each line of the log."""
    lines = (base / "cleanup.log").read_text().splitlines()
    found = [re.fullmatch(LINE, line) for line in lines]
    return [(match[1], match[2]) for match in found if match is not None]


def test_it_cleans_by_the_policy_says_nothing_and_logs_one_line_each_time(
    project: Path, base: Path
) -> None:
    made = make_runs(base, 7)
    assert cron(project) == (0, "", "")
    assert runs(base) == made[:5]
    ((code, said),) = logged(base)
    assert code == "0"
    assert said.startswith("artifacts: cleaned 2 entries, freed ")
    assert len((base / "cleanup.log").read_text().splitlines()) == 1
    # It needs nothing in its environment but where Python is.
    started = start(project, PYTHON=sys.executable)
    assert (*started.communicate(timeout=120), started.returncode) == ("", "", 0)
    assert [code for code, _ in logged(base)] == ["0", "0"]


def test_that_there_are_no_runs_is_said(project: Path, base: Path) -> None:
    said = "cleanup_artifacts.sh: no runs in {}; set BASE if they are elsewhere\n"
    assert cron(project) == (0, said.format(f"{project} and {base}"), "")
    assert not base.exists()
    assert cron(project, BASE=str(project)) == (0, said.format(project), "")


def test_runs_in_the_root_of_the_project_are_found(project: Path, base: Path) -> None:
    (project / "pyproject.toml").unlink()
    made = make_runs(project, 7)
    make_runs(base, 6)
    assert cron(project) == (0, "", "")
    assert runs(project) == made[:5]
    assert runs(base) == made[:5]
    assert logged(project)[0][1].startswith(f"{project.name}: cleaned 2 entries, freed 0 B")


def test_it_passes_its_arguments_on(project: Path, base: Path) -> None:
    made = make_runs(base, 6)
    assert cron(project, "--strategy", "aggressive") == (0, "", "")
    assert runs(base) == made[:3]


def test_a_dry_run_says_what_would_go(project: Path, base: Path) -> None:
    made = make_runs(base, 6)
    code, out, err = cron(project, "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith(f"would archive {made[5]} ")
    assert runs(base) == made


def test_it_cleans_another_directory_if_it_is_told_so(project: Path, tmp_path: Path) -> None:
    base = tmp_path / "other disk"
    make_runs(base, 6)
    assert cron(project, BASE=str(base)) == (0, "", "")
    assert len(runs(base)) == 5
    assert len(logged(base)) == 1


def test_a_run_that_goes_on_stays(project: Path, base: Path) -> None:
    make_runs(base, 6)
    with ExitStack() as block:
        with pytest.MonkeyPatch.context() as long_ago:
            long_ago.setattr(time, "time", lambda: 1_700_000_000.0)
            alive = block.enter_context(pipeline_run(base))
        os.utime(alive, (0, 0))
        assert cron(project) == (0, "", "")
        assert alive.is_dir()
    with pipeline_run(base):
        pass
    assert cron(project) == (0, "", "")
    assert not alive.exists()


def test_two_at_once_share_the_work(project: Path, base: Path) -> None:
    make_runs(base, 40)
    started = [start(project, **CRON, PYTHON=sys.executable) for _ in range(4)]
    ended = [(*one.communicate(timeout=120), one.returncode) for one in started]
    assert ended == [("", "", 0)] * 4
    assert len(runs(base)) == 5
    cleaned = [int(said.split()[2]) for _, said in logged(base)]
    assert (len(cleaned), sum(cleaned)) == (4, 35)


# -- what goes wrong ------------------------------------------------------------------------------


def problem(project: Path, **environment: str) -> tuple[int, str]:
    """The exit code, and the one line that cron mails."""
    code, out, err = cron(project, **environment)
    assert out == ""
    (line,) = err.splitlines()
    return code, line


def test_a_bad_setting_is_mailed_logged_and_exit_code_2(project: Path, base: Path) -> None:
    make_runs(base, 9)
    (project / "cleanup_config.json").write_text("{")
    code, line = problem(project)
    assert code == 2
    assert "cleanup_config.json: not valid JSON" in line
    assert logged(base) == [("2", line)]
    assert len(runs(base)) == 9


def test_a_refusal_is_mailed_and_exit_code_3(project: Path, base: Path) -> None:
    make_runs(base, 9)
    (base / ".tempkeep").symlink_to(project)
    code, line = problem(project)
    assert code == 3
    assert "remove it" in line
    assert logged(base) == [("3", line)]


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    if not shutil.which("chattr") or subprocess.run(["chattr", "+i", path], check=False).returncode:
        pytest.skip("cannot make a file immutable here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_a_run_that_fails_is_mailed_logged_and_exit_code_1(project: Path, base: Path) -> None:
    (project / "cleanup_config.json").write_text('{"archive_before_delete": false}')
    made = make_runs(base, 7)
    with immutable(base / made[5] / "script.jsonl"):
        code, out, err = cron(project)
        assert (code, out) == (1, "")
        assert f"failed {made[5]}: script.jsonl: Operation not permitted" in err
        assert [code for code, _ in logged(base)] == ["1"]
        assert runs(base) == [*made[:5], made[5]]


def test_a_missing_base_is_mailed_and_exit_code_2_and_is_not_made(
    project: Path, tmp_path: Path
) -> None:
    code, line = problem(project, BASE=str(tmp_path / "not mounted"))
    assert code == 2
    assert "not mounted is not a directory" in line
    assert not (tmp_path / "not mounted").exists()


def test_a_missing_python_is_mailed_and_exit_code_2(project: Path, base: Path) -> None:
    make_runs(base, 9)
    said = "cleanup_artifacts.sh: there is no /nowhere/python; set PYTHON"
    assert problem(project, PYTHON="/nowhere/python") == (2, said)
    assert len(runs(base)) == 9


def test_through_a_link_it_does_not_guess_at_the_project(project: Path, tmp_path: Path) -> None:
    (tmp_path / "cron.daily").mkdir()
    link = tmp_path / "cron.daily" / "cleanup"
    link.symlink_to(project / "scripts" / "cleanup_artifacts.sh")
    done = subprocess.run([link], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "call this script by its own path and not through a link" in done.stderr


def test_a_log_that_cannot_be_written_is_exit_code_1_and_the_runs_go(
    project: Path, base: Path
) -> None:
    make_runs(base, 6)
    (base / "cleanup.log").mkdir()
    code, out, err = cron(project)
    assert (code, out, "cleanup.log" in err) == (1, "", True)
    assert len(runs(base)) == 5
