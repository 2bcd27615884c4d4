"""Roots behind symlinks: which may be cleaned, and that no face follows a planted one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.contexts import get_debug_temp_dir
from common.temp.errors import Refused, TempError
from common.temp.jobs import StorageRoot
from common.temp.manager import TempManager
from common.temp.outputs import OutputRoot
from common.temp.pipeline import ArtifactCleaner, CleanupConfig, start_run
from common.temp.store.project.project import check_root, open_root
from common.temp.tracking import FileCleanupManager, ThreadedFileCleanupManager
from tests.support import (
    age,
    check_report,
    let_others_reach,
    listing,
    make_entry,
    make_project,
    meanwhile,
    run,
    swept,
    tempkeep,
)

RUN = "pipeline_artifacts_20200101_000000"
USER = 1000

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = run(["git", *identity, *arguments], cwd=directory)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Somebody's work, all of it old, some of it looking like a run and like a job."""
    documents = tmp_path / "Documents"
    for name in ("thesis", "debug/photos_1500000000", RUN):
        make_entry(documents, name, age_hours=9999)
    (documents / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    age(documents, 9999)
    return documents


@pytest.fixture
def clone(tmp_path: Path, documents: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of a repository whose author chose where every kind of root lies."""
    settings = '[tool.tempkeep]\nmax_age_hours = 0\nroots = ["runs"]\n'
    evil = make_project(tmp_path / "evil", settings)
    for name in (".tmp", ".temp", ".tmp-archive"):
        (evil / name).symlink_to("../Documents")
    shutil.copytree(documents, tmp_path / "Work")
    for name in ("runs", "jobs", "files", "out", "deep"):
        (evil / name).symlink_to("../Work")
    shutil.copytree(evil, evil / "projects" / "inner", symlinks=True)
    (evil / "projects" / "inner" / "pyproject.toml").write_text("")
    (evil / "projects" / "inner" / ".tmp").unlink()
    (evil / "projects" / "inner" / ".tmp").symlink_to("../../../Documents")
    git(evil, "init", "-q")
    git(evil, "add", "-f", ".")
    git(evil, "commit", "-qm", "x")
    git(tmp_path, "clone", "-q", "evil", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = make_project(tmp_path / "project")
    monkeypatch.chdir(project)
    return project


# -- planted ------------------------------------------------------------------------------------


def test_a_link_that_a_repository_tracks_is_followed_by_no_task(
    clone: Path, documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listing(documents.parent / "Work"), listing(documents)
    for command in (
        ("clean",),
        ("temp-clean", "--everything", "--yes"),
        ("temp-clean", "--all-projects", "--yes", "--force"),
        ("temp-clean", "--scheduled"),
        ("temp-clean", "--yes", "--background"),
        ("temp-clean", "--yes", "--undoable"),
        ("temp-clean", "--strategy", "archive", "--yes"),
        ("temp-adopt",),
        ("temp-status",),
        ("temp-status", "--history"),
        ("temp-restore", "--list"),
    ):
        assert tempkeep(*command) == 3, command
        said = capsys.readouterr().err
        assert f"is a symlink to {documents}" in said
        assert "that git tracks; remove" in said
        assert (listing(documents.parent / "Work"), listing(documents)) == before, command


def test_a_link_that_a_repository_tracks_is_followed_by_no_face(
    clone: Path, documents: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = listing(documents)
    faces: list[Callable[[], object]] = [
        lambda: get_debug_temp_dir("x"),
        lambda: TempManager.list_persistent_temps(),
        lambda: TempManager.clean_persistent_temps(24),
        lambda: StorageRoot(Path("jobs")),
        lambda: StorageRoot(clone / "deep" / "jobs"),
        lambda: StorageRoot(clone / "deep" / "new" / "jobs"),
        lambda: start_run("runs"),
        lambda: FileCleanupManager("files"),
        lambda: ThreadedFileCleanupManager(clone / "files"),
        lambda: OutputRoot().run_dir("out"),
        lambda: OutputRoot().run_dir("deep/results"),
    ]
    for face in faces:
        with pytest.raises(Refused, match="that git tracks; remove"):
            face()
    (error,) = ArtifactCleaner("runs").cleanup()["errors"]
    assert "that git tracks" in error
    assert listing(documents) == before


def test_a_link_is_refused_though_an_outer_repository_tracks_it_and_an_inner_one_does_not(
    clone: Path, documents: Path
) -> None:
    git(clone / "projects" / "inner", "init", "-q")
    with pytest.raises(Refused, match="that git tracks"):
        check_root(clone / "projects" / "inner" / ".tmp")


@pytest.mark.parametrize("trouble", ["no index", "no git"])
def test_where_git_cannot_be_asked_a_link_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    git(project, "init", "-q")
    git(project, "add", "pyproject.toml")
    (tmp_path / "empty").mkdir()
    (project / ".tmp").symlink_to(tmp_path / "empty")
    if trouble == "no index":
        (project / ".git" / "index").write_bytes(b"odd")
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match=r"git cannot say whether it tracks it .*remove the link"):
        check_root(project / ".tmp")
    assert listing(tmp_path / "empty") == []


@as_root
@pytest.mark.parametrize(("link", "target"), [(USER, 0), (0, USER), (USER, USER)])
def test_a_link_of_another_user_or_to_their_directory_is_refused(
    project: Path, documents: Path, link: int, target: int
) -> None:
    (documents / ".tempkeep").mkdir()
    (project / ".tmp").symlink_to(documents)
    os.lchown(project / ".tmp", link, link)
    for path in (documents, documents / ".tempkeep"):
        os.chown(path, target, target)
    before = listing(documents)
    with pytest.raises(Refused, match=f"to {documents}.*another user|another user to {documents}"):
        check_root(project / ".tmp")
    assert tempkeep("temp-clean", "--everything", "--yes") == 3
    assert listing(documents) == before


@as_root
def test_a_user_cleans_no_link_that_root_made_in_the_project(project: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (project / ".tmp").symlink_to(scratch)
    for path in (project, scratch):
        os.chown(path, USER, USER)
    code = "import sys; from pathlib import Path\n"
    code += "from common.temp.store.project.project import check_root\n"
    code += "try: print(check_root(Path(sys.argv[1])))\nexcept Exception as e: print(e)"
    let_others_reach(project)
    user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    if not shutil.which("setpriv"):
        pytest.skip("setpriv of util-linux is missing")
    command = [*user, sys.executable, "-c", code, str(project / ".tmp")]
    said = run(command, cwd=project)
    if not said.stdout:
        pytest.skip(f"another user cannot run this Python: {said.stderr[-200:]}")
    assert "is a symlink of another user" in said.stdout
    os.lchown(project / ".tmp", USER, USER)
    assert run(command, cwd=project).stdout == "True\n"


# -- one's own ------------------------------------------------------------------------------------


def test_ones_own_link_to_an_empty_directory_works_and_goes_on_working(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(project, "init", "-q")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "again").symlink_to("scratch")
    (project / ".tmp").symlink_to("../again")
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    assert listing(scratch) == []
    made = get_debug_temp_dir("x")
    assert (scratch / "debug" / made.name).is_dir()
    capsys.readouterr()
    assert tempkeep("temp-status") == 0
    assert f"({project}/.tmp -> {scratch})" in capsys.readouterr().out
    assert tempkeep("temp-status", "--format", "json") == 0
    document = check_report(json.loads(capsys.readouterr().out))["projects"][0]
    assert (document["root"], document["leads_to"]) == (f"{project}/.tmp", str(scratch))
    assert tempkeep("temp-explain", f"debug/{made.name}") == 0
    assert f"  in {project}/.tmp -> {scratch}\n" in capsys.readouterr().out
    assert TempManager.clean_persistent_temps() == 1
    assert not made.exists()
    assert (project / ".tmp").is_symlink()


def test_a_link_to_the_scratch_of_another_project_cleans_nothing_while_that_leads_there(
    project: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch, other = tmp_path / "scratch", make_project(tmp_path / "other")
    scratch.mkdir()
    for one in (project, other):
        (one / ".tmp").symlink_to(scratch)
    with monkeypatch.context() as there:
        there.chdir(other)
        made = get_debug_temp_dir("golden")
    assert get_debug_temp_dir("x").parent.samefile(made.parent)
    for command in ("temp-clean", "clean"):
        assert tempkeep(command, *(["--everything", "--yes"] if "-" in command else [])) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{project}/.tmp leads to {scratch}, which is the scratch of {other}/.tmp" in line
    with pytest.raises(Refused):
        TempManager.clean_persistent_temps()
    assert made.is_dir()
    assert tempkeep("temp-status") == 0
    other.rename(tmp_path / "moved")
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    assert not made.exists()


def test_a_link_to_the_own_scratch_of_another_project_cleans_nothing(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a work tree of an older branch, or in what somebody unpacked beside it."""
    other = make_project(tmp_path / "other", '[tool.tempkeep]\nexclude = ["golden_*"]\n')
    golden = make_entry(other / ".tmp", "work/golden_1696348800")
    (project / ".tmp").symlink_to("../other/.tmp")
    for command in (["temp-clean", "--everything", "--yes"], ["clean"]):
        assert tempkeep(*command) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{project}/.tmp leads to the scratch of {other}" in line
    with pytest.raises(Refused):
        TempManager.clean_persistent_temps()
    assert golden.is_dir()


def test_a_link_to_the_scratch_of_the_monorepo_around_it_cleans_by_its_settings(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nexclude = ["golden_*"]\n')
    for name in ("golden", "plain"):
        make_entry(project / ".tmp", f"work/{name}_1696348800")
    (project / ".tmp" / ".tempkeep").mkdir()
    inner = make_project(project / "projects" / "inner")
    (inner / ".tmp").symlink_to("../../.tmp")
    monkeypatch.chdir(inner)
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    assert [path.name for path in (project / ".tmp" / "work").iterdir()] == ["golden_1696348800"]


def test_the_question_before_a_clean_says_where_the_data_is(project: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    make_entry(scratch, "debug/x_1500000000")
    (scratch / ".tempkeep").mkdir()
    (project / ".tmp").symlink_to(scratch)
    command = [sys.executable, "-m", "common.temp", "temp-clean", "--ask"]
    done = run(command, cwd=project, stdin="all\nn\n")
    assert done.returncode == 3
    assert f"entries in {project}/.tmp -> {scratch}\n" in done.stderr
    assert f" in {project}/.tmp -> {scratch}? [y/N]" in done.stderr
    assert (scratch / "debug" / "x_1500000000").is_dir()


def test_ones_own_link_to_what_is_no_root_is_refused_until_it_is_made_one(
    project: Path, documents: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".tmp").symlink_to(documents)
    before = listing(documents)
    with pytest.raises(Refused):
        get_debug_temp_dir("x")
    assert tempkeep("temp-clean", "--everything", "--yes") == 3
    said = capsys.readouterr().err
    assert f"{project}/.tmp is a symlink to {documents}, which is neither empty nor made" in said
    assert f"mkdir {documents}/.tempkeep" in said
    assert listing(documents) == before
    (documents / ".tempkeep").mkdir()
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    assert not (documents / "thesis").exists()


def test_a_link_to_a_root_of_another_kind_is_no_scratch(project: Path, tmp_path: Path) -> None:
    StorageRoot(tmp_path / "jobs").allocate_job("a")
    (tmp_path / "jobs" / "mine.txt").write_text("x")
    (project / ".tmp").symlink_to(tmp_path / "jobs")
    before = listing(tmp_path / "jobs")
    with pytest.raises(Refused, match="holds jobs, files or runs; remove the link"):
        TempManager.clean_persistent_temps()
    assert listing(tmp_path / "jobs") == before


@pytest.mark.parametrize("made_by", ["runs", "archive"])
def test_what_a_clean_alone_has_marked_is_no_scratch(
    project: Path, tmp_path: Path, made_by: str
) -> None:
    """Neither a directory with runs of another program, nor an archive, tells its layout."""
    work = tmp_path / "work"
    work.mkdir()
    if made_by == "runs":
        for day in range(1, 4):
            (work / f"pipeline_artifacts_2020010{day}_000000").mkdir()
        ArtifactCleaner(work, CleanupConfig(max_runs_to_keep=1)).cleanup()
    else:
        (project / "archive").symlink_to(work)
        make_entry(project / ".tmp", "debug/x_1500000000")
        (project / "pyproject.toml").write_text(
            '[tool.tempkeep]\narchive = true\narchive_location = "archive"\n'
        )
        assert tempkeep("temp-clean", "--everything", "--yes") == 0
    (work / "measured.csv").write_text("precious")
    assert (work / ".tempkeep").is_dir()
    shutil.rmtree(project / ".tmp", ignore_errors=True)
    (project / ".tmp").symlink_to(work)
    before = listing(work)
    with pytest.raises(Refused, match="may hold more than scratch"):
        TempManager.clean_persistent_temps()
    assert listing(work) == before


def test_roots_and_an_archive_behind_ones_own_links_work(project: Path, tmp_path: Path) -> None:
    for name in ("jobs", "archive", "runs", "files"):
        (tmp_path / "disk" / name).mkdir(parents=True)
        (project / name).symlink_to(tmp_path / "disk" / name)
    (project / "disk").symlink_to(tmp_path / "disk")
    job = StorageRoot(Path("jobs")).allocate_job("a")
    assert StorageRoot(Path("jobs")).root == job.root.parent
    StorageRoot(Path("disk/jobs")).release_job("b")
    start_run("runs")
    start_run("runs")
    manager = ThreadedFileCleanupManager("files")
    assert asyncio.run(FileCleanupManager("files").cleanup_old_files(1))["errors"] == 0
    assert manager.cleanup_all_tracked() == 0
    (tmp_path / "disk" / "results").mkdir()
    (tmp_path / "disk" / "results" / "mine").touch()
    assert OutputRoot().run_dir("disk/results").is_dir()
    for name in ("x", "y"):
        make_entry(project / ".tmp", f"debug/{name}")
        report = swept(project / ".tmp", disposal="archive", archive=project / "archive")
        assert [outcome.status for outcome in report.outcomes] == ["done"], report
    assert (tmp_path / "disk" / "archive" / "debug__y").is_dir()


def test_a_link_above_the_project_is_the_users_own_affair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path / "disk" / "project")
    (tmp_path / "link").symlink_to("disk")
    project = tmp_path / "link" / "project"
    make_entry(project / ".tmp", "debug/x")
    assert check_root(project / ".tmp")
    assert len(swept(project / ".tmp").done) == 1
    make_entry(project / "jobs", "mine")
    assert StorageRoot(project / "jobs").root == project / "jobs"


@as_root
def test_a_path_that_a_program_names_may_be_its_users_link_outside_of_any_project(
    tmp_path: Path,
) -> None:
    make_entry(tmp_path / "disk", "mine")
    (tmp_path / "jobs").symlink_to("disk")
    job = StorageRoot(tmp_path / "jobs").allocate_job("a")
    assert (tmp_path / "disk" / "a").is_dir()
    assert job.root == tmp_path / "jobs" / "a"
    os.chown(tmp_path / "disk", USER, USER)
    with pytest.raises(Refused, match="a directory of another user"):
        StorageRoot(tmp_path / "jobs")


# -- swapped --------------------------------------------------------------------------------------


def test_a_link_that_is_swapped_all_the_time_leads_no_sweep_elsewhere(
    project: Path, tmp_path: Path, documents: Path
) -> None:
    scratch = tmp_path / "scratch"
    make_entry(scratch, ".tempkeep/holding/left")
    (scratch / ".tempkeep" / "owners").mkdir()
    # In its place as an entry there: only what says that it is a root is missing.
    make_entry(documents, "debug/x")
    root = project / ".tmp"
    root.symlink_to(scratch)

    def swap() -> None:
        for target in (documents, scratch):
            (project / "new").symlink_to(target)
            (project / "new").rename(root)

    before = listing(documents)
    went = 0
    with meanwhile(swap):
        until = time.monotonic() + 30
        for number in range(60):
            make_entry(scratch, f"debug/x/{number}")
            try:
                went += len(swept(root, workers=1).done)
            except TempError:
                continue
            if time.monotonic() > until:
                break
    assert listing(documents) == before
    root.unlink()
    root.symlink_to(scratch)
    swept(root)
    assert not (scratch / "debug" / "x").exists()


def test_what_was_opened_is_what_was_checked(
    project: Path, tmp_path: Path, documents: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    (project / ".tmp").symlink_to(tmp_path / "scratch")
    descriptor = open_root(project / ".tmp")
    try:
        assert os.fstat(descriptor).st_ino == (tmp_path / "scratch").stat().st_ino
    finally:
        os.close(descriptor)
    (project / ".tmp").unlink()
    (project / ".tmp").symlink_to(documents)
    with pytest.raises(Refused):
        open_root(project / ".tmp")
