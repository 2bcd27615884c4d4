"""Directories of jobs, files and runs in the tasks: listed and cleaned if `roots` names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layouts import JOBS
from common.temp.store.root.allocation import allocate_named
from common.temp.store.root.making import make_root
from tests.support import inv, listing, make_entry, make_project, tempkeep

RUN = "pipeline_artifacts_20250917_013040"


def project_with(tmp_path: Path, roots: str) -> Path:
    return make_project(tmp_path / "project", f"[tool.tempkeep]\nroots = {roots}\n")


def statuses(project: Path, *arguments: str) -> dict[str, list[str]]:
    done = inv("temp-status", "--format", "json", *arguments, cwd=project)
    assert done.stdout, done.stderr
    documents: list[dict[str, Any]] = json.loads(done.stdout)["projects"]
    return {one["project"]: [entry["path"] for entry in one["entries"]] for one in documents}


def test_a_root_is_listed_only_where_the_settings_name_it(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["var/jobs"]')
    make_root(str(project / "var" / "jobs"), JOBS)
    make_root(str(project / "var" / "more"), JOBS)
    make_entry(project / "var" / "jobs", "a")
    make_entry(project / "var" / "more", "b")
    assert statuses(project) == {"project": [], "project/var/jobs": ["a"]}


def test_a_clean_takes_what_goes_there_and_leaves_other_roots_alone(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["var/jobs"]')
    make_root(str(project / "var" / "jobs"), JOBS)
    make_root(str(project / "var" / "more"), JOBS)
    make_entry(project / "var" / "jobs", "old", age_hours=30)
    make_entry(project / "var" / "jobs", "new")
    make_entry(project / "var" / "more", "old", age_hours=30)
    live = allocate_named(str(project / "var" / "jobs"), "live", JOBS)
    done = inv("temp-clean", "--max-age-hours", "24", "--yes", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in Path(live).parent.iterdir()) == [".tempkeep", "live", "new"]
    assert (project / "var" / "more" / "old").exists()


def test_a_directory_that_is_no_root_yet_counts_as_one_of_runs(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["artifacts", "."]')
    for directory in (project / "artifacts", project):
        make_entry(directory, RUN)
        make_entry(directory, "precious")
    assert statuses(project)["project/artifacts"] == [RUN]
    for _ in range(2):
        done = inv("temp-clean", "--yes", "--everything", cwd=project)
        assert done.returncode == 0, done.stderr
        for directory in (project / "artifacts", project):
            assert not (directory / RUN).exists()
            assert (directory / "precious" / "file0.txt").exists()


def test_one_that_is_not_there_yet_is_no_error_and_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a fresh clone: nothing of that name, or of one like it, is there."""
    project = project_with(tmp_path, '["var/jobs", "runs", "runs2"]')
    for other in ("src", "runs1", "runs"):
        (project / other).mkdir()
    monkeypatch.chdir(project)
    for command in (("temp-status",), ("temp-clean", "--yes"), ("temp-check", "--max-size", "1GB")):
        assert tempkeep(*command) == 0, command
    said = capsys.readouterr().out
    assert f"project/var/jobs ({project}/var/jobs, which does not exist yet)" in said
    assert not (project / "var").exists()


@pytest.mark.parametrize(
    ("root", "meant"),
    [
        ("artifcats", "artifacts"),
        ("Artefacts", "artifacts"),
        ("vra/jobs", "var/jobs"),
        ("var/jbos", "var/jobs"),
    ],
)
def test_one_that_is_misspelt_is_an_error_of_the_configuration(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    root: str,
    meant: str,
) -> None:
    project = project_with(tmp_path, f'["{root}"]')
    make_entry(project / ".tmp", "debug/x")
    for name in ("artifacts", "var/jobs"):
        make_entry(project / name, RUN)
    monkeypatch.chdir(project)
    for command in (
        ("temp-status",),
        ("temp-clean", "--yes"),
        ("temp-clean", "--all-projects", "--yes"),
        ("temp-check", "--max-size", "1GB"),
        ("temp-schedule", "--every", "1d", "--strategy", "moderate", "--as", "cron", "--print"),
        ("clean",),
    ):
        assert tempkeep(*command) == 2, command
        assert capsys.readouterr().err == (
            f"error: {project}: roots: {project}/{root} does not exist; did you mean "
            f"{project}/{meant}? Correct it, or make the directory (mkdir -p {project}/{root})\n"
        )
    assert (project / ".tmp" / "debug" / "x").is_dir()
    (project / root).mkdir(parents=True)
    assert tempkeep("temp-clean", "--yes") == 0


def test_one_outside_of_the_project_whose_parent_is_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_with(tmp_path, f'["{tmp_path}/disk/jobs"]')
    monkeypatch.chdir(project)
    assert tempkeep("temp-clean", "--yes") == 2
    assert f"nor does {tmp_path}/disk; correct it, mount what belongs" in capsys.readouterr().err
    (tmp_path / "disk").mkdir()
    assert tempkeep("temp-clean", "--yes") == 0


def test_those_of_the_monorepo_are_not_those_of_its_projects(tmp_path: Path) -> None:
    monorepo = project_with(tmp_path, '["artifacts"]')
    photos = make_project(monorepo / "projects" / "photos")
    assert list(statuses(photos)) == ["photos"]
    assert list(statuses(photos, "--all-projects")) == [
        "project",
        "project/artifacts",
        "projects/photos",
    ]


def test_a_layout_that_cannot_be_read_is_one_problem_and_the_others_go_on(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["jobs"]')
    make_root(str(project / "jobs"), JOBS)
    (project / "jobs" / ".tempkeep" / "layout").write_text("stars")
    make_entry(project / "jobs", "a")
    make_entry(project / ".tmp", "debug/x")
    before = listing(project / "jobs")
    done = inv("temp-clean", "--yes", cwd=project)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "this version does not know the layout 'stars'" in done.stderr
    assert listing(project / "jobs") == before
    assert not (project / ".tmp" / "debug" / "x").exists()


@pytest.mark.parametrize("root", [".tmp", ".tmp/jobs"])
def test_the_projects_own_root_is_no_other(tmp_path: Path, root: str) -> None:
    project = project_with(tmp_path, f'["{root}"]')
    done = inv("temp-status", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert "which is listed anyway; leave it out" in done.stderr


def test_an_entry_is_pinned_explained_and_unpinned_by_its_name(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["artifacts"]')
    make_entry(project / "artifacts", RUN)
    assert inv("temp-pin", RUN, "--reason", "evidence", cwd=project).returncode == 0
    assert "evidence" in inv("temp-explain", f"artifacts/{RUN}", cwd=project).stdout
    assert inv("temp-clean", "--yes", cwd=project).returncode == 0
    assert (project / "artifacts" / RUN).exists()
    assert inv("temp-unpin", f"artifacts/{RUN}", cwd=project).returncode == 0
    assert inv("temp-clean", "--yes", "--everything", cwd=project).returncode == 0
    assert not (project / "artifacts" / RUN).exists()


def test_a_name_in_two_roots_wants_a_path(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["a", "b"]')
    for name in ("a", "b"):
        make_entry(project / name, RUN)
    done = inv("temp-pin", RUN, "--reason", "x", cwd=project)
    assert done.returncode == 2
    assert f"{project}/a/{RUN} or {project}/b/{RUN}; give the path" in done.stderr
