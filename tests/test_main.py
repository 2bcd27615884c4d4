"""The program `tempkeep` and `python -m common.temp`, which need no `tasks.py`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from common.temp import __version__
from common.temp.tasks import ns
from tests.each import each
from tests.support import make_entry, run

PROGRAMS = [
    pytest.param([sys.executable, "-m", "common.temp"], id="python -m"),
    pytest.param(
        [shutil.which("tempkeep", path=str(Path(sys.executable).parent)) or ""],
        id="tempkeep",
        marks=pytest.mark.skipif(
            not shutil.which("tempkeep", path=str(Path(sys.executable).parent)),
            reason="needs the installed distribution",
        ),
    ),
]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A project that has no `tasks.py`."""
    directory = tmp_path / "bare"
    directory.mkdir()
    (directory / "pyproject.toml").touch()
    make_entry(directory / ".tmp", "debug/a_1696348800")
    return directory


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_lists_and_cleans_without_a_tasks_py(bare: Path, program: list[str]) -> None:
    shown = run([*program, "temp-status"], cwd=bare)
    cleaned = run([*program, "temp-clean"], cwd=bare)

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "a_1696348800" in shown.stdout
    assert cleaned.returncode == 0
    assert "deleted debug/a_1696348800  8.0 KiB  (no policy configured)" in cleaned.stdout
    assert not (bare / ".tmp" / "debug" / "a_1696348800").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_its_errors_go_to_stderr_with_their_exit_code(bare: Path, program: list[str]) -> None:
    done = run([*program, "temp-clean", "--max-age-hours", "abc"], cwd=bare)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_tells_its_version(bare: Path, program: list[str]) -> None:
    assert run([*program, "--version"], cwd=bare).stdout == f"tempkeep {__version__}\n"


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_prints_completions_for_its_own_name(bare: Path, program: list[str], shell: str) -> None:
    done = run([*program, "--print-completion-script", shell], cwd=bare)

    assert done.returncode == 0, done.stderr
    assert "tempkeep" in done.stdout


def test_it_completes_its_tasks(bare: Path) -> None:
    done = run(
        [sys.executable, "-m", "common.temp", "--complete", "--", "tempkeep temp-"], cwd=bare
    )

    assert "temp-status" in done.stdout.splitlines()


@each("task", sorted([*ns.task_names, "vendor"]))
def test_a_task_shows_its_help_and_does_nothing(bare: Path, task: str) -> None:
    before = sorted(bare.rglob("*"))
    program = [sys.executable, "-m", "common.temp"]
    asked, done, short = (
        run([*program, *words], cwd=bare)
        for words in (("--help", task), (task, "--help"), (task, "-h"))
    )

    assert (done.returncode, done.stderr) == (short.returncode, short.stderr) == (0, "")
    assert done.stdout == short.stdout == asked.stdout
    assert f" {task} [--options]" in done.stdout
    assert sorted(bare.rglob("*")) == before


@pytest.mark.parametrize("task", ["temp-explain", "temp-migrate", "temp-restore", "vendor"])
def test_a_flag_that_is_not_known_is_no_name_and_no_path(bare: Path, task: str) -> None:
    done = run([sys.executable, "-m", "common.temp", task, "--bogus", "x"], cwd=bare)

    assert done.returncode
    assert "No idea what '--bogus' is!" in done.stderr
    assert not (bare / "--bogus").exists()
    assert not (bare / "x").exists()


def test_flags_may_come_before_a_name_and_after_it(bare: Path) -> None:
    for order in (["a_1696348800", "--reason", "b"], ["--reason", "b", "a_1696348800"]):
        done = run([sys.executable, "-m", "common.temp", "temp-pin", *order], cwd=bare)
        assert (done.returncode, done.stdout) == (0, "pinned debug/a_1696348800: b\n")
