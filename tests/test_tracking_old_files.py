"""What goes because of its age, and what a cleanup by age leaves alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layouts import FILES
from common.temp.store.root.pinning import write_pin
from common.temp.tracking import FileCleanupManager, ThreadedFileCleanupManager
from tests.driven import Driven
from tests.store.test_named import at_the_instant
from tests.support import HOUR, age, immutable, in_holding, make_entry, mounted, process


@pytest.fixture(params=[FileCleanupManager, ThreadedFileCleanupManager])
def kind(request: pytest.FixtureRequest) -> Any:
    """Either manager."""
    return request.param


@pytest.fixture
def files(tmp_path: Path, kind: Any) -> Driven:
    """A manager of a new directory, whose files live for 24 hours."""
    return Driven(kind, tmp_path / "base")


def names(files: Driven) -> list[str]:
    """What lies in the base, but its store."""
    return sorted(name for name in os.listdir(files.base) if name != ".tempkeep")


# -- tracked files and directories ---------------------------------------------------------------


def test_an_old_tracked_file_goes_and_a_new_one_stays(files: Driven) -> None:
    files.file("old", hours=25)
    files.file("new", hours=23)
    cleaned = files.cleanup_old_files()
    assert names(files) == ["new"]
    assert cleaned == {
        "removed_count": 1,
        "removed_size_bytes": 100,
        "removed_size_mb": 0.0,
        "removed_disk_bytes": 4096,
        "errors": 0,
        "tracked_files_remaining": 1,
    }
    assert files.leased == ["new"]


@pytest.mark.parametrize(("hours", "left"), [(30, ["a", "b"]), (10, ["b"]), (1, []), (0.5, [])])
def test_an_age_that_is_given_counts_instead_of_the_default(
    files: Driven, hours: float, left: list[str]
) -> None:
    files.file("a", hours=20)
    files.file("b", hours=2)
    files.cleanup_old_files(hours)
    assert names(files) == left


def test_a_limit_of_zero_takes_also_what_was_written_just_now_and_in_the_future(
    files: Driven,
) -> None:
    files.file("now")
    files.file("future", hours=-5)
    assert files.cleanup_old_files(0)["removed_count"] == 2
    assert names(files) == []


def test_a_file_from_the_future_counts_as_new(files: Driven) -> None:
    files.file("future", hours=-5)
    assert files.cleanup_old_files(1)["removed_count"] == 0


def test_an_old_file_that_is_not_tracked_stays(files: Driven, tmp_path: Path) -> None:
    files.file("file", hours=100, tracked=False)
    files.file("sub/file", tracked=False)
    outside = make_entry(tmp_path, "outside", age_hours=100)
    assert files.cleanup_old_files(24)["removed_count"] == 0
    assert names(files) == ["file", "sub"]
    assert (outside / "file0.txt").exists()


def test_old_tracked_files_elsewhere_go_and_their_directory_stays(
    files: Driven, tmp_path: Path
) -> None:
    outside = make_entry(tmp_path, "outside", age_hours=100, files=2)
    files.track_file(outside / "file0.txt")
    assert files.cleanup_old_files()["removed_count"] == 1
    assert os.listdir(outside) == ["file1.txt"]


def test_a_tracked_directory_goes_by_the_newest_change_anywhere_inside(
    files: Driven, tmp_path: Path
) -> None:
    for top in (files.base, tmp_path / "outside"):
        for name in ("old", "new"):
            make_entry(top, f"{name}/deep/er")
            age(top / name, 100)
            files.track_file(top / name)
        os.utime(top / "new" / "deep" / "er" / "file0.txt")
    assert files.cleanup_old_files()["removed_count"] == 2
    assert names(files) == ["new"]
    assert os.listdir(tmp_path / "outside") == ["new"]


def test_a_file_that_is_yet_to_be_made_stays_tracked_for_its_time(files: Driven) -> None:
    files.track_file(files.base / "later")
    assert files.cleanup_old_files(1)["tracked_files_remaining"] == 1
    assert files.cleanup_old_files(0)["tracked_files_remaining"] == 0
    assert files.leased == []


def test_a_file_that_is_tracked_again_lives_on(files: Driven) -> None:
    files.file("file", hours=100)
    files.cleanup_old_files()
    files.file("file")
    assert files.cleanup_old_files()["removed_count"] == 0
    assert (names(files), files.leased) == (["file"], ["file"])


def test_what_was_freed_is_counted_apart_from_how_long_a_file_is(files: Driven) -> None:
    sparse = files.file("sparse", hours=100)
    os.truncate(sparse, 10_000_000)
    os.link(sparse, files.base / "other-name")
    age(sparse, 100)
    cleaned = files.cleanup_old_files()
    assert (cleaned["removed_size_bytes"], cleaned["removed_disk_bytes"]) == (10_000_000, 0)
    files.track_file(files.base / "other-name")
    on_disk = (files.base / "other-name").stat().st_blocks * 512
    assert files.cleanup_old_files()["removed_disk_bytes"] == on_disk < 10_000_000


# -- other directories ---------------------------------------------------------------------------


def test_what_nobody_tracked_stays_however_old_and_so_do_directories_that_became_empty(
    files: Driven,
) -> None:
    make_entry(files.base, "customer/deep")
    (files.base / "empty").mkdir()
    files.file("uploads/of/old", hours=100)
    make_entry(files.base, "tracked/deep")
    files.track_file(files.base / "tracked")
    for name in names(files):
        age(files.base / name, 100)
    for hours in (None, 0):
        assert files.cleanup_old_files(hours)["removed_count"] == (2 if hours is None else 0)
        assert names(files) == ["customer", "empty", "uploads"]
    assert files.recover() == 0
    assert (files.base / "customer" / "deep" / "file0.txt").exists()
    assert os.listdir(files.base / "uploads" / "of") == []  # where the next may be written


def test_an_old_directory_in_which_a_file_is_tracked_stays(files: Driven) -> None:
    make_entry(files.base, "sub", age_hours=100)
    files.track_file(files.base / "sub" / "later")
    assert files.cleanup_old_files()["removed_count"] == 0
    assert names(files) == ["sub"]


def test_what_is_pinned_stays_however_old(files: Driven) -> None:
    files.file("file", hours=100)
    make_entry(files.base, "sub", age_hours=100)
    (files.base / "empty").mkdir()
    for name in ("file", "sub", "empty"):
        files.track_file(files.base / name)
        write_pin(files.base, name, "for the report", FILES)
    assert files.cleanup_old_files()["removed_count"] == 0
    assert names(files) == ["empty", "file", "sub"]


def test_an_old_directory_in_which_a_process_works_stays(files: Driven) -> None:
    path = make_entry(files.base, "sub", age_hours=100)
    files.track_file(path)
    with process("print(1, flush=True); input()", cwd=path):
        files.cleanup_old_files()
        assert names(files) == ["sub"]
    files.cleanup_old_files()
    assert names(files) == []


# -- what goes wrong -----------------------------------------------------------------------------


def test_one_that_cannot_go_is_counted_and_said_and_stops_nothing(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    files.file("a", hours=100)
    (files.base / "b").mkdir()
    with mounted(files.base / "b" / "mount", "size=1m") as disk:
        (disk / "file").touch()
        files.track_file(files.base / "b" / "mount")
        age(files.base / "b" / "mount", 100)
        files.file("c", hours=100)
        cleaned = files.cleanup_old_files()
        assert (disk / "file").exists()
    assert (cleaned["removed_count"], cleaned["errors"]) == (2, 1)
    assert cleaned["tracked_files_remaining"] == 1
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"cannot delete {files.base}/b/mount: ")


def test_a_file_behind_a_link_is_an_error_and_stays(files: Driven, tmp_path: Path) -> None:
    outside = make_entry(tmp_path, "outside", age_hours=100)
    (files.base / "link").symlink_to(outside)
    files.track_file(files.base / "link" / "file0.txt")
    assert files.cleanup_old_files()["errors"] == 1
    assert (outside / "file0.txt").exists()


def test_a_root_that_was_removed_is_nothing_to_do(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    files.file("file", hours=100)
    os.rename(files.base, files.base.with_name("gone"))
    cleaned = files.cleanup_old_files()
    assert (cleaned["removed_count"], cleaned["errors"], caplog.messages) == (0, 0, [])


def test_a_file_in_the_place_of_the_root_is_an_error_and_stays(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    os.rename(files.base, files.base.with_name("gone"))
    files.base.write_text("mine")
    assert files.cleanup_old_files()["errors"] == 1
    assert files.base.read_text() == "mine"
    assert "is not a directory" in caplog.text


def test_a_file_that_is_replaced_at_this_instant_stays_and_stays_tracked(
    files: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.file("sub/file", hours=100)
    fresh = files.file("fresh", tracked=False)
    at_the_instant(monkeypatch, "rename", lambda: os.rename(fresh, path))
    cleaned = files.cleanup_old_files()
    assert (cleaned["removed_count"], cleaned["errors"]) == (0, 0)
    assert path.stat().st_mtime > time.time() - HOUR
    assert (files.tracked, files.leased) == (1, ["sub"])
    assert in_holding(files.base) == []


def test_a_file_that_is_tracked_anew_while_it_goes_stays_tracked(
    files: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.file("file", hours=100)

    def again() -> None:
        files.track_file(path)
        path.write_text("new")

    at_the_instant(monkeypatch, "rename", again, after=True)
    assert files.cleanup_old_files()["removed_count"] == 1
    assert path.read_text() == "new"
    assert (files.tracked, files.leased) == (1, ["file"])


def test_what_a_stopped_clean_up_left_half_deleted_is_finished_and_counted(files: Driven) -> None:
    make_entry(files.base, "sub", files=300)
    files.track_file(files.base / "sub")
    age(files.base / "sub", 100)
    whole = files.get_stats()["total_disk_bytes"]
    turns = iter([True] * 3)
    stopped = files.manager._cleanup_old_files(go_on=lambda: next(turns, False))
    assert stopped["removed_count"] == 0
    assert len(in_holding(files.base)) == 1
    cleaned = files.cleanup_old_files()
    assert in_holding(files.base) == []
    assert stopped["removed_disk_bytes"] + cleaned["removed_disk_bytes"] == whole


def test_a_file_that_somebody_deleted_is_dropped_and_one_that_is_not_made_yet_is_waited_for(
    files: Driven,
) -> None:
    gone = files.file("gone", tracked=False)
    files.track_file(gone)
    files.track_file(files.base / "to-come")
    made = files.base / "made-later"
    files.track_file(made)
    made.touch()
    assert files.cleanup_old_files()["tracked_files_remaining"] == 3
    gone.unlink()
    made.unlink()
    assert files.cleanup_old_files()["tracked_files_remaining"] == 1
    assert files.leased == ["to-come"]


def test_a_directory_that_could_not_be_deleted_whole_gets_no_new_time_to_live(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    tracked = make_entry(files.base, "sub", files=3)
    files.track_file(tracked)
    age(tracked, 100)
    with immutable(tracked / "file0.txt"):
        assert files.cleanup_old_files()["errors"] == 1
        assert os.listdir(tracked) == ["file0.txt"], "its directory has changed just now"
        assert files.cleanup_old_files()["errors"] == 1
    assert files.cleanup_old_files()["removed_count"] == 1
    assert not tracked.exists()


def test_one_that_was_written_to_since_gets_one(files: Driven) -> None:
    tracked = make_entry(files.base, "sub", files=3)
    files.track_file(tracked)
    age(tracked, 100)
    with immutable(tracked / "file0.txt"):
        assert files.cleanup_old_files()["errors"] == 1
        (tracked / "more").write_text("mine")
        future = time.time() + 1  # the clock of the filesystem is coarse
        os.utime(tracked / "more", (future, future))
    assert files.cleanup_old_files()["removed_count"] == 0
    assert (tracked / "more").read_text() == "mine"


def test_two_managers_of_one_directory_leave_each_others_files_alone(
    files: Driven, kind: Any
) -> None:
    other = Driven(kind, files.base)
    theirs = [other.file(name, hours=100) for name in ("old", "shared/old")]
    files.file("own", hours=100)
    files.track_file(files.base / "shared")
    for clean in (files.recover, files.cleanup_old_files, lambda: files.cleanup_old_files(0)):
        clean()
    assert files.cleanup_all_tracked() == 0
    assert [path.exists() for path in theirs] == [True, True]
    assert (files.tracked, other.tracked) == (1, 2)
    assert other.cleanup_old_files()["removed_count"] == 2
    assert files.cleanup_all_tracked() == 1
    assert names(files) == []
