"""Directories of jobs, files and runs in the tasks: listed and cleaned where `roots` names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layout import JOBS
from common.temp.store.allocation import allocate_named, make_root
from tests.support import inv, listing, make_entry, make_project

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
        done = inv("temp-clean", "--yes", cwd=project)
        assert done.returncode == 0, done.stderr
        for directory in (project / "artifacts", project):
            assert not (directory / RUN).exists()
            assert (directory / "precious" / "file0.txt").exists()


def test_one_that_is_missing_is_no_error(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["nowhere"]')
    assert statuses(project)["project/nowhere"] == []
    assert inv("temp-clean", "--yes", cwd=project).returncode == 0
    assert not (project / "nowhere").exists()


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
    assert "'stars' is no layout that this version knows" in done.stderr
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
    assert inv("temp-clean", "--yes", cwd=project).returncode == 0
    assert not (project / "artifacts" / RUN).exists()


def test_a_name_in_two_roots_wants_a_path(tmp_path: Path) -> None:
    project = project_with(tmp_path, '["a", "b"]')
    for name in ("a", "b"):
        make_entry(project / name, RUN)
    done = inv("temp-pin", RUN, "--reason", "x", cwd=project)
    assert done.returncode == 2
    assert f"{project}/a/{RUN} or {project}/b/{RUN}; give the path" in done.stderr
