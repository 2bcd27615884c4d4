"""Debug, cache, working and test directories."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.contexts import (
    get_cache_temp_dir,
    get_debug_temp_dir,
    pytest_temp_dirs,
    temp_working_dir,
)
from common.temp.errors import InvalidName, StorageError
from common.temp.manager import TempManager
from common.temp.store.project.project import user_root
from tests.support import listing, run


@pytest.mark.parametrize(
    ("path_of", "category", "label"),
    [
        (get_debug_temp_dir, "debug", "debug"),
        (get_cache_temp_dir, "cache", "cache"),
        (lambda: get_debug_temp_dir("a b", "mine"), "mine", "a b"),
        (lambda: get_cache_temp_dir("é_1", "日本"), "日本", "é_1"),
    ],
)
def test_a_directory_is_made_where_its_category_says(
    project: Path, path_of: Callable[[], Path], category: str, label: str
) -> None:
    path = path_of()
    assert path.parent == project / ".tmp" / category
    assert path.name.rpartition("_")[0] == label
    assert list(path.iterdir()) == []


def test_a_working_directory_is_in_the_system_s_temporary_one_and_gone_after(
    project: Path,
) -> None:
    with temp_working_dir("resize") as path:
        (path / "file").write_text("x")
        assert path.parent == user_root() / "work"
        assert path.name.startswith("resize_")
        assert path.stat().st_mode & 0o777 == 0o700
        assert Path.cwd() == project
    assert not path.exists()
    assert not (project / ".tmp").exists()


def test_a_working_directory_is_gone_when_the_block_raises(project: Path) -> None:
    with pytest.raises(ZeroDivisionError), temp_working_dir() as path:
        raise ZeroDivisionError
    assert not path.exists()


def test_a_working_directory_with_files_that_forbid_it_is_gone_too(project: Path) -> None:
    with temp_working_dir() as path:
        inner = path / "read-only"
        inner.mkdir()
        (inner / "file").write_text("x")
        (inner / "file").chmod(0o400)
        inner.chmod(0o500)
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), ["source", "target"]),
        ((1,), ["source"]),
        ((0,), []),
        ((7,), ["source", "target", "working", "output", "backup", "temp_5", "temp_6"]),
        ((2, ["a", "b"]), ["a", "b"]),
        ((2, ["a", "b", "c"]), ["a", "b"]),
        ((None, ["a", "b", "c"]), ["a", "b", "c"]),
        ((1, ["a", "b"]), ["a"]),
        ((0, ["a"]), []),
        ((3, ["a", "b"]), ["a", "b", "temp_2"]),
        ((4, ["temp_2", "b"]), ["temp_2", "b", "temp_3", "temp_4"]),
    ],
)
def test_siblings_have_exactly_these_names(
    project: Path, arguments: tuple[int | None, list[str]], names: list[str]
) -> None:
    with pytest_temp_dirs(*arguments) as directories:
        assert [directory.name for directory in directories] == names
        assert all(directory.is_dir() for directory in directories)
        assert len({directory.parent for directory in directories}) <= 1
        assert all(directory.is_relative_to(user_root() / "test") for directory in directories)


def test_siblings_are_gone_after_the_block(project: Path) -> None:
    with pytest_temp_dirs() as directories:
        (directories[0] / "file").write_text("x")
    assert not directories[0].parent.exists()


def test_the_entry_of_siblings_bears_the_name_of_the_test(project: Path) -> None:
    with pytest_temp_dirs() as directories:
        assert directories[0].parent.name.startswith("test_the_entry_of_siblings_bears_")


def test_outside_a_test_the_entry_of_siblings_is_called_test(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest_temp_dirs() as directories:
        assert directories[0].parent.name.startswith("test_1")


def test_siblings_stay_where_asked_and_say_where(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTEST_KEEP_TEMPS", "1")
    with pytest_temp_dirs() as directories:
        pass
    assert directories[0].is_dir()
    assert directories[0].is_relative_to(project / ".tmp" / "test")
    assert str(directories[0].parent) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\0b", "CON"])
def test_a_sibling_that_is_no_plain_name_leaves_nothing_on_disk(project: Path, name: str) -> None:
    with pytest.raises(InvalidName, match="directory name"), pytest_temp_dirs(2, ["good", name]):
        pass
    assert not (project / ".tmp").exists()


def test_a_sibling_named_twice_is_refused(project: Path) -> None:
    with pytest.raises(InvalidName, match="given twice"), pytest_temp_dirs(2, ["a", "a"]):
        pass


@pytest.mark.parametrize("make", [pytest_temp_dirs, temp_working_dir, TempManager.auto_cleanup_dir])
def test_as_a_decorator_it_makes_new_directories_for_each_call(project: Path, make) -> None:  # type: ignore[no-untyped-def]
    @make()  # type: ignore[untyped-decorator]
    def run(given: int, *, by_name: int) -> tuple[int, int, list[str]]:
        return given, by_name, [path for path in listing(user_root()) if path.count("/") == 1]

    first, second = run(1, by_name=2), run(3, by_name=4)
    assert (first[:2], second[:2]) == ((1, 2), (3, 4))
    made = [{path for path in one[2] if not path.startswith(".")} for one in (first, second)]
    assert len(made[0]) == len(made[1]) == 1
    assert made[0] != made[1]


def test_siblings_can_be_imported_by_name_into_a_conftest(project: Path) -> None:
    (project / "conftest.py").write_text("from common.temp import pytest_temp_dirs\n")
    (project / "test_one.py").write_text(
        "from common.temp import pytest_temp_dirs\n"
        "def test_one():\n    with pytest_temp_dirs() as (a, b): assert a.parent == b.parent\n"
        "@pytest_temp_dirs(1)\ndef test_two(tmp_path): assert tmp_path.is_dir()\n"
    )
    done = run([sys.executable, "-m", "pytest", "-q"], cwd=project)
    assert done.returncode == 0, done.stdout


def test_a_root_that_is_a_file_says_so(project: Path) -> None:
    (project / ".tmp").write_text("mine")
    with pytest.raises(StorageError, match="is not a directory; move it away"):
        get_debug_temp_dir()
    assert (project / ".tmp").read_text() == "mine"


def test_pasted_examples_need_nothing_but_the_package(project: Path) -> None:
    code = "from common.temp import *\nwith temp_working_dir('x') as d: print(d.is_dir())\n"
    (project / "script.py").write_text(code)
    done = run([sys.executable, "script.py"], cwd=project)
    assert done.stdout == "True\n", done.stderr
    assert not any("work/" in path for path in listing(project / ".tmp"))
