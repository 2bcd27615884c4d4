from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.each import each
from tests.support import run_client

Draw = Callable[..., Path]

PHOTOS = Path(__file__).resolve().parents[1]
SCRIPTS = {"make_thumbnails": [], "contact_sheet": ["--output=sheet.jpg"], "inspect_photos": []}
OWN = {"build", "inspect", "sample", "thumbs"}
SHARED = {"clean", "temp-clean", "temp-explain", "temp-pin", "temp-status", "temp-unpin"}


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run_client("photos", PHOTOS / "scripts" / f"{name}.py", *arguments)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A throw-away copy of this project."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "tests")
    return Path(shutil.copytree(PHOTOS, tmp_path / "copy", ignore=ignored))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("make_thumbnails", "26 thumbnails in {}/.tmp/cache/thumbnails_"),
        ("contact_sheet", "12 of 26 photos on sheet.jpg"),
        ("inspect_photos", "26 reports in {}/.tmp/debug/inspect_"),
    ],
)
def test_a_script_without_a_folder_takes_the_real_photos(
    name: str, said: str, project: Path, real: dict[str, Path]
) -> None:
    ran = script(name, *SCRIPTS[name])
    expected = said.format(project).replace("26", str(len(real)))
    assert (ran.returncode, ran.stderr, ran.stdout[: len(expected)]) == (0, "", expected)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_takes_the_photos_of_the_folder_it_is_given(name: str, draw: Draw) -> None:
    assert script(name, *SCRIPTS[name], draw().parent).stdout.startswith("1 ")


@each(
    ("name", "arguments", "said"),
    [
        ("make_thumbnails", ["missing"], "cannot list missing: No such file or directory"),
        ("make_thumbnails", ["."], "no photos in .; it needs files .bmp"),
        ("make_thumbnails", ["--size=0"], "argument --size: '0' is not a whole number from 1"),
        ("make_thumbnails", ["--size=big"], "argument --size: 'big' is not a whole number from 1"),
        ("make_thumbnails", ["--sise=1"], "unrecognized arguments: --sise=1"),
        ("contact_sheet", [], "the following arguments are required: --output"),
        ("contact_sheet", ["--output=a.gif"], "a.gif must end in .jpeg, .jpg, .png"),
        ("contact_sheet", ["--output=a.jpg", "--count=-1"], "argument --count: '-1' is not a"),
        ("contact_sheet", ["--output=a.jpg", "--seed=x"], "argument --seed: 'x' is not a whole"),
        ("inspect_photos", ["two\nlines"], r"cannot list two\nlines: No such file or directory"),
        ("inspect_photos", ["pyproject.toml"], "cannot list pyproject.toml: Not a directory"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_and_makes_nothing(
    name: str, arguments: list[str], said: str, project: Path
) -> None:
    ran = script(name, *arguments)
    [line] = ran.stderr.splitlines()
    assert (ran.returncode, line[: len(name) + 5 + len(said)]) == (2, f"{name}.py: {said}")
    assert os.listdir(project) == ["pyproject.toml"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_skipped_photo_has_a_line_and_the_exit_code_is_1(name: str, draw: Draw) -> None:
    (draw().parent / "broken\n.jpg").touch()
    ran = script(name, *SCRIPTS[name], draw().parent)
    said = "skipped broken\\n.jpg: not a picture in a format that can be read\n"
    assert (ran.returncode, ran.stderr) == (1, said)


@pytest.mark.parametrize("name", ["make_thumbnails", "inspect_photos"])
def test_where_scratch_cannot_be_made_it_is_one_line_and_exit_code_1(
    name: str, project: Path
) -> None:
    (project / ".tmp").touch()
    ran = script(name, *SCRIPTS[name])
    said = f"{name}.py: {project}/.tmp is not a directory; move it away\n"
    assert (ran.returncode, ran.stderr) == (1, said)


def test_a_sheet_that_the_disk_refuses_is_one_line_and_exit_code_1(draw: Draw) -> None:
    name = "a" * 300 + ".jpg"
    ran = script("contact_sheet", f"--output={name}", draw().parent)
    assert (ran.returncode, ran.stderr) == (1, f"contact_sheet.py: File name too long: {name}\n")


def test_the_tasks_are_the_shared_ones_and_those_of_the_project() -> None:
    listed = run_client("photos", "-m", "invoke", "--list", cwd=PHOTOS).stdout.splitlines()
    names = {line.split()[0] for line in listed if line[:2] == "  " and line[2:3].strip()}
    assert names >= OWN | SHARED


@each("name", sorted(OWN))
def test_a_task_of_the_project_is_its_own_and_no_shared_one(name: str) -> None:
    ran = run_client(
        "photos", "-c", f"import tasks; print(tasks.{name}.body.__module__)", cwd=PHOTOS
    )
    assert ran.stdout == "tasks\n"


def test_scratch_made_deep_down_lands_in_the_root_of_the_project(copy: Path) -> None:
    ran = run_client("photos", "-m", "invoke", "thumbs", cwd=copy / "src/deep/down")
    assert f"thumbnails in {copy}/.tmp/cache/thumbnails_" in ran.stdout
    assert os.listdir(copy / "src/deep/down") == ["README.md"]


def test_a_sheet_is_written_where_one_stands(copy: Path, draw: Draw) -> None:
    run_client(
        "photos", "-m", "invoke", "sample", "my.jpg", f"--folder={draw().parent}", cwd=copy / "src"
    )
    assert (copy / "src/my.jpg").is_file()


def test_what_the_tasks_leave_is_cleaned_by_the_shared_one(copy: Path) -> None:
    ran = run_client("photos", "-m", "invoke", "thumbs", "inspect", cwd=copy)
    assert ran.returncode == 0
    run_client("photos", "-m", "invoke", "temp-clean", cwd=copy)
    assert [os.listdir(copy / ".tmp" / category) for category in ("cache", "debug")] == [[], []]


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--size=x"], 2), (["--folder=-missing"], 2), (["--folder=."], 1)]
)
def test_a_task_ends_with_the_exit_code_of_its_command(
    copy: Path, arguments: list[str], code: int
) -> None:
    (copy / "broken.jpg").touch()
    assert run_client("photos", "-m", "invoke", "thumbs", *arguments, cwd=copy).returncode == code
