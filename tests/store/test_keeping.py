"""Files that stay when their entry goes: those that `keep_files` matches."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.disposal import Disposal
from common.temp.core.layouts import FILES, JOBS, SCRATCH
from common.temp.core.plan import Plan, Report
from common.temp.core.policy import Policy
from common.temp.jobs import StorageRoot
from common.temp.pipeline import ArtifactCleaner
from common.temp.pipeline_config import CleanupConfig
from common.temp.store.archive.local import LocalArchive
from common.temp.store.archive.restore import restore
from common.temp.store.root.allocation import allocate
from common.temp.store.root.listing import list_entries
from common.temp.store.shelf.belongs import Place
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.sweep import kept_files
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system.archive_formats import ArchiveFormat
from common.temp.store.trees import thinning
from common.temp.store.trees.removed import Removed, unlink_at
from common.temp.tracking import ThreadedFileCleanupManager
from tests.support import HOUR, age, immutable, listing, mounted, run, stored, tempkeep

NAME = "work/run_1696348800"


def make(root: Path, *files: str, hours: float = 48, size: int = 5000) -> Path:
    """An old entry with those files; a name that ends with `/` is an empty directory."""
    entry = root / NAME
    for file in files:
        path = entry / file
        (path if file.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not file.endswith("/"):
            path.write_bytes(b"x" * size)
    age(entry, hours)
    return entry


def link(target: str | Path, path: Path) -> None:
    """A link that is old, also if it leads to a directory."""
    os.symlink(target, path)
    os.utime(path, (0, 0), follow_symlinks=False)


def planned(root: Path, *patterns: str, disposal: Disposal = "delete", **more: Any) -> Plan:
    policy = Policy(max_age=HOUR, keep_files=patterns)
    return prepare(root, policy, time.time(), disposal=disposal, **more)


def all_planned(root: Path, *patterns: str, **more: Any) -> Plan:
    """The plan of a clean of everything."""
    return prepare(root, Policy(everything=True, keep_files=patterns), time.time(), **more)


def swept(root: Path, *patterns: str, disposal: Disposal = "delete", **more: Any) -> Report:
    if "archive" in more:
        more["archive"] = LocalArchive(more["archive"])
    return execute(planned(root, *patterns, disposal=disposal, **more), **more)


def said(report: Report) -> list[tuple[str, str]]:
    return [(outcome.status, outcome.detail) for outcome in report.outcomes]


@pytest.mark.parametrize(
    ("patterns", "stays"),
    [
        (["*.mp4"], ["deep", "deep/er", "deep/er/b.mp4", "final.mp4"]),
        (["final.mp4", "*.html"], ["final.mp4", "report.html"]),
        (["deep/*.mp4"], ["deep", "deep/er", "deep/er/b.mp4"]),
        (["er"], ["deep", "deep/er", "deep/er/b.mp4", "deep/er/log"]),
        (["er/", "*.mp4"], ["deep", "deep/er", "deep/er/b.mp4", "deep/er/log", "final.mp4"]),
        (
            ["**/*.mp4", "./report.html"],
            ["deep", "deep/er", "deep/er/b.mp4", "final.mp4", "report.html"],
        ),
        (["deep/**/*.mp4"], ["deep", "deep/er", "deep/er/b.mp4"]),
        (["**/er/b.mp4", "**/x/"], ["deep", "deep/er", "deep/er/b.mp4", "deep/x", "deep/x/y"]),
        (["*.db"], ["app.db", "app.db-journal", "app.db-wal", "app.db.wal"]),
        (["f*.{mov,{mp4,mkv}}", "{deep,x}/x/"], ["deep", "deep/x", "deep/x/y", "final.mp4"]),
        (["mp4", "*.MP4", ""], None),
    ],
)
def test_what_matches_stays_in_its_place_and_the_rest_is_freed(
    root: Path, patterns: list[str], stays: list[str] | None
) -> None:
    files = ("final.mp4", "report.html", "deep/er/b.mp4", "deep/er/log", "deep/x/y", "empty/")
    entry = make(root, *files, "app.db", "app.db-wal", "app.db-journal", "app.db.wal", "log-wal")
    before = root.stat().st_ino, entry.stat().st_mtime_ns
    plan = planned(root, *patterns)
    report = execute(plan)
    assert [status for status, _ in said(report)] == ["done"]
    assert report.freed_bytes == plan.planned_bytes > 0
    assert (listing(entry) if entry.exists() else None) == stays
    if stays is not None:
        assert before == (root.stat().st_ino, entry.stat().st_mtime_ns), "it became no newer"


def test_what_is_left_stays_as_an_entry_and_no_later_clean_takes_it(root: Path) -> None:
    entry = make(root, "final.mp4", "log")
    swept(root, "*.mp4")
    plan = planned(root, "*.mp4")
    assert plan.steps == ()
    assert [str(verdict.reason) for verdict in plan.kept] == [
        "keep files: all that is in it matches"
    ]
    (entry / "later.log").write_bytes(b"x")
    age(entry, 48)
    assert [status for status, _ in said(swept(root, "*.mp4"))] == ["done"]
    assert listing(entry) == ["final.mp4"]
    assert [status for status, _ in said(swept(root))] == ["done"]
    assert not entry.exists()


def test_what_a_link_that_stays_leads_to_stays_as_well(
    root: Path, canary: Path, tmp_path: Path
) -> None:
    entry = make(
        root, "parts/1.bin", "parts/2.bin", "parts/sub/3", "store/blob", "other/x", "more/1",
        "more/2", "more/3", "more/4", "s1/bin", "s2/bin", "s2/no", "store/blob-wal", "no-wal",
    )  # fmt: skip
    link("parts/1.bin", entry / "final.mp4")
    link(entry / "hop", entry / "abs.mp4")
    link("store/../store/blob", entry / "hop")
    link("parts/sub", entry / "dir.mp4")
    link(canary, entry / "out.mp4")
    link("gone", entry / "dangling.mp4")
    link("other/x", entry / "unwanted")
    by_name = entry.relative_to(root.parent)
    link(f"../../{NAME}/more/1", entry / "over_the_top.mp4")
    link(root / "work/.." / NAME / "more/2", entry / "dots.mp4")
    link(root.parent, tmp_path / "way")
    link(tmp_path / "way" / by_name / "more/3", entry / "by_a_way.mp4")
    link("bin", entry / "s1/l.mp4")
    os.link(entry / "s1/l.mp4", entry / "s2/l.mp4", follow_symlinks=False)
    age(entry, 48)
    assert [status for status, _ in said(swept(root, "*.mp4"))] == ["done"]
    assert listing(entry) == [
        "abs.mp4", "by_a_way.mp4", "dangling.mp4", "dir.mp4", "dots.mp4", "final.mp4", "hop",
        "more", "more/1", "more/2", "more/3", "out.mp4", "over_the_top.mp4", "parts",
        "parts/1.bin", "parts/sub", "parts/sub/3", "s1", "s1/bin", "s1/l.mp4", "s2", "s2/bin",
        "s2/l.mp4", "store", "store/blob", "store/blob-wal",
    ]  # fmt: skip
    assert [one.name for one in entry.rglob("*.mp4") if not one.exists()] == ["dangling.mp4"]


def test_a_link_that_leads_back_by_another_mount_keeps_its_target(
    root: Path, tmp_path: Path
) -> None:
    entry, other = make(root, "parts/1", "parts/2"), tmp_path / "other"
    other.mkdir()
    if run(["mount", "--bind", str(root.parent), str(other)], cwd=tmp_path).returncode:
        pytest.skip("cannot mount")
    try:
        link(other / entry.relative_to(root.parent) / "parts/1", entry / "final.mp4")
        age(entry, 48)
        assert [status for status, _ in said(swept(root, "*.mp4"))] == ["done"]
    finally:
        run(["umount", str(other)], cwd=tmp_path)
    assert listing(entry) == ["final.mp4", "parts", "parts/1"]


def test_what_is_left_is_an_entry_also_if_all_of_it_is_stamped(root: Path) -> None:
    kept = ["model_1700000000/weights", "plots_1700000000.d/x/1.svg"]
    make(root, *kept, "log").rename(root / "training")
    plan = all_planned(root, "*/weights", "*.svg")
    if not (child := os.fork()):
        patch = pytest.MonkeyPatch()
        patch.setattr(kept_files, "_put_back", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        execute(plan)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    for _ in range(3):
        execute(all_planned(root, "*/weights", "*.svg"))
        assert [path.name for path in list_entries(root)] == ["training"]
        assert [one for one in kept if (root / "training" / one).exists()] == kept


def test_what_is_left_stays_when_an_entry_is_made_in_a_category_of_its_name(root: Path) -> None:
    kept = ["final.mp4", "model_1700000000/weights", "raw/1"]
    entry = make(root, *kept, "log", "raw/2").rename(root / "training")
    link("raw/1", entry / "last.mp4")
    patterns = ("*.mp4", "model_*/weights")
    execute(all_planned(root, *patterns))
    assert not (entry / "log").exists()
    if not (child := os.fork()):
        Path(allocate(str(root), "training", "new"), "y").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    make(root, "../../training/old_1696348800/x")
    for _ in range(2):
        execute(all_planned(root, *patterns))
        left = {one: (entry / one).is_file() for one in (*kept, "last.mp4")}
        assert left == dict.fromkeys(left, True)
        assert len(os.listdir(entry)) == 4, "what was made there goes"
    execute(all_planned(root))
    assert not (entry / "final.mp4").exists()


def test_a_directory_that_matches_stays_also_if_it_is_an_entry(root: Path, tmp_path: Path) -> None:
    entry = make(root, "log")
    assert said(swept(root, "run_*")) == []
    report = swept(root, "run_*", disposal="archive", archive=tmp_path / "archive")
    assert [status for status, _ in said(report)] == ["done"]
    assert not entry.exists()


def test_links_in_a_circle_and_to_the_entry_itself_end(root: Path) -> None:
    entry = make(root, "log")
    link("b.mp4", entry / "a.mp4")
    link("a.mp4", entry / "b.mp4")
    age(entry, 48)
    swept(root, "*.mp4")
    assert listing(entry) == ["a.mp4", "b.mp4"]
    link(".", entry / "all.mp4")
    (entry / "log").touch()
    age(entry, 48)
    assert [str(one.reason) for one in planned(root, "*.mp4").kept] == [
        "keep files: all that is in it matches"
    ]
    swept(root, "*.mp4")
    assert listing(entry) == ["a.mp4", "all.mp4", "b.mp4", "log"]


def test_one_blob_under_two_names_is_forecast_as_what_it_frees(root: Path) -> None:
    entry = make(root, "blob", "log", size=100_000)
    os.link(entry / "blob", entry / "final.mp4")
    os.link(entry / "log", entry / "log2")
    age(entry, 48)
    plan = planned(root, "*.mp4")
    report = execute(plan)
    assert plan.planned_bytes == report.freed_bytes
    assert 100_000 <= report.freed_bytes < 200_000


def test_a_file_that_is_an_entry_stays_if_it_matches(root: Path) -> None:
    for name in ("a.mp4", "b.log"):
        (root / "work").mkdir(parents=True, exist_ok=True)
        (root / "work" / name).write_text("x")
        age(root / "work" / name, 48)
    swept(root, "*.mp4")
    assert listing(root / "work") == ["a.mp4"]


def test_what_is_archived_is_what_matches(root: Path, tmp_path: Path) -> None:
    entry = make(root, "final.mp4", "log")
    archive = tmp_path / "archive"
    report = swept(root, "*.mp4", disposal="archive", archive=archive)
    assert [status for status, _ in said(report)] == ["done"]
    assert report.freed_bytes > 0
    assert not entry.exists()
    (name,) = stored(archive)
    assert listing(archive / name) == ["final.mp4"]


def test_an_entry_in_which_nothing_matches_is_archived_whole(root: Path, tmp_path: Path) -> None:
    make(root, "log")
    swept(root, "*.mp4", disposal="archive", archive=tmp_path / "archive")
    (name,) = stored(tmp_path / "archive")
    assert listing(tmp_path / "archive" / name) == ["log"]


@pytest.mark.parametrize("disposal", ["undo", "trash"])
def test_where_it_could_not_stay_in_its_place_the_entry_stays(
    root: Path, disposal: Disposal
) -> None:
    entry = make(root, "final.mp4", "log")
    report = swept(root, "*.mp4", disposal=disposal)
    assert said(report) == []
    assert [str(one.reason) for one in report.plan.kept] == [
        "keep files: 1 in it would not stay in place"
    ]
    assert listing(entry) == ["final.mp4", "log"]


def test_a_match_that_comes_after_the_plan_stays(root: Path, tmp_path: Path) -> None:
    entry = make(root, "log")
    plans = [planned(root, "*.mp4", disposal=one) for one in ("undo", "delete")]
    (entry / "late.mp4").write_text("x")
    age(entry, 49)
    assert [detail for _, detail in said(execute(plans[0]))] == [
        "holds files that keep_files keeps"
    ]
    assert [status for status, _ in said(execute(plans[1]))] == ["done"]
    assert listing(entry) == ["late.mp4"]


def test_read_only_directories_are_thinned_out_and_keep_their_mode(root: Path) -> None:
    entry = make(root, "deep/final.mp4", "deep/log", "deep/er/log")
    (entry / "deep").chmod(0o500)
    swept(root, "*.mp4")
    assert listing(entry) == ["deep", "deep/final.mp4"]
    assert (entry / "deep").stat().st_mode & 0o777 == 0o500


def test_what_else_may_be_in_an_entry_is_no_obstacle(root: Path) -> None:
    entry = make(root, "final.mp4")
    os.mkfifo(entry / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        os.chdir(entry)
        one.bind("socket")
        os.chdir(root)
    (entry / os.fsdecode(b"odd\n\xff.mp4")).write_text("x")
    age(entry, 48)
    swept(root, "*.mp4")
    assert listing(entry) == sorted(["final.mp4", os.fsdecode(b"odd\n\xff.mp4")])


def test_a_mount_in_it_keeps_all_of_it(root: Path) -> None:
    entry = make(root, "final.mp4", "log", "mnt/")
    with mounted(entry / "mnt", "size=64k"):
        (entry / "mnt" / "theirs").write_text("x")
        age(entry, 48)
        swept(root, "*.mp4")
        assert (entry / "mnt" / "theirs").exists()
        assert (entry / "log").exists()


def test_what_is_mounted_while_it_is_thinned_out_is_not_entered(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make(root, "a/final.mp4", "a/log", "log")
    other = tmp_path / "other"
    other.mkdir()
    (other / "theirs").write_text("x")
    plan = planned(root, "*.mp4")

    def mounting(parent: int, name: str) -> Removed:
        monkeypatch.undo()
        place = f"{os.readlink(f'/proc/self/fd/{parent}')}/a"
        if run(["mount", "--bind", str(other), place], cwd=root).returncode:
            pytest.skip("cannot mount")
        return unlink_at(parent, name)

    monkeypatch.setattr(thinning, "unlink_at", mounting)
    try:
        ((status, detail),) = said(execute(plan))
    finally:
        run(["umount", "--lazy", str(entry / "a")], cwd=root)
    assert (status, "a: another filesystem is mounted here" in detail) == ("failed", True)
    assert listing(other) == ["theirs"]
    assert listing(entry) == ["a", "a/final.mp4", "a/log"]


@pytest.mark.parametrize(
    ("calls", "name"),
    [
        (0, NAME),
        (150, NAME),
        (150, "work/.tempkeep-notes"),
        (150, f"work/{'x' * 17}.tempkeep{'y' * 229}"),
        (150, f"work/{'.' * 255}"),
    ],
)
def test_a_clean_that_is_killed_loses_none_of_them(root: Path, calls: int, name: str) -> None:
    files = [f"d{number % 7}/{number}.{kind}" for number in range(200) for kind in ("mp4", "log")]
    entry = make(root, *files, size=1).rename(root / name)
    plan = all_planned(root, "*.mp4")
    if not (child := os.fork()):
        left = iter(range(calls))

        def killed(parent: int, name: str) -> Removed:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return unlink_at(parent, name)

        pytest.MonkeyPatch().setattr(thinning, "unlink_at", killed)
        execute(plan)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not entry.exists(), "it is still claimed"
    swept(root, "*.mp4")
    (back,) = list_entries(root)
    assert back == entry or len(entry.name) > 200
    entry = back
    assert len(listing(entry)) == 7 + 400 - calls, "it is back before anything else is decided"
    execute(all_planned(root, "*.mp4"))
    assert sorted(name for name in listing(entry) if "/" in name) == sorted(
        file for file in files if file.endswith(".mp4")
    )


def test_the_faces_say_what_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(project / ".tmp", "final.mp4", "log")
    make(project / ".tmp", "../left_1696348800/final.mp4")
    age(project / ".tmp/work/left_1696348800", 48)
    (project / "pyproject.toml").write_text(
        "[tool.tempkeep]\nmax_age_hours = 1\n"
        '[tool.tempkeep.category.work]\nkeep_files = ["*.mp4"]\n'
    )
    assert tempkeep("temp-clean", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert f"would delete {NAME}  20.0 KiB, of which 12.0 KiB stay  (expired" in printed
    assert "would delete 1 entry and free 8.0 KiB; kept 1 entry: 1 keep files" in printed
    assert tempkeep("temp-clean", "--dry-run", "--format", "json") == 0
    project_said = json.loads(capsys.readouterr().out)["projects"][0]
    assert [one["stays_bytes"] for one in project_said["entries"]] == [12288]
    assert tempkeep("temp-status") == 0
    assert "keep: keep files: all that is in it matches" in capsys.readouterr().out
    background = [sys.executable, "-m", "common.temp", "temp-clean", "--background"]
    assert "except 1 path kept by keep_files" in run(background, cwd=project).stdout
    assert listing(project / ".tmp" / NAME) == ["final.mp4"]


def test_a_pipeline_keeps_only_its_videos(project: Path) -> None:
    runs = project / "runs"
    for number in range(3):
        entry = make(runs, "final.mp4", "frames/1.png")
        entry.rename(runs / f"pipeline_artifacts_20250917_00000{number}")
    config = CleanupConfig(max_runs_to_keep=1, keep_files=["*.mp4"])
    done = ArtifactCleaner(runs, config).cleanup()
    assert (done["candidates_identified"], done["directories_deleted"]) == (2, 0)
    assert done["space_freed_bytes"] > 0
    assert len([*runs.rglob("final.mp4")]) == 3
    assert len([*runs.rglob("1.png")]) == 1
    assert ArtifactCleaner(runs, config).cleanup()["candidates_identified"] == 0


def test_what_cannot_be_thinned_out_to_the_end_is_to_be_finished(root: Path) -> None:
    entry = make(root, "final.mp4", "log", "stuck")
    with immutable(entry / "stuck"):
        for _ in range(2):
            ((status, detail),) = said(swept(root, "*.mp4"))
            assert (status, "stuck: Operation not permitted" in detail) == ("failed", True)
            assert listing(entry) == ["final.mp4", "stuck"]
    assert said(swept(root, "*.mp4"))[0][0] == "done"
    assert listing(entry) == ["final.mp4"]
    assert swept(root, "*.mp4").outcomes == ()


@pytest.mark.parametrize("form", ["dir", "tar.gz"])
def test_nothing_is_freed_before_it_is_archived(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    entry = make(root, "log", "stuck", "deep/final.mp4", "deep/log")
    os.link(entry / "log", entry / "z.mp4")  # its first name stays behind
    age(entry, 48)
    (tmp_path / "file").write_text("")

    def archived_to(archive: Path) -> tuple[str, str]:
        plan = planned(root, "*.mp4", disposal="archive", archive=LocalArchive(archive))
        (outcome,) = said(execute(plan, archive=LocalArchive(archive), archive_format=form))
        return outcome

    assert archived_to(tmp_path / "file/archive")[0] == "failed"
    assert listing(entry) == ["deep", "deep/final.mp4", "deep/log", "log", "stuck", "z.mp4"]
    with immutable(entry / "stuck"):
        status, detail = archived_to(tmp_path / "archive")
        assert (status, "stuck: Operation not permitted" in detail) == ("failed", True)
    assert listing(entry) == ["stuck"]
    (found,) = list_shelf(tmp_path / "archive", root)
    restore(LocalArchive(tmp_path / "archive"), found, Place(root, "work/again", SCRATCH))
    assert listing(root / "work/again") == ["deep", "deep/final.mp4", "z.mp4"]


def test_a_file_that_matches_is_archived(root: Path, tmp_path: Path) -> None:
    (root / "work").mkdir(parents=True)
    (root / "work/final.mp4").write_text("x")
    age(root / "work/final.mp4", 48)
    report = swept(root, "*.mp4", disposal="archive", archive=tmp_path / "archive")
    assert [status for status, _ in said(report)] == ["done"]
    assert listing(root / "work") == []


@pytest.mark.parametrize("kind", [StorageRoot, ThreadedFileCleanupManager])
def test_what_is_excluded_of_a_dead_service_s_stays_when_it_begins_again(
    project: Path, kind: type[StorageRoot | ThreadedFileCleanupManager]
) -> None:
    root = project / "var"
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nexclude = ["var/golden_*"]\n')
    if not (child := os.fork()):
        for name in ("golden_flight", "other"):
            if kind is StorageRoot:
                StorageRoot(root).allocate_job(name)
            else:
                ThreadedFileCleanupManager(root).track_file(root / name / "film")
                (root / name).mkdir()
                (root / name / "film").write_text("1")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    service = kind(root)
    assert (service.recover(), service.recover()) == (1, 0)
    assert (root / "golden_flight").exists()
    assert not (root / "other" / "film").exists()
    if isinstance(service, StorageRoot):
        assert not (root / "other").exists()
        assert service.cleanup_all() == 0


@pytest.mark.parametrize("cleaned", [True, False])
@pytest.mark.parametrize("of_jobs", [True, False])
def test_what_is_to_be_kept_of_a_dead_service_s_stays_when_it_begins_again(
    project: Path, of_jobs: bool, cleaned: bool
) -> None:
    root = project / "var"
    entry, other = root / "flight", root / "other"
    if not (child := os.fork()):
        for one in (entry, other):
            if of_jobs:
                StorageRoot(root).allocate_job(one.name)
            else:
                ThreadedFileCleanupManager(root).track_file(one)
                one.mkdir()
            (one / "log").write_text("1")
        (entry / "input.mp4").write_text("video")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    if cleaned:
        done = execute(all_planned(root, "*.mp4", layout=JOBS if of_jobs else FILES))
        assert [status for status, _ in said(done)] == ["done", "done"]
    else:
        (project / "pyproject.toml").write_text('[tool.tempkeep]\nkeep_files = ["*.mp4"]\n')
    service = StorageRoot(root) if of_jobs else ThreadedFileCleanupManager(root)
    assert (service.recover(), service.recover()) == (0 if cleaned else 1, 0)
    assert not other.exists()
    is_thinned = cleaned or of_jobs
    assert listing(entry) == (["input.mp4"] if is_thinned else ["input.mp4", "log"])
    if isinstance(service, StorageRoot):
        (service.allocate_job("mine").root / "my.mp4").write_text("video")
        assert service.cleanup_all() == (1 if cleaned else 0)
        assert entry.exists()
        service.release_job("mine")  # all of it, by its name
        assert not (root / "mine").exists()
