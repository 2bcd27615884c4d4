"""What a manager tracks, and what it removes when asked by name."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.errors import InvalidName, InvalidSettings, Refused, StorageError
from common.temp.tracking import FileCleanupManager, ThreadedFileCleanupManager
from tests.driven import Driven
from tests.each import each
from tests.store.children import in_child
from tests.support import listing, make_entry, mounted, run


@pytest.fixture(params=[FileCleanupManager, ThreadedFileCleanupManager])
def kind(request: pytest.FixtureRequest) -> Any:
    """Either manager."""
    return request.param


@pytest.fixture
def files(tmp_path: Path, kind: Any) -> Driven:
    """A manager of a new directory."""
    return Driven(kind, tmp_path / "base")


# -- the directory and the settings -------------------------------------------------------------


def test_the_directory_is_made_with_its_parents(tmp_path: Path, kind: Any) -> None:
    Driven(kind, tmp_path / "deep" / "er")
    assert os.listdir(tmp_path / "deep" / "er") == [".tempkeep"]


def test_what_lies_in_the_directory_from_before_is_recovered_by_nobody(
    tmp_path: Path, kind: Any
) -> None:
    make_entry(tmp_path / "base", "photos", age_hours=100)
    (tmp_path / "base" / ".gitkeep").touch()
    files = Driven(kind, tmp_path / "base")
    assert files.recover() == 0
    assert [*listing(tmp_path / "base")][-2:] == ["photos", "photos/file0.txt"]
    assert (tmp_path / "base" / ".gitkeep").exists()


@each(
    "options",
    [
        {"default_ttl_hours": -1},
        {"default_ttl_hours": float("nan")},
        {"default_ttl_hours": "a day"},
        {"cleanup_interval_minutes": 0},
        {"cleanup_interval_minutes": -5},
        {"cleanup_interval_minutes": None},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_before_anything_is_made(
    tmp_path: Path, kind: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidSettings, match=next(iter(options))):
        kind(tmp_path / "base", **options)
    assert not (tmp_path / "base").exists()


def test_an_age_that_makes_no_sense_is_refused(files: Driven) -> None:
    with pytest.raises(InvalidSettings, match="max_age_hours"):
        files.cleanup_old_files(-1)


def test_a_file_in_the_place_of_the_directory_says_so(tmp_path: Path, kind: Any) -> None:
    (tmp_path / "base").write_text("mine")
    with pytest.raises(StorageError, match="base"):
        kind(tmp_path / "base")
    assert (tmp_path / "base").read_text() == "mine"


# -- tracking -----------------------------------------------------------------------------------


def test_a_file_is_tracked_once_however_it_is_spelled(
    files: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.file("sub/file")
    monkeypatch.chdir(files.base)
    for spelled in (path, str(path), "sub/file", "sub/../sub/./file", f"{files.base}//sub/file"):
        files.track_file(spelled)
    assert files.tracked == 1
    files.untrack_file("sub/../sub/file")
    assert files.tracked == 0


def test_a_file_is_the_same_through_a_link_to_the_directory(tmp_path: Path, kind: Any) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "base").symlink_to(tmp_path / "disk")
    files = Driven(kind, tmp_path / "base")
    files.file("file")
    files.track_file(tmp_path / "disk" / "file")
    assert (files.tracked, files.leased) == (1, ["file"])
    assert files.cleanup_file(tmp_path / "base" / "file")
    assert os.listdir(tmp_path / "disk") == [".tempkeep"]


def test_what_is_above_a_link_is_looked_up_on_the_disk(files: Driven, tmp_path: Path) -> None:
    """`base/link/../x` is not `base/x` where the link leads out."""
    (tmp_path / "elsewhere" / "sub").mkdir(parents=True)
    (files.base / "link").symlink_to(tmp_path / "elsewhere" / "sub")
    own = files.file("x")
    other = tmp_path / "elsewhere" / "x"
    other.touch()
    assert not files.cleanup_file(files.base / "link" / ".." / "x")
    assert (own.exists(), other.exists()) == (True, True)


def test_an_entry_is_leased_as_long_as_anything_in_it_is_tracked(files: Driven) -> None:
    one, two = files.file("sub/one"), files.file("sub/deep/two")
    alone = files.file("alone")
    assert files.leased == ["alone", "sub"]
    files.untrack_file(one)
    files.untrack_file(alone)
    assert files.leased == ["sub"]
    files.untrack_file(two)
    assert files.leased == []


def test_two_managers_of_one_directory_hold_an_entry_together(tmp_path: Path, kind: Any) -> None:
    one, two = Driven(kind, tmp_path / "base"), Driven(kind, tmp_path / "base")
    path = one.file("file")
    two.track_file(path)
    one.untrack_file(path)
    assert two.leased == ["file"]
    two.untrack_file(path)
    assert two.leased == []


def test_two_managers_still_do_where_the_store_was_removed_meanwhile(
    tmp_path: Path, kind: Any
) -> None:
    one, two = Driven(kind, tmp_path / "base"), Driven(kind, tmp_path / "base")
    path = one.file("file")
    two.track_file(path)
    os.rename(tmp_path / "base" / ".tempkeep", tmp_path / "aside")
    one.track_file(path)
    one.untrack_file(path)
    assert two.leased == ["file"]
    two.untrack_file(path)
    assert two.leased == []


def test_untracking_what_is_not_tracked_is_no_matter(files: Driven, tmp_path: Path) -> None:
    files.untrack_file(tmp_path / "never")
    files.untrack_file(files.base)
    files.untrack_file(files.file("file", tracked=False))
    assert files.tracked == 0


def test_an_untracked_file_stays(files: Driven) -> None:
    path = files.file("file", hours=100)
    files.untrack_file(path)
    assert files.cleanup_all_tracked() == 0
    assert files.cleanup_old_files()["removed_count"] == 0
    assert path.exists()


@each("path", [".", "..", ".tempkeep", ".tempkeep/owners/x", ".gitignore", "/"])
def test_what_is_no_scratch_cannot_be_tracked(files: Driven, path: str) -> None:
    with pytest.raises(Refused, match="is not scratch"):
        files.track_file(files.base / path)
    assert files.tracked == 0


def test_the_home_and_the_temporary_directory_cannot_be_tracked(
    files: Driven, own_system_temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (Path.home(), Path.home().parent, own_system_temp):
        with pytest.raises(Refused, match=r"it (is|holds) "):
            files.track_file(path)


def test_a_name_that_no_record_can_hold_is_refused(files: Driven) -> None:
    with pytest.raises(InvalidName, match="newline"):
        files.track_file(files.base / "two\nlines")
    with pytest.raises(InvalidName, match="NUL"):
        files.track_file(files.base / "nul\0")
    assert files.leased == []


@pytest.mark.parametrize("name", ["sub/two\nlines", "\udcff", "ä", " ", ".hidden", "a\\b", "-x"])
def test_any_other_name_is_tracked_leased_and_deleted(files: Driven, name: str) -> None:
    path = files.base / name
    path.parent.mkdir(exist_ok=True)
    files.track_file(path)
    path.write_bytes(b"x")
    assert files.leased == [name.partition("/")[0]]
    assert files.cleanup_file(path)
    assert not path.exists()


def test_a_root_that_was_removed_is_made_again_with_its_leases(files: Driven) -> None:
    files.file("one")
    files.file("sub/two")
    os.rename(files.base, files.base.with_name("gone"))
    files.file("sub/three")
    assert files.leased == ["one", "sub"]
    files.untrack_file(files.base / "sub" / "two")
    files.untrack_file(files.base / "sub" / "three")
    assert files.leased == ["one"]


def test_to_track_takes_no_more_steps_where_much_is_tracked(files: Driven) -> None:
    def steps() -> int:
        counted = 0

        def count(*event: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        files.manager.track_file(files.base / "sub" / "file")
        files.manager.untrack_file(files.base / "sub" / "file")
        sys.setprofile(None)
        return counted

    files.track_file(files.base / "sub" / "0")
    with_one = steps()
    for number in range(3000):
        files.track_file(files.base / "sub" / str(number))
        files.track_file(files.base / f"other{number}")
    assert steps() == with_one


def test_threads_that_track_and_delete_side_by_side_lose_nothing(files: Driven) -> None:
    manager = files.manager
    failed: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(40):
                gone, kept = (files.base / f"{thread}" / f"{number}{end}" for end in ("a", "b"))
                manager.track_file(gone)
                manager.track_file(kept)
                gone.parent.mkdir(exist_ok=True)
                gone.touch()
                kept.touch()
                assert manager._cleanup_file(gone)
                if number % 2:
                    manager.untrack_file(kept)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert files.tracked == 6 * 20
    assert files.leased == [str(number) for number in range(6)]
    assert files.cleanup_all_tracked() == 6 * 20
    assert files.leased == []
    assert len(list(files.base.glob("[0-9]/*"))) == 6 * 20


# -- one file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("name", ["file", "sub/deep/file"])
def test_a_file_in_the_directory_goes_and_is_tracked_no_more(
    files: Driven, name: str, tracked: bool
) -> None:
    path, beside = files.file(name, tracked=tracked), files.file("beside")
    assert files.cleanup_file(path) is True
    assert (path.exists(), beside.exists()) == (False, True)
    assert (files.tracked, files.leased) == (1, ["beside"])


def test_a_missing_file_was_not_deleted_and_is_tracked_no_more(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    files.track_file(files.base / "none")
    assert files.cleanup_file(files.base / "none") is False
    assert (files.tracked, caplog.messages) == (0, [])


def test_a_file_elsewhere_goes_only_if_it_was_tracked_by_name(
    files: Driven, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_entry(tmp_path, "outside", files=2)
    files.track_file(path / "file0.txt")
    assert files.cleanup_file(path / "file0.txt") is True
    assert files.cleanup_file(path / "file1.txt") is False
    assert os.listdir(path) == ["file1.txt"]
    assert "never tracked" in caplog.text


def test_a_file_in_a_tracked_directory_elsewhere_was_not_tracked_by_name(
    files: Driven, tmp_path: Path
) -> None:
    path = make_entry(tmp_path, "outside")
    files.track_file(path)
    assert files.cleanup_file(path / "file0.txt") is False
    assert (path / "file0.txt").exists()


def test_a_directory_is_no_file(files: Driven, caplog: pytest.LogCaptureFixture) -> None:
    make_entry(files.base, "sub")
    assert files.cleanup_file(files.base / "sub") is False
    assert (files.base / "sub" / "file0.txt").exists()
    assert "is a directory" in caplog.text


@pytest.mark.parametrize("path", [".tempkeep/layout", "../system-temp", ".."])
def test_what_is_no_scratch_is_never_deleted(
    files: Driven, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert files.cleanup_file(files.base / path) is False
    assert files.cleanup_directory(files.base / path) is False
    assert (files.base / path).exists()
    assert "is not scratch" in caplog.text


def test_what_lies_behind_a_link_stays_though_it_was_tracked(
    files: Driven, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = make_entry(tmp_path, "outside")
    (files.base / "link").symlink_to(outside)
    files.track_file(files.base / "link" / "file0.txt")
    assert files.cleanup_file(files.base / "link" / "file0.txt") is False
    assert files.cleanup_all_tracked() == 0
    assert (outside / "file0.txt").exists()
    assert "link on the way to it is not a directory" in caplog.text


# -- one directory ------------------------------------------------------------------------------


def test_a_directory_goes_with_its_files_which_are_tracked_no_more(files: Driven) -> None:
    files.file("sub/one")
    files.file("sub/deep/two")
    files.file("sub/three", tracked=False)
    beside = files.file("subway")
    assert files.cleanup_directory(files.base / "sub") is True
    assert not (files.base / "sub").exists()
    assert beside.exists()
    assert (files.tracked, files.leased) == (1, ["subway"])


def test_a_directory_inside_goes_and_what_is_beside_it_stays(files: Driven) -> None:
    files.file("sub/deep/one")
    two = files.file("sub/two")
    assert files.cleanup_directory(files.base / "sub" / "deep") is True
    assert two.exists()
    assert (files.tracked, files.leased) == (1, ["sub"])


def test_a_missing_directory_is_fine_and_its_files_are_tracked_no_more(files: Driven) -> None:
    files.track_file(files.base / "sub" / "file")
    assert files.cleanup_directory(files.base / "sub") is True
    assert files.cleanup_directory(files.base / "sub", recursive=False) is True
    assert (files.tracked, files.leased) == (0, [])


def test_without_recursive_only_an_empty_directory_goes(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    path = files.file("sub/file")
    assert files.cleanup_directory(path.parent, recursive=False) is False
    assert path.exists()
    assert files.tracked == 1
    assert "Directory not empty" in caplog.text
    path.unlink()
    assert files.cleanup_directory(path.parent, recursive=False) is True
    assert not path.parent.exists()


def test_the_directory_of_the_manager_is_never_deleted(files: Driven) -> None:
    path = files.file("file")
    assert files.cleanup_directory(files.base) is False
    assert files.cleanup_directory(files.base, recursive=False) is False
    assert path.exists()


def test_a_file_is_no_directory(files: Driven) -> None:
    path = files.file("file")
    assert files.cleanup_directory(path) is False
    assert path.exists()


def test_a_directory_elsewhere_goes_only_if_it_was_tracked_by_name(
    files: Driven, tmp_path: Path
) -> None:
    tracked, other = make_entry(tmp_path, "tracked"), make_entry(tmp_path, "other")
    files.track_file(tracked)
    assert files.cleanup_directory(tracked) is True
    assert files.cleanup_directory(other) is False
    assert (tracked.exists(), other.exists()) == (False, True)


def test_a_link_to_a_directory_is_not_followed(files: Driven, tmp_path: Path) -> None:
    outside = make_entry(tmp_path, "outside")
    (files.base / "link").symlink_to(outside)
    assert files.cleanup_directory(files.base / "link") is False
    assert (outside / "file0.txt").exists()


def test_what_cannot_be_deleted_stays_tracked(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    files.track_file(files.base / "sub" / "mount" / "file")
    with mounted(files.base / "sub" / "mount", "size=1m") as disk:
        (disk / "file").touch()
        assert files.cleanup_directory(files.base / "sub") is False
        assert (disk / "file").exists()
    assert files.tracked == 1
    assert "mounted" in caplog.text


# -- all of them --------------------------------------------------------------------------------


def test_all_that_is_tracked_goes_and_nothing_else(files: Driven, tmp_path: Path) -> None:
    files.file("one")
    files.file("sub/two")
    files.track_file(make_entry(files.base, "three"))
    files.track_file(files.base / "never-made")
    elsewhere = make_entry(tmp_path, "outside", files=2)
    files.track_file(elsewhere / "file0.txt")
    kept = files.file("kept", tracked=False)
    assert files.cleanup_all_tracked() == 4
    assert kept.exists()
    assert os.listdir(elsewhere) == ["file1.txt"]
    assert (files.tracked, files.leased) == (0, [])
    assert sorted(os.listdir(files.base)) == [".tempkeep", "kept", "sub"]


def test_one_that_cannot_go_does_not_stop_the_rest(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    files.file("a")
    files.track_file(files.base / "b")
    with mounted(files.base / "b", "size=1m"):
        files.file("c")
        assert files.cleanup_all_tracked() == 2
    assert files.tracked == 1
    assert len(caplog.messages) == 1


# -- figures ------------------------------------------------------------------------------------


def test_the_stats_count_what_is_there_on_disk(files: Driven) -> None:
    files.file("one")
    files.file("sub/two")
    files.track_file(make_entry(files.base, "three", files=3))
    files.track_file(files.base / "never-made")
    os.link(files.base / "one", files.base / "again")
    files.track_file(files.base / "again")
    stats = files.get_stats()
    assert (
        stats["total_size_bytes"] == 3 * 100 + 3 * (files.base / "three/file0.txt").stat().st_size
    )
    on_disk = [files.base / "one", files.base / "sub" / "two", files.base / "three"]
    on_disk += (files.base / "three").iterdir()
    assert stats["tracked_files"] == 5
    assert stats["total_disk_bytes"] == sum(path.stat().st_blocks * 512 for path in on_disk)


def test_megabytes_are_those_bytes_in_units_of_1024_squared(files: Driven) -> None:
    path = files.file("file")
    path.write_bytes(b"x" * 3 * 1024 * 1024)
    assert files.get_stats()["total_size_mb"] == 3.0
    assert files.cleanup_old_files(0)["removed_size_mb"] == 3.0


# -- signals ------------------------------------------------------------------------------------

INTERRUPTED = """
import faulthandler, signal, sys
from pathlib import Path
from common.temp import ThreadedFileCleanupManager
faulthandler.dump_traceback_later(45, exit=True)
base = Path("base")
manager, handled = ThreadedFileCleanupManager(base), 0

