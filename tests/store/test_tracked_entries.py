"""Entries that the git around the root tracks: work in them is kept, as `inv clean` keeps it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from common.temp.core.policy import Policy
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.store.repositories import clone, commit, git
from tests.support import (
    EVERYTHING,
    NOW,
    inv,
    let_others_reach,
    make_entry,
    make_project,
    outcomes,
    run,
    scanned,
    swept,
)

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


@pytest.fixture
def fixtures(project: Path) -> Path:
    """An entry with a tracked file that has changed, beside one with none."""
    git(project, "init", "-q")
    there = make_entry(project / ".tmp", "work/fixtures")
    make_entry(project / ".tmp", "work/fixtures2")
    git(project, "add", "-f", ".tmp/work/fixtures/file0.txt")
    commit(project)
    (there / "file0.txt").write_text("a week of work")
    return there


def test_what_git_tracks_in_scratch_stays_whatever_the_limit(
    project: Path, root: Path, fixtures: Path
) -> None:
    assert scanned(root)["work/fixtures"].work == "git tracks .tmp/work/fixtures/file0.txt"
    assert scanned(root)["work/fixtures2"].work is None
    said = inv("temp-clean", "--everything", "--yes", cwd=project).stdout
    assert "kept work/fixtures: unsaved work: git tracks .tmp/work/fixtures/file0.txt" in said
    assert "deleted work/fixtures2" in said
    assert swept(root, Policy(max_age=0)).done == ()
    assert (fixtures / "file0.txt").read_text() == "a week of work"
    done = inv("temp-clean", "--include-in-use", "--name", "fixtures", "--yes", cwd=project)
    assert not fixtures.exists(), done


def test_what_the_last_commit_has_stays_while_there_is_no_index(
    project: Path, root: Path, fixtures: Path
) -> None:
    (project / ".git" / "index").unlink()  # as one repairs a damaged one, before `git reset`
    assert scanned(root)["work/fixtures"].work == "git tracks .tmp/work/fixtures/file0.txt"
    assert [step.entry.path for step in swept(root).plan.steps] == ["work/fixtures2"]


def test_what_git_tracks_in_a_root_that_is_a_work_tree_stays(root: Path) -> None:
    there, other = make_entry(root, "work/notes"), make_entry(root, "work/other")
    git(root, "init", "-q")
    git(root, "add", "-f", "work/notes")
    commit(root)
    swept(root)
    assert (there.exists(), other.exists()) == (True, False)


def test_what_git_tracks_since_the_plan_was_drawn_stays(
    project: Path, root: Path, fixtures: Path
) -> None:
    plan = prepare(root, EVERYTHING, NOW, sizes=False)
    git(project, "add", "-f", ".tmp/work/fixtures2")
    done = outcomes(execute(plan))
    assert done["work/fixtures2"] == (
        "skipped",
        "holds unsaved work: git tracks .tmp/work/fixtures2/file0.txt",
    )


@pytest.mark.parametrize("settings", [("index.version", "4"), ("core.splitIndex", "true")])
def test_an_index_that_does_not_spell_its_paths_is_read_by_git(
    project: Path, root: Path, fixtures: Path, settings: tuple[str, str]
) -> None:
    git(project, "config", *settings)
    for name in ("one", "two"):
        (project / name).touch()
        git(project, "update-index", "--add", "--force-write-index", name)
    assert list(outcomes(swept(root))) == ["work/fixtures2"]


def test_a_sparse_index_that_names_the_project_in_place_of_its_files_is_read_by_git(
    tmp_path: Path,
) -> None:
    git(tmp_path, "init", "-q")
    project = make_project(tmp_path / "projects" / "a")
    there = make_entry(project / ".tmp", "work/fixtures")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    git(tmp_path, "add", "-f", ".")
    commit(tmp_path)
    git(tmp_path, "sparse-checkout", "set", "--cone", "--sparse-index", "other")
    assert not there.exists()
    project = make_project(tmp_path / "projects" / "a")  # as one looks into what is left out
    there = make_entry(project / ".tmp", "work/fixtures")
    assert swept(project / ".tmp").done == ()
    assert there.exists()


def test_what_an_outer_repository_tracks_stays_in_a_linked_work_tree_as_well(
    project: Path, tmp_path: Path, fixtures: Path
) -> None:
    git(project, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    root = tmp_path / "linked" / ".tmp"
    clone(project, root / "work" / "inner")
    assert list(outcomes(swept(root))) == ["work/inner"]


def test_what_git_tracks_no_more_goes(project: Path, root: Path, fixtures: Path) -> None:
    git(project, "rm", "-rq", "--cached", ".tmp")
    assert len(swept(root).done) == 2


def test_a_broken_index_keeps_what_it_may_track(project: Path, root: Path, fixtures: Path) -> None:
    (project / ".git" / "index").write_bytes(b"garbage")
    assert "cannot tell what git tracks here" in str(scanned(root)["work/fixtures"].work)
    assert swept(root).done == ()


def test_a_repository_that_somebody_else_put_above_keeps_nothing(
    project: Path, root: Path, fixtures: Path
) -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    let_others_reach(project)
    for path in (root, *root.rglob("*")):
        os.chown(path, 1000, 1000)
    os.chown(project / ".git", 1001, 1001)
    (project / ".git" / "index").write_bytes(b"garbage")
    assert len(swept(root).done) == 2
    assert run(["test", "-e", str(fixtures)], cwd=project).returncode == 1
