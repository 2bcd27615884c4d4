"""Renaming never replaces anything, in one step or in several."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.store.system import at, renaming
from common.temp.store.system.renaming import rename_new
from tests.support import listing, make_entry, mounted, plain_user


@pytest.fixture(params=["in one step", "in several"])
def parent(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """The open directory `tmp_path`, on a system that can do it in one step, or on another."""
    if request.param == "in several":
        monkeypatch.setattr(renaming, "_rename_noreplace", lambda *_: errno.ENOSYS)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("kind", ["directory", "file", "link", "fifo"])
def test_what_has_a_free_name_gets_it(tmp_path: Path, parent: int, kind: str) -> None:
    path = tmp_path / "it"
    if kind == "directory":
        make_entry(tmp_path, "it")
    elif kind == "file":
        path.write_text("content")
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        os.mkfifo(path)
    before = path.lstat()
    rename_new("it", str(tmp_path / "other"), src_dir_fd=parent)
    after = (tmp_path / "other").lstat()
    assert (after.st_ino, after.st_mode, after.st_nlink) == (
        before.st_ino, before.st_mode, before.st_nlink,
    )  # fmt: skip
    assert not os.path.lexists(path)


@pytest.mark.parametrize("source", ["directory", "file", "link"])
@pytest.mark.parametrize("target", ["directory", "file", "link"])
def test_what_is_there_stays_and_so_does_what_was_to_be_renamed(
    tmp_path: Path, parent: int, source: str, target: str
) -> None:
    for name, kind in (("it", source), ("other", target)):
        if kind == "directory":
            (tmp_path / name).mkdir()
        elif kind == "file":
            (tmp_path / name).touch()
        else:
            (tmp_path / name).symlink_to("nowhere")
    before = [(tmp_path / name).lstat().st_ino for name in ("it", "other")]
    with pytest.raises(FileExistsError):
        rename_new("it", "other", src_dir_fd=parent, dst_dir_fd=parent)
    assert [(tmp_path / name).lstat().st_ino for name in ("it", "other")] == before


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_it_does_not_copy(tmp_path: Path, parent: int, kind: str) -> None:
    make_entry(tmp_path, "directory")
    (tmp_path / "file").touch()
    with mounted(tmp_path / "m", "size=1m") as disk, pytest.raises(OSError) as raised:  # noqa: PT011
        rename_new(kind, str(disk / "other"), src_dir_fd=parent)
    assert raised.value.errno == errno.EXDEV
    assert (tmp_path / kind).exists()


def test_a_read_only_directory_can_get_another_parent_and_stays_read_only(
    tmp_path: Path, parent: int
) -> None:
    path = make_entry(tmp_path, "it")
    path.chmod(0o500)
    (tmp_path / "sub").mkdir()
    with plain_user():
        rename_new("it", str(tmp_path / "sub" / "it"), src_dir_fd=parent)
    assert listing(tmp_path / "sub" / "it") == ["file0.txt"]
    assert stat.S_IMODE((tmp_path / "sub" / "it").stat().st_mode) == 0o500


def test_a_link_that_is_put_in_its_place_at_that_instant_is_not_followed(
    tmp_path: Path, parent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, target = make_entry(tmp_path, "it"), tmp_path / "sub" / "it"
    path.chmod(0o500)
    make_entry(tmp_path, "victim").chmod(0o755)
    target.parent.mkdir()
    real = renaming._rename

    def rename(*arguments: Any) -> None:
        real(*arguments)
        target.rename(tmp_path / "sub" / "stolen")
        target.symlink_to(tmp_path / "victim")

    monkeypatch.setattr(renaming, "_rename", rename)
    with plain_user():
        rename_new("it", str(target), src_dir_fd=parent)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("victim", "sub/stolen")]
    assert modes == [0o755, 0o500]


def test_a_directory_that_cannot_be_put_there_is_as_it_was(tmp_path: Path, parent: int) -> None:
    path = make_entry(tmp_path, "it")
    path.chmod(0o500)
    (tmp_path / "sub").mkdir(mode=0o500)
    with plain_user(), pytest.raises(PermissionError):
        rename_new("it", str(tmp_path / "sub" / "it"), src_dir_fd=parent)
    assert stat.S_IMODE(path.stat().st_mode) == 0o500


def test_what_is_not_there_is_not_found(tmp_path: Path, parent: int) -> None:
    with pytest.raises(FileNotFoundError):
        rename_new("it", str(tmp_path / "other"), src_dir_fd=parent)


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_is_made_there_at_that_instant_is_never_replaced(
    tmp_path: Path, parent: int, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(at, "link", refuse)  # as on a filesystem without
    target = tmp_path / "target"
    ended = threading.Event()
    made: list[int] = []

    def racer() -> None:
        while not ended.is_set():
            try:
                target.mkdir() if kind == "directory" else target.touch(exist_ok=False)
                made.append(target.stat().st_ino)
                return
            except (FileExistsError, FileNotFoundError):
                continue

    for _ in range(200):
        (tmp_path / "it").mkdir() if kind == "directory" else (tmp_path / "it").touch()
        ours = (tmp_path / "it").stat().st_ino
        made.clear()
        ended.clear()
        thread = threading.Thread(target=racer)
        thread.start()
        try:
            rename_new("it", "target", src_dir_fd=parent, dst_dir_fd=parent)
        except FileExistsError:
            assert (tmp_path / "it").stat().st_ino == ours
        ended.set()
        thread.join()
        found = target.stat().st_ino
        assert found == (made[0] if made else ours)
        for path in (target, tmp_path / "it"):
            if path.exists():
                path.rmdir() if kind == "directory" else path.unlink()
