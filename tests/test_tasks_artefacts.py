"""`clean`: build artefacts and scratch of one project, and nothing that git tracks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from common.temp.commands import artefact_drafts as commands
from common.temp.core.layouts import JOBS, PIPELINE
from common.temp.store.artefacts import artefacts
from common.temp.store.root.making import make_root
from common.temp.store.settings.settings import DEFAULT_ARTEFACTS
from common.temp.store.system.processes_in_directory import AtWork
from common.temp.store.trees.removed import Removed
from tests.support import (
    IMMUTABLE,
    have_git_ignore,
    inv,
    listing,
    make_entry,
    process,
    run,
    tempkeep,
)

Printed = pytest.CaptureFixture[str]


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def work_tree(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project lies in a git work tree that ignores artefacts, so that git tells what is
    hand-written.
    """
    if not shutil.which("git"):
        pytest.skip("needs git")
    have_git_ignore(DEFAULT_ARTEFACTS, tmp_path, monkeypatch)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "project")


WORKS = {
    "its directory": "import os; os.chdir('build/deep')",
    "a file": "file = open('build/deep/log', 'w')",
    "a program": "import os; os.execl('build/deep/sleep', 'sleep', '60')",
}


@pytest.mark.parametrize("how", WORKS)
def test_an_artefact_in_which_a_process_works_stays(
    project: Path, capsys: Printed, how: str
) -> None:
    deep = make_entry(project, "build/deep")
    make_entry(project, "dist")
    shutil.copy(shutil.which("sleep") or "", deep / "sleep")
    with process(f"print('ready', flush=True); {WORKS[how]}; input()", cwd=project):
        for _ in range(500):
            if AtWork(project).inside("build"):
                break
            time.sleep(0.01)
        assert tempkeep("clean", "--dry-run") == 0
        assert tempkeep("clean") == 0
        said = capsys.readouterr().out
        assert said.count("kept build: in use: pid ") == 2
        assert "deleted dist" in said
        assert (deep / "sleep").exists()
    assert tempkeep("clean") == 0
    assert not deep.parent.exists()


def test_artefacts_and_scratch_go_and_the_rest_stays(project: Path, capsys: Printed) -> None:
    make_entry(project, "build")
    make_entry(project, "src/__pycache__")
    make_entry(project, "src/kept")
    make_entry(project / ".tmp", "debug/a_1696348800")

    assert tempkeep("clean") == 0

    assert capsys.readouterr().out.splitlines() == [
        "deleted build  8.0 KiB  (artefact: build/)",
        "deleted src/__pycache__  8.0 KiB  (artefact: __pycache__)",
        "project: deleted 2 artefacts, 16.0 KiB",
        "deleted debug/a_1696348800  8.0 KiB  (no policy configured)",
        "project: cleaned 1 entry, freed 8.0 KiB",
    ]
    left = [path for path in listing(project) if not path.startswith(".tmp/.tempkeep")]
    assert left == [
        ".tmp",
        ".tmp/debug",
        "pyproject.toml",
        "src",
        "src/kept",
        "src/kept/file0.txt",
        "tasks.py",
    ]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("old", "project: nothing to clean\n"),
        ("build/old", "kept build: build/old is a root or the archive\n"),
    ],
)
def test_what_was_archived_in_the_project_stays_whole_and_comes_back(
    project: Path, root: Path, capsys: Printed, place: str, said: str
) -> None:
    settings = f'[tool.tempkeep]\narchive = true\narchive_location = "{place}"\n'
    (project / "pyproject.toml").write_text(settings)
    path = make_entry(root, "debug/a_1696348800/build")
    make_entry(root, "debug/a_1696348800/src/__pycache__")
    assert tempkeep("temp-clean", "--yes") == 0
    assert tempkeep("clean") == 0
    assert said in capsys.readouterr().out
    assert tempkeep("temp-restore", "debug/a_1696348800") == 0
    assert listing(path) == ["file0.txt"]


