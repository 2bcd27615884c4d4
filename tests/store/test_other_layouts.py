"""Roots with another layout than `.tmp`: made, listed, leased and swept by the same code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.temp.core.layouts import FILES, JOBS, LAYOUTS, PIPELINE, SCRATCH, Layout
from common.temp.core.policy import Policy
from common.temp.errors import Refused, StorageError
from common.temp.store.root import owner as lease
from common.temp.store.root.allocation import adopt, allocate_named
from common.temp.store.root.making import make_root
from common.temp.store.scanning.scan import scan
from common.temp.store.settings.recorded_layout import layout_of
from common.temp.store.sweep.discard import discard
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import EVERYTHING, NOW, environment, listing, make_entry, make_project, process

OTHERS = (JOBS, FILES, PIPELINE)
NAMES = {"jobs": "job-1", "files": "upload", "pipeline": "pipeline_artifacts_20250917_013040"}

MAKE = """
import sys
from common.temp.core.layouts import LAYOUTS
from common.temp.store.root.allocation import allocate_named
root, layout, name = sys.argv[1:]
print(allocate_named(root, name, LAYOUTS[layout]), flush=True)
sys.stdin.readline()
"""

others = pytest.mark.parametrize("layout", OTHERS, ids=[layout.name for layout in OTHERS])


def paths(root: Path, layout: Layout) -> list[str]:
    return [entry.path for entry in scan(root, NOW, layout=layout).entries]


def sweep(root: Path, layout: Layout, policy: Policy = EVERYTHING) -> dict[str, str]:
    report = execute(prepare(root, policy, NOW, layout=layout))
    return {done.step.entry.path: done.status for done in report.outcomes}


# -- making -----------------------------------------------------------------------------------


@others
def test_a_root_has_its_store_and_nothing_else(tmp_path: Path, layout: Layout) -> None:
    root = tmp_path / "a" / "b"
    make_root(str(root), layout)
    assert os.listdir(root) == [".tempkeep"]
    assert layout_of(root) is layout


def test_git_sees_what_the_user_has_in_it_and_not_the_store(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    make_root(str(tmp_path / "runs"), PIPELINE)
    (tmp_path / "runs" / "notes.txt").touch()
    told = ["git", "status", "--porcelain", "--untracked-files=all"]
    seen = subprocess.run(told, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert seen.stdout == "?? runs/notes.txt\n"


@others
def test_making_it_again_leaves_it_as_it_is(tmp_path: Path, layout: Layout) -> None:
    root = tmp_path / "root"
    made = allocate_named(str(root), NAMES[layout.name], layout)
    before = listing(root)
    make_root(str(root), layout)
    assert listing(root) == before
    lease.release(str(root), os.path.basename(made))


def test_many_processes_make_one_root(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(tmp_path / "root"), "jobs", f"job-{number}"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        for number in range(12)
    ]
    assert [one.wait(60) for one in started] == [0] * 12
    for one in started:
        one.communicate()
    names = {f"job-{number}" for number in range(12)}
    assert set(os.listdir(tmp_path / "root")) == {".tempkeep", *names}


@pytest.mark.parametrize("layout", [JOBS, FILES], ids=["jobs", "files"])
@pytest.mark.parametrize("marker", ["pyproject.toml", ".git"])
def test_a_project_is_no_root_of_that_kind(tmp_path: Path, layout: Layout, marker: str) -> None:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / marker).touch()
    with pytest.raises(Refused, match="may hold more than"):
        make_root(str(project), layout)
    assert sorted(os.listdir(project)) == sorted([marker, "src"])


@pytest.mark.parametrize("place", [".tmp", ".tmp/uploads", ".tmp/work/x_1696348800/uploads"])
def test_files_have_no_root_in_a_tmp_of_which_it_would_be_an_entry(
    project: Path, place: str
) -> None:
    with pytest.raises(Refused, match="and would be an entry there; choose another directory"):
        make_root(str(project / place), FILES)
    assert not (project / ".tmp").exists()


def test_files_have_a_root_in_a_project_that_lies_in_a_tmp(project: Path) -> None:
    inner = make_project(project / ".tmp" / "work" / "clone_1696348800")
    make_root(str(inner / "uploads"), FILES)
    assert layout_of(inner / "uploads") is FILES


def test_home_is_no_root_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(Refused, match="may hold more than"):
        make_root(str(home), JOBS)
    assert os.listdir(home) == []


@pytest.mark.parametrize("layout", [JOBS, FILES], ids=["jobs", "files"])
def test_a_root_of_another_layout_is_refused(tmp_path: Path, layout: Layout) -> None:
    root = tmp_path / ".tmp"
    make_root(str(root))
    with pytest.raises(Refused, match=f"holds scratch, not {layout.name}"):
        make_root(str(root), layout)
    make_root(str(tmp_path / "runs"), PIPELINE)
    with pytest.raises(Refused, match=f"holds pipeline, not {layout.name}"):
        make_root(str(tmp_path / "runs"), layout)


def test_runs_that_were_swept_before_can_become_a_root(tmp_path: Path) -> None:
    make_entry(tmp_path, NAMES["pipeline"])
    assert sweep(tmp_path, PIPELINE) == {NAMES["pipeline"]: "done"}
    make_root(str(tmp_path), PIPELINE)
    assert layout_of(tmp_path) is PIPELINE


@pytest.mark.parametrize(
    ("name", "layout"), [(".tmp", SCRATCH), (".temp", SCRATCH), ("runs", PIPELINE)]
)
def test_a_root_that_does_not_say_its_layout_is_told_by_its_name(
    tmp_path: Path, name: str, layout: Layout
) -> None:
    root = tmp_path / name
    assert layout_of(root) is layout
    assert layout_of(root, is_scratch=True) is SCRATCH
    assert layout_of(root, is_scratch=False) is PIPELINE
    make_root(str(tmp_path / "jobs"), JOBS)
    assert layout_of(tmp_path / "jobs", is_scratch=True) is JOBS


def test_a_layout_of_the_future_is_an_error(tmp_path: Path) -> None:
    make_root(str(tmp_path / "root"), JOBS)
    (tmp_path / "root" / ".tempkeep" / "layout").write_text("stars\n")
    with pytest.raises(StorageError, match="this version does not know the layout 'stars'"):
        layout_of(tmp_path / "root")


def test_a_store_behind_a_link_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_root(str(tmp_path / "other"), FILES)
    root.mkdir()
    (root / ".tempkeep").symlink_to(tmp_path / "other" / ".tempkeep")
    with pytest.raises(Refused):
        make_root(str(root), FILES)
    with pytest.raises(Refused):
        layout_of(root)


# -- entries ----------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_refused_and_the_lease_stays_the_first_ones(
    tmp_path: Path,
) -> None:
    root = str(tmp_path / "root")
    allocate_named(root, "job", JOBS)
    with pytest.raises(FileExistsError):
        allocate_named(root, "job", JOBS)
    (entry,) = scan(tmp_path / "root", NOW, layout=JOBS).entries
    assert entry.use is not None
    assert entry.use.mine
    lease.release(root, "job")


def test_what_is_no_entry_of_the_layout_is_neither_listed_nor_swept(tmp_path: Path) -> None:
    for layout in OTHERS:
        root = tmp_path / layout.name
        make_entry(root, NAMES[layout.name])
        make_entry(root, ".hidden")
        (root / "notes.txt").write_text("mine")
        (root / "link").symlink_to(tmp_path)
        make_entry(root, "results")
    assert paths(tmp_path / "pipeline", PIPELINE) == [NAMES["pipeline"]]
    assert sweep(tmp_path / "pipeline", PIPELINE) == {NAMES["pipeline"]: "done"}
    left = {".hidden", ".tempkeep", "notes.txt", "link", "results"}
    assert set(os.listdir(tmp_path / "pipeline")) == left
    assert set(sweep(tmp_path / "jobs", JOBS)) == {".hidden", "job-1", "results"}
    assert set(os.listdir(tmp_path / "jobs")) == {".tempkeep", "notes.txt", "link"}
    sweep(tmp_path / "files", FILES)
    assert os.listdir(tmp_path / "files") == [".tempkeep"]


@others
def test_a_live_process_keeps_its_own_and_a_dead_ones_goes(tmp_path: Path, layout: Layout) -> None:
    root, name = tmp_path / "root", NAMES[layout.name]
    code = MAKE.replace("sys.argv[1:]", repr([str(root), layout.name, name]))
    with process(code, cwd=tmp_path) as alive:
        assert alive.first_line == str(root / name)
        assert sweep(root, layout) == {}
    assert sweep(root, layout) == {name: "done"}


def test_an_adopted_file_is_leased_as_often_as_it_was_adopted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for _ in range(2):
        adopt(str(root), "upload", FILES)
    (root / "upload").write_text("x")
    for uses in (True, True, False):
        (entry,) = scan(root, NOW, layout=FILES).entries
        assert (entry.use is not None) is uses
        lease.release(str(root), "upload")


def test_one_that_is_made_where_another_has_just_gone_keeps_its_lease(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_root(str(root), JOBS)
    make_entry(root, "job")
    plan = prepare(root, EVERYTHING, NOW, layout=JOBS)

    def make_it_again(files: int, size: int) -> None:
        if not (root / "job").exists():
            allocate_named(str(root), "job", JOBS)

    execute(plan, on_freed=make_it_again, workers=1)
    (entry,) = scan(root, NOW, layout=JOBS).entries
    assert entry.use is not None
    assert discard(str(root), "job") == ""
    assert paths(root, JOBS) == []


def test_what_is_made_again_while_the_last_is_deleted_keeps_its_lease(tmp_path: Path) -> None:
    root = tmp_path / "root"
    allocate_named(str(root), "job", JOBS)

    def make_it_again(files: int, size: int) -> None:
        if not (root / "job").exists():
            discard(str(root), "job", JOBS)  # of another thread, which finds nothing
            allocate_named(str(root), "job", JOBS)

    execute(prepare(root, EVERYTHING, NOW, layout=JOBS), on_freed=make_it_again, workers=1)
    (entry,) = scan(root, NOW, layout=JOBS).entries
    assert entry.use is not None
    lease.release(str(root), "job")


def test_what_is_no_entry_any_more_is_not_discarded(tmp_path: Path) -> None:
    root = tmp_path / "root"
    os.rmdir(allocate_named(str(root), "job", JOBS))
    (root / "job").write_text("mine")
    assert "is no longer a directory" in discard(str(root), "job", JOBS)
    assert (root / "job").read_text() == "mine"


def test_what_is_no_entry_any_more_when_it_is_measured_is_none(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_root(str(root), JOBS)
    for name in ("a", "b"):
        make_entry(root, name)

    def replace(entries: int, size: int) -> None:
        if entries == 1:
            (root / "b").rename(tmp_path / "moved")
            (root / "b").write_text("mine")

    plan = prepare(root, EVERYTHING, NOW, layout=JOBS, progress=replace, workers=1)
    assert [step.entry.path for step in plan.steps] == ["a"]


def test_every_layout_is_known_by_its_name() -> None:
    assert [LAYOUTS[layout.name] for layout in (SCRATCH, *OTHERS)] == [SCRATCH, *OTHERS]