def handler(*_):
    global handled
    handled += 1
    manager.get_stats()
    manager.track_file(base / "own")
    manager.untrack_file(base / f"f{handled % 50}")
    if handled % 20 == 0:
        manager.start_periodic_cleanup()
    if handled % 20 == 10:
        manager.stop_periodic_cleanup()

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, .001, .001)
number = 0
while handled < 300:
    number += 1
    path = base / f"f{number % 50}"
    manager.track_file(path)
    path.touch()
    manager.cleanup_file(path)
signal.setitimer(signal.ITIMER_REAL, 0)
manager.stop_periodic_cleanup()
print(manager.cleanup_all_tracked(), manager.get_stats()["tracked_files"])
"""


def test_a_signals_handler_may_call_any_method_in_the_middle_of_another(project: Path) -> None:
    done = run([sys.executable, "-c", INTERRUPTED], cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[1] == "0"


# -- processes and loops ------------------------------------------------------------------------


def test_a_forked_child_tracks_nothing_and_deletes_nothing_of_its_parent(files: Driven) -> None:
    path = files.file("sub/file")

    def in_the_child() -> tuple[int, int, bool]:
        return (
            files.manager.get_stats()["tracked_files"],
            files.manager._cleanup_all_tracked(),
            files.manager._cleanup_directory(path.parent),
        )

    assert in_child(in_the_child) == (0, 0, False)
    assert path.exists()
    assert files.tracked == 1


def test_a_forked_child_can_track_files_of_its_own(files: Driven) -> None:
    def in_the_child() -> tuple[list[str], int]:
        files.file("own")
        return files.leased, files.manager._cleanup_all_tracked()

    assert in_child(in_the_child) == (["own"], 1)


def no_disk(work: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What `work` returns in a loop, and what the loop's own thread had the system do."""
    harmless = {"fspath", "getpid", "getcwd", "_path_normpath", "_path_splitroot_ex"}
    seen: list[str] = []

    def watch(frame: object, event: str, argument: Any) -> None:
        system = event == "c_call" and argument.__module__ in ("posix", "io", "_io", "fcntl")
        if system and argument.__name__ not in harmless:
            seen.append(argument.__name__)

    async def main() -> Any:
        await asyncio.to_thread(int)  # the first thread of a pool takes the disk to begin
        sys.setprofile(watch)
        try:
            return await work()
        finally:
            sys.setprofile(None)

    return asyncio.run(main()), seen