def test_entries_of_other_roots_lose_nothing_of_what_is_called_as_artefacts_are(
    project: Path, capsys: Printed
) -> None:
    settings = '[tool.tempkeep]\nroots = ["jobs", "runs"]\nexclude = ["*"]\n'
    (project / "pyproject.toml").write_text(settings)
    make_root(str(project / "jobs"), JOBS)
    make_root(str(project / "nobody-named-it"), JOBS)
    parts = [
        make_entry(project, f"{name}/dist")
        for name in (
            "jobs/7",
            "nobody-named-it/8",
            "pipeline_artifacts_20250102_030405",
            "runs/pipeline_artifacts_20250102_030405",
            "scripts/pipeline_artifacts_20250102_030405",
        )
    ]
    make_root(str(project / "scripts"), PIPELINE)
    make_entry(project, "scripts/__pycache__")
    assert tempkeep("clean") == 0
    said = capsys.readouterr().out
    assert "deleted scripts/__pycache__" in said
    assert said.count("\ndeleted ") + said.startswith("deleted ") == 1
    assert all(listing(part) == ["file0.txt"] for part in parts)


def test_nothing_to_clean_is_one_line(project: Path, capsys: Printed) -> None:
    assert tempkeep("clean") == 0

    assert capsys.readouterr().out == "project: nothing to clean\n"


def test_a_dry_run_says_what_would_go(project: Path, capsys: Printed) -> None:
    make_entry(project, "build")
    make_entry(project / ".tmp", "debug/a_1696348800")

    assert tempkeep("clean", "--dry-run") == 0

    assert capsys.readouterr().out.splitlines() == [
        "would delete build  8.0 KiB  (artefact: build/)",
        "project: would delete 1 artefact, 8.0 KiB",
        "would delete debug/a_1696348800  8.0 KiB  (no policy configured)",
        "project: would delete 1 entry and free 8.0 KiB",
    ]
    assert (project / "build").is_dir()


def test_a_configured_dry_run_is_told_with_its_remedy(project: Path, capsys: Printed) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\ndry_run = true\n")
    make_entry(project, "build")

    assert tempkeep("clean") == 0

    assert capsys.readouterr().err == (
        "dry_run is configured, so nothing is cleaned; "
        "TEMPKEEP_DRY_RUN=false in the environment overrides it\n"
    )
    assert (project / "build").is_dir()
    assert inv("clean", cwd=project, TEMPKEEP_DRY_RUN="false").returncode == 0
    assert not (project / "build").exists()


def test_the_artefacts_can_be_configured(project: Path) -> None:
    (project / "pyproject.toml").write_text(
        '[tool.tempkeep]\nartefacts = ["docs/_site/", "*.log"]\n'
    )
    for path in ("build", "docs/_site", "_site"):
        make_entry(project, path)
    (project / "run.log").touch()

    assert tempkeep("clean") == 0

    assert (project / "build").is_dir()
    assert (project / "_site").is_dir()
    assert not (project / "docs" / "_site").exists()
    assert not (project / "run.log").exists()


@pytest.mark.parametrize("age", ["--temp-age-hours=24", "--temp-age=1d"])
def test_the_age_is_for_scratch_and_artefacts_go_at_any_age(project: Path, age: str) -> None:
    make_entry(project, "build")
    make_entry(project / ".tmp", "debug/new_1696348800", age_hours=1)
    make_entry(project / ".tmp", "debug/old_1696348800", age_hours=25)

    assert tempkeep("clean", age) == 0

    assert not (project / "build").exists()
    assert (project / ".tmp" / "debug" / "new_1696348800").is_dir()
    assert not (project / ".tmp" / "debug" / "old_1696348800").exists()


