from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.each import each
from tests.support import run_client

IMPACT = Path(__file__).resolve().parents[1]
OWN = {"demo", "measure"}
SHARED = {"clean", "temp-clean", "temp-explain", "temp-pin", "temp-status", "temp-unpin"}
LIMITED = """
import resource, signal, sys
sys.path.insert(0, {source!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
sys.argv = ["measure_impact.py"]
from impact.commands import measure
sys.exit(measure(["--draws=100"]))
"""


def script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run_client("impact", IMPACT / "scripts" / "measure_impact.py", *arguments)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A throw-away copy of this project."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "tests")
    return Path(shutil.copytree(IMPACT, tmp_path / "copy", ignore=ignored))


def test_without_a_directory_the_samples_are_gone_when_it_ends(system_temp: Path) -> None:
    ran = script("--draws=20")
    assert (ran.returncode, ran.stderr) == (0, "")
    first, _, *plans, last = ran.stdout.splitlines()
    assert first.startswith("4.6 MiB of samples (3 plans, 20 draws, 20190 people)")
    assert [line.split()[0] for line in plans] == ["as_it_was", "free_care", "cost_sharing"]
    assert last.startswith(f"in {system_temp}/tempkeep-")
    assert list(system_temp.rglob("samples.zarr")) == []
    assert os.listdir() == ["pyproject.toml"]


def test_with_a_directory_they_stay_there(system_temp: Path) -> None:
    ran = script("--draws=20", "--output-dir=named", "--memory=16", "--seed=4", "--ridge=10")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(list(Path("named").glob("*/samples.zarr"))) == 3
    assert os.listdir(system_temp) == []


@each(
    ("argument", "said"),
    [
        ("--draws=0", "argument --draws: '0' is not a whole number from 1"),
        ("--draws=many", "argument --draws: 'many' is not a whole number from 1"),
        ("--seed=-1", "argument --seed: '-1' is not a whole number from 0"),
        ("--ridge=-2", "the ridge is -2 and must be 0 or more"),
        ("--ridge=much", "argument --ridge: invalid float value: 'much'"),
        ("--memory=1", "1048576 bytes of memory are too few for 20190 people; allow"),
        ("--drawz=1", "unrecognized arguments: --drawz=1"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_and_makes_nothing(
    system_temp: Path, argument: str, said: str
) -> None:
    ran = script(argument)
    [line] = ran.stderr.splitlines()
    assert (ran.returncode, line[: len(said) + 19]) == (2, f"measure_impact.py: {said}")
    assert (os.listdir(), os.listdir(system_temp)) == (["pyproject.toml"], [])


def test_a_directory_that_is_a_file_is_one_line_and_exit_code_1() -> None:
    ran = script("--output-dir=pyproject.toml")
    [line] = ran.stderr.splitlines()
    assert (ran.returncode, line[:32]) == (1, "measure_impact.py: cannot make /")


def test_a_disk_that_takes_no_more_is_one_line_and_exit_code_1_and_leaves_nothing(
    system_temp: Path,
) -> None:
    ran = run_client("impact", "-c", LIMITED.format(source=str(IMPACT / "src")))
    [line] = ran.stderr.splitlines()
    assert (ran.returncode, line[:33]) == (1, "measure_impact.py: File too large")
    assert list(system_temp.rglob("*.partial")) == []


def test_the_tasks_are_the_shared_ones_and_those_of_the_project() -> None:
    listed = run_client("impact", "-m", "invoke", "--list", cwd=IMPACT).stdout.splitlines()
    names = {line.split()[0] for line in listed if line[:2] == "  " and line[2:3].strip()}
    assert names >= OWN | SHARED


def test_the_demo_ends_well_and_leaves_only_what_it_names(copy: Path, system_temp: Path) -> None:
    ran = run_client("impact", "-m", "invoke", "demo", cwd=copy)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(list((copy / "samples").glob("*/samples.zarr"))) == 3
    assert list(system_temp.rglob("samples.zarr")) == []


def test_a_task_ends_with_the_exit_code_of_its_command(copy: Path) -> None:
    assert run_client("impact", "-m", "invoke", "measure", "--draws=none", cwd=copy).returncode == 2
