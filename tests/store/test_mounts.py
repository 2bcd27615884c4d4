"""Where other filesystems are mounted."""

from __future__ import annotations

import builtins
import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.errors import StorageError
from common.temp.store.system.mounts import MountWatch, mounts_below
from tests.store.children import in_child
from tests.support import MANY_OPEN, mounted


def test_mounts_are_told_relative_to_the_directory_whatever_their_names(tmp_path: Path) -> None:
    with mounted(tmp_path / "a b\r\n\\" / "ü", "size=64k"):
        assert mounts_below(str(tmp_path)) == {"a b\r\n\\/ü"}


def test_a_mount_on_the_directory_itself_is_not_below_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "here", "size=64k") as directory:
        assert mounts_below(str(directory)) == frozenset()


def test_a_sibling_with_a_longer_name_is_not_below(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with mounted(tmp_path / "xy", "size=64k"):
        assert mounts_below(str(tmp_path / "x")) == frozenset()


def test_a_symlinked_directory_has_the_mounts_of_its_target(tmp_path: Path) -> None:
    with mounted(tmp_path / "real" / "m", "size=64k"):
        (tmp_path / "link").symlink_to("real")
        assert mounts_below(str(tmp_path / "link")) == {"m"}


def test_where_the_system_does_not_tell_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> Any:
        if path == "/proc/self/mountinfo":
            raise FileNotFoundError(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", refusing)
    assert mounts_below("/") == frozenset()


# -- the watch ------------------------------------------------------------------------------------


def real(directory: Path) -> bytes:
    return os.fsencode(os.path.realpath(directory))


@pytest.fixture
def watch() -> Iterator[MountWatch]:
    watch = MountWatch()
    yield watch
    watch.close()


def test_a_watch_sees_what_is_mounted_and_unmounted_after_it_was_asked(
    tmp_path: Path, watch: MountWatch
) -> None:
    place = tmp_path / "a b" / "m"
    assert real(place) not in watch.points()
    with mounted(place, "size=64k"):
        assert real(place) in watch.points()
        assert real(place) in watch.points()
    assert real(place) not in watch.points()


def test_a_watch_that_was_never_asked_sees_what_was_mounted_before(
    tmp_path: Path, watch: MountWatch
) -> None:
    with mounted(tmp_path / "m", "size=64k"):
        assert real(tmp_path / "m") in watch.points()


def test_two_watches_both_see_a_change(tmp_path: Path, watch: MountWatch) -> None:
    with contextlib.closing(MountWatch()) as other:
        watch.points(), other.points()
        with mounted(tmp_path / "m", "size=64k"):
            assert real(tmp_path / "m") in watch.points()
            assert real(tmp_path / "m") in other.points()


def test_a_closed_watch_tells_of_no_mounts_and_has_nothing_open(watch: MountWatch) -> None:
    before = os.listdir("/proc/self/fd")
    closed = MountWatch()
    closed.points()
    closed.close()
    closed.close()
    assert closed.points() == ()
    assert os.listdir("/proc/self/fd") == before


def test_a_table_that_cannot_be_read_now_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    def caller() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        try:
            mounts_below(str(tmp_path))
        except StorageError as error:
            return str(error)
        return ""

    assert in_child(caller) == f"cannot read /proc/self/mountinfo: {MANY_OPEN}"