def test_what_is_awaited_does_nothing_with_the_disk_on_the_loop(tmp_path: Path) -> None:
    files = Driven(FileCleanupManager, tmp_path / "base")
    path = files.file("one")
    assert no_disk(lambda: files.manager.cleanup_file(path)) == (True, [])
    path = files.file("sub/two")
    assert no_disk(lambda: files.manager.cleanup_directory(path.parent)) == (True, [])
    files.file("three", hours=100)
    done, seen = no_disk(files.manager.cleanup_old_files)
    assert (done["removed_count"], seen) == (1, [])
    files.file("four")
    assert no_disk(files.manager.cleanup_all_tracked) == (1, [])
    assert no_disk(files.manager.recover) == (0, [])
    files.start_periodic_cleanup()
    assert no_disk(files.manager.stop_periodic_cleanup) == (None, [])


def test_the_end_of_a_block_does_nothing_with_the_disk_on_the_loop(tmp_path: Path) -> None:
    from common.temp.tracking import temp_file_async

    (tmp_path / "file").touch()

    async def block() -> bool:
        async with temp_file_async(tmp_path / "file"):
            pass
        return True

    assert no_disk(block) == (True, [])
    assert not (tmp_path / "file").exists()


def test_what_is_in_a_directory_that_took_the_place_of_the_tracked_one_stays(
    tmp_path: Path, kind: Any
) -> None:
    files = Driven(kind, tmp_path / "base")
    path = files.file("upload")
    files.track_file(path)
    (tmp_path / "base").rename(tmp_path / "before")
    (tmp_path / "base").mkdir()
    path.write_text("of last year")
    os.utime(path, (1, 1))
    assert files.cleanup_old_files(1)["removed_count"] == 0
    assert path.read_text() == "of last year"