@pytest.mark.parametrize("hours", ["abc", "nan", "inf", "-1", "1e400", ""])
def test_a_bad_age_is_one_line_and_exit_code_2(project: Path, capsys: Printed, hours: str) -> None:
    make_entry(project, "build")

    assert tempkeep("clean", f"--temp-age-hours={hours}") == 2

    expected = f"--temp-age-hours: expected a number of hours of 0 or more, got {hours!r}"
    unit = "; --temp-age takes a time with a unit"
    assert capsys.readouterr().err == f"error: {expected}{unit}\n"
    assert tempkeep("clean", f"--temp-age={hours}") == 2
    expected = f"--temp-age: expected a time such as 90m, 36h, 7d or 2w, got {hours!r}"
    assert capsys.readouterr().err == f"error: {expected}\n"
    assert tempkeep("clean", "--temp-age=7d", "--temp-age-hours=1") == 2
    expected = "--temp-age and --temp-age-hours set the same; leave out one"
    assert capsys.readouterr().err == f"error: {expected}\n"
    assert (project / "build").is_dir()


def test_a_pinned_entry_stays(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800")
    assert tempkeep("temp-pin", "a_1696348800", "--reason", "mine") == 0

    assert tempkeep("clean") == 0

    assert (project / ".tmp" / "debug" / "a_1696348800").is_dir()
    assert "kept debug/a_1696348800: pinned: mine" in capsys.readouterr().out


# -- the older .temp -------------------------------------------------------------------------------


def test_an_old_root_is_cleaned_and_does_not_stay_behind(project: Path, capsys: Printed) -> None:
    make_entry(project / ".temp", "demo_1696348800")
    make_entry(project / ".temp", "debug/a_1696348800")
    (project / ".temp" / "loose.txt").write_text("x")

    assert tempkeep("clean") == 0

    assert not (project / ".temp").exists()
    assert not (project / ".tmp").exists()
    assert "project/.temp: cleaned 3 entries" in capsys.readouterr().out


def test_what_is_too_new_stays_in_an_old_root(project: Path) -> None:
    make_entry(project / ".temp", "old_1696348800", age_hours=25)
    make_entry(project / ".temp", "new_1696348800", age_hours=1)

    assert tempkeep("clean", "--temp-age-hours", "24") == 0

    assert listing(project / ".temp") == ["new_1696348800", "new_1696348800/file0.txt"]


def test_an_old_root_that_is_a_symlink_is_not_followed(project: Path, tmp_path: Path) -> None:
    make_entry(tmp_path / "mine", "work")
    (project / ".temp").symlink_to(tmp_path / "mine")

    assert tempkeep("clean") == 3

    assert listing(tmp_path / "mine") == ["work", "work/file0.txt"]


def test_nothing_goes_behind_an_old_root_that_is_refused(project: Path, tmp_path: Path) -> None:
    store = make_entry(tmp_path / "mine", "debug/a").parents[1] / ".tempkeep"
    for name in ("owners", "holding", "pins", "undo"):
        (store / name).mkdir(parents=True)
    (store / "history.jsonl").write_text("{}\n")
    (project / ".temp").symlink_to(tmp_path / "mine")
    git(tmp_path, "add", "-f", "project/.temp")
    before = listing(tmp_path / "mine")

    assert tempkeep("clean") == 3

    assert listing(tmp_path / "mine") == before


# -- what git tracks ----------------------------------------------------------------------------


def test_what_git_tracks_stays_among_artefacts_and_scratch(project: Path, capsys: Printed) -> None:
    git(project, "init", "-q")
    for path in ("dist", "build", ".tmp/debug/sample_1696348800", ".temp/fixture"):
        make_entry(project, path)
    make_entry(project, ".tmp/debug/other_1696348800")
    git(project, "add", "-f", "dist", ".tmp/debug/sample_1696348800", ".temp/fixture")

    assert tempkeep("clean") == 0

    out = capsys.readouterr().out
    assert "kept dist: git tracks dist/file0.txt\n" in out
    assert "kept debug/sample_1696348800: unsaved work: git tracks .tmp/debug/sample_" in out
    assert "kept fixture: unsaved work: git tracks .temp/fixture/file0.txt\n" in out
    assert "project: deleted 1 artefact, 8.0 KiB\n" in out
    assert subprocess.check_output(["git", "ls-files", "--deleted"], cwd=project) == b""
    assert not (project / ".tmp" / "debug" / "other_1696348800").exists()


def test_what_git_tracks_stays_when_the_root_is_a_link_into_the_work_tree(project: Path) -> None:
    git(project, "init", "-q")
    make_entry(project, "scratch/tracked_1696348800")
    make_entry(project, "scratch/other_1696348800")
    (project / "scratch" / ".tempkeep").mkdir()
    (project / ".tmp").symlink_to("scratch")
    git(project, "add", "-f", "scratch/tracked_1696348800")

    assert tempkeep("clean") == 0

    assert (project / "scratch" / "tracked_1696348800" / "file0.txt").is_file()
    assert not (project / "scratch" / "other_1696348800").exists()


# -- failures -----------------------------------------------------------------------------------


def test_an_artefact_that_cannot_go_is_a_line_and_exit_code_1(
    project: Path, capsys: Printed
) -> None:
    make_entry(project, "build/deep")
    make_entry(project, "dist")
    stuck = str(project / "build" / "deep" / "file0.txt")
    if run(["chattr", "+i", stuck], cwd=project).returncode:
        pytest.skip("needs chattr +i (root, and a filesystem that knows it)")
    try:
        assert tempkeep("clean") == 1
    finally:
        run(["chattr", "-i", stuck], cwd=project)

    printed = capsys.readouterr()
    assert printed.err == f"failed build: deep/file0.txt: {IMMUTABLE}\n"
    assert "project: deleted 1 artefact, 8.0 KiB" in printed.out
    assert not (project / "dist").exists()


def test_ctrl_c_says_what_is_done_and_the_next_clean_finishes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    make_entry(project, "build")
    make_entry(project, "dist")
    remove = artefacts.remove_artefact

    def interrupted(top: int, path: str) -> Removed:
        if path == "dist":
            os.kill(os.getpid(), signal.SIGINT)
        return remove(top, path)

    with monkeypatch.context() as patched:
        patched.setattr(commands, "remove_artefact", interrupted)
        assert tempkeep("clean") == 130

    assert capsys.readouterr().err == (
        "interrupted: 1 artefact deleted, 8.0 KiB freed; the next clean finishes dist\n"
    )
    assert tempkeep("clean") == 0
    assert not (project / "dist").exists()


@pytest.mark.parametrize("by", ["link", "directory"])
def test_nothing_goes_in_what_takes_the_place_of_the_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    other = make_entry(tmp_path / "other", "dist").parent
    make_entry(project, "build")
    make_entry(project, "dist")
    remove = artefacts.remove_artefact

    def swapped(top: int, path: str) -> Removed:
        removed = remove(top, path)
        if path == "build":
            project.rename(tmp_path / "moved")
            if by == "link":
                project.symlink_to(other)
            else:
                other.rename(project)
        return removed

    monkeypatch.setattr(commands, "remove_artefact", swapped)

    tempkeep("clean")

    assert listing(project / "dist") == ["file0.txt"]


def test_names_cannot_act_on_the_terminal(project: Path, capsys: Printed) -> None:
    make_entry(project, "src\x1b[31m\n/build")

    assert tempkeep("clean") == 0

    assert capsys.readouterr().out.splitlines() == [
        "deleted src\\x1b[31m\\n/build  8.0 KiB  (artefact: build/)",
        "project: deleted 1 artefact, 8.0 KiB",
    ]


def test_artefacts_free_what_they_share_with_the_last_of_them(
    project: Path, capsys: Printed
) -> None:
    (make_entry(project, "build") / "large").write_bytes(os.urandom(200_000))
    make_entry(project, "dist")
    os.link(project / "build" / "large", project / "dist" / "large")
    totals = []
    for arguments in (["--dry-run"], []):
        assert tempkeep("clean", *arguments) == 0
        totals.append(capsys.readouterr().out.splitlines()[2].partition("artefacts, ")[2])
    assert totals[0] == totals[1]
    assert float(totals[0].split(" ")[0]) < 250
