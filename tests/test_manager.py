"""`TempManager`: what it makes, where, and what its cleanup removes."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from common.temp.errors import InvalidName, InvalidSettings, StorageError
from common.temp.holding import hold
from common.temp.manager import TempManager
from common.temp.pins import pin
from common.temp.store.project.project import user_root
from tests.support import age, listing, long_ago, make_entry, make_project, process


def test_a_persistent_directory_is_at_category_label_epoch(project: Path) -> None:
    before = int(time.time())
    path = TempManager.create_persistent_dir("thumbnails", "cache")
    label, _, epoch = path.name.rpartition("_")
    assert path.parent == project / ".tmp" / "cache"
    assert label == "thumbnails"
    assert before <= int(epoch) <= time.time()


def test_every_path_is_absolute(project: Path) -> None:
    paths = [
        TempManager.get_project_temp_base(),
        TempManager.create_persistent_dir(),
        TempManager.create_persistent_file(),
        *TempManager.list_persistent_temps(),
    ]
    assert all(path.is_absolute() for path in paths)


def test_without_a_category_it_is_uncategorized(project: Path) -> None:
    assert TempManager.create_persistent_dir().parent == project / ".tmp" / "uncategorized"


def test_a_persistent_file_is_empty_and_alone_in_its_own_entry(project: Path) -> None:
    path = TempManager.create_persistent_file("log", ".txt", "debug")
    assert path.read_bytes() == b""
    assert list(path.parent.iterdir()) == [path]
    assert path.parent.parent == project / ".tmp" / "debug"
    assert path.name == f"{path.parent.name}.txt"


def test_two_files_in_one_second_bear_the_same_name_in_different_entries(project: Path) -> None:
    first, second = (TempManager.create_persistent_file("log") for _ in range(2))
    assert first.parent != second.parent
    assert first.name.startswith("log_")
    assert second.name.startswith("log_")


def test_a_suffix_with_a_separator_leaves_nothing_on_disk(project: Path) -> None:
    with pytest.raises(InvalidName, match="path separator"):
        TempManager.create_persistent_file("log", "/../x")
    assert not (project / ".tmp").exists()


def test_the_base_is_the_project_s_and_exists_and_is_marked(project: Path) -> None:
    base = TempManager.get_project_temp_base()
    assert base == project / TempManager.PERSISTENT_BASE
    assert {"CACHEDIR.TAG", ".gitignore"} <= set(listing(base))
    assert TempManager.get_project_temp_base() == base
    assert TempManager.list_persistent_temps() == []


def test_a_base_in_the_place_of_a_file_leaves_the_file(project: Path) -> None:
    (project / ".tmp").write_text("mine")
    with pytest.raises(StorageError, match="is not a directory"):
        TempManager.get_project_temp_base()
    assert (project / ".tmp").read_text() == "mine"


def test_entries_are_listed_by_category(project: Path) -> None:
    root = project / ".tmp"
    old = make_entry(root, "demo_1696348800")
    cached = TempManager.create_persistent_dir("x", "cache")
    assert TempManager.list_persistent_temps(category="cache") == [cached]
    assert TempManager.list_persistent_temps("uncategorized") == [old]
    assert TempManager.list_persistent_temps(category="debug") == []


def test_from_deep_inside_a_project_scratch_lands_in_its_root(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = project / "src" / "deep" / "down"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert TempManager.create_persistent_dir().is_relative_to(project / ".tmp")


def test_a_subproject_has_a_root_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = make_project(project / "projects" / "photos")
    monkeypatch.chdir(photos)
    assert TempManager.create_persistent_dir().is_relative_to(photos / ".tmp")


def test_a_new_root_is_tagged_as_a_cache_and_ignored_by_git(project: Path) -> None:
    TempManager.create_persistent_dir()
    root = project / ".tmp"
    assert (root / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f0688")
    assert (root / ".gitignore").read_text() == "*\n"


def test_listing_a_missing_root_is_empty_and_makes_nothing(project: Path) -> None:
    assert TempManager.list_persistent_temps() == []
    assert not (project / ".tmp").exists()


def test_entries_of_the_old_helper_and_of_plain_mkdir_are_listed(project: Path) -> None:
    root = project / ".tmp"
    old = make_entry(root, "demo_1696348800")
    by_hand = make_entry(root, "debug/by-hand")
    unstamped = make_entry(root, "notes")
    assert TempManager.list_persistent_temps() == sorted([old, by_hand, unstamped])


def test_cleaning_without_an_age_takes_this_process_s_own_entries(project: Path) -> None:
    paths = [TempManager.create_persistent_dir() for _ in range(3)]
    assert TempManager.clean_persistent_temps() == 3
    assert not any(path.exists() for path in paths)


def test_cleaning_without_an_age_leaves_what_this_process_only_holds(project: Path) -> None:
    given = make_entry(project / ".tmp", "work/given")
    mine = TempManager.create_persistent_dir()
    with hold(given):
        assert TempManager.clean_persistent_temps() == 1
    assert given.is_dir()
    assert not mine.exists()
    assert TempManager.clean_persistent_temps() == 1


def test_cleaning_by_age_leaves_this_process_s_own_entries(project: Path) -> None:
    with long_ago():
        path = TempManager.create_persistent_dir()
    age(path, 100)
    assert TempManager.clean_persistent_temps(1) == 0
    assert path.exists()


def test_cleaning_leaves_the_entries_of_another_live_process(project: Path) -> None:
    make = "from common.temp import *; print(TempManager.create_persistent_dir()); input()"
    with process(make, cwd=project) as other:
        assert TempManager.clean_persistent_temps() == 0
        assert Path(other.first_line).exists()


def test_cleaning_by_age_takes_the_old_and_leaves_the_new(project: Path) -> None:
    old = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=25)
    new = make_entry(project / ".tmp", "debug/new_1696348800", age_hours=23)
    assert TempManager.clean_persistent_temps(max_age_hours=24) == 1
    assert not old.exists()
    assert new.exists()


def test_cleaning_leaves_pinned_entries(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/old_1696348800")
    pin(path, "wanted")
    assert TempManager.clean_persistent_temps() == 0
    assert path.exists()


def test_cleaning_archives_and_rehearses_as_the_project_says(project: Path) -> None:
    entry = make_entry(project / ".tmp", "work/report_1600000000", age_hours=1000)
    for setting, went in ("dry_run", 0), ("archive", 1):
        (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{setting} = true\n")
        assert TempManager.clean_persistent_temps(24) == went
        assert entry.exists() is not bool(went)
    assert (project / ".tmp-archive" / "work__report_1600000000" / "file0.txt").exists()


def test_cleaning_leaves_what_the_project_excludes(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nexclude = ["keep_*"]\n')
    kept = make_entry(project / ".tmp", "debug/keep_1696348800")
    assert TempManager.clean_persistent_temps() == 0
    assert kept.exists()


@pytest.mark.parametrize("hours", [-1, float("nan"), float("inf"), "soon", "24", True])
def test_an_age_that_is_no_number_cleans_nothing(project: Path, hours: float) -> None:
    path = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=25)
    with pytest.raises(InvalidSettings, match="expected a number of hours of 0 or more"):
        TempManager.clean_persistent_temps(hours)
    assert path.exists()


def test_an_auto_cleanup_directory_is_private_and_gone_after_the_block(project: Path) -> None:
    with TempManager.auto_cleanup_dir("job") as path:
        (path / "deep").mkdir()
        (path / "deep" / "file").write_text("x")
        assert path.name.startswith("job_")
        assert path.is_relative_to(user_root())
        assert stat.S_IMODE(os.stat(user_root()).st_mode) == 0o700
    assert not path.exists()


def test_an_auto_cleanup_file_is_gone_after_the_block(project: Path) -> None:
    with TempManager.auto_cleanup_file("job", ".csv") as path:
        assert path.read_bytes() == b""
        assert path.name.startswith("job_")
        assert path.suffix == ".csv"
    assert not path.parent.exists()


@pytest.mark.parametrize("make", [TempManager.auto_cleanup_dir, TempManager.auto_cleanup_file])
def test_a_block_that_raises_is_cleaned_and_its_error_goes_on(project: Path, make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ZeroDivisionError), make() as path:
        raise ZeroDivisionError
    assert not path.exists()


def test_what_the_block_removed_itself_is_no_error(project: Path) -> None:
    with TempManager.auto_cleanup_dir() as path:
        path.rmdir()
    assert not path.exists()


def test_what_the_block_replaced_by_a_link_loses_the_link_only(project: Path) -> None:
    target = project / "precious"
    target.mkdir()
    (target / "work").write_text("x")
    with TempManager.auto_cleanup_dir() as path:
        path.rmdir()
        path.symlink_to(target)
    assert not path.is_symlink()
    assert (target / "work").exists()


def test_a_child_forked_in_the_block_leaves_the_directory_to_its_parent(project: Path) -> None:
    with TempManager.auto_cleanup_dir() as path:
        child = os.fork()
        if child == 0:
            try:
                # As a child ends that returns through the block instead of calling os._exit.
                TempManager.auto_cleanup_dir("of-the-child").__enter__()
                from common.temp.store.sweep.discard import discard

                discard(str(user_root()), str(path))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert path.exists()
    assert not path.exists()


@pytest.mark.parametrize("hours", [None, 0, 24])
def test_cleaning_within_a_block_leaves_its_directory(project: Path, hours: int | None) -> None:
    with TempManager.auto_cleanup_dir("job") as path:
        TempManager.clean_persistent_temps(hours)
        assert path.exists()


def test_directories_of_a_killed_process_are_cleaned_by_the_next_sweep(project: Path) -> None:
    code = (
        "from common.temp import *\n"
        "with TempManager.auto_cleanup_dir('job') as path:\n"
        "    print(path, flush=True)\n    input()"
    )
    with process(code, cwd=project) as job:
        left = Path(job.first_line)
        TempManager.clean_persistent_temps()
        assert left.exists()
    assert left.exists()
    TempManager.clean_persistent_temps(max_age_hours=24)
    assert not left.exists()
