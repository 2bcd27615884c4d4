"""Deleting trees through descriptors: everything goes, and nothing outside is touched."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.core.policy import Policy
from common.temp.store.root.making import make_root
from common.temp.store.system import at
from common.temp.store.system.opening import opened
from common.temp.store.trees.removal import BUSY, Part, Removal, remove_at
from common.temp.store.trees.removed import Removed
from tests.support import (
    BROKEN,
    DENIED,
    IMMUTABLE,
    ext4,
    immutable,
    in_holding,
    listing,
    make_entry,
    meanwhile,
    mounted,
    outcomes,
    plain_user,
    swept,
    tree,
)


def remove(path: Path) -> Removed:
    """What `remove_at` says of `path`."""
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        return remove_at(parent, path.name)
    finally:
        os.close(parent)


# -- deleting -------------------------------------------------------------------------------------


def test_a_tree_is_removed_and_what_lies_beside_it_is_not(tmp_path: Path) -> None:
    tree(tmp_path / "gone")
    tree(tmp_path / "stays")
    removed = remove(tmp_path / "gone")
    assert (removed.files, removed.directories, removed.failures) == (85 * 3, 85, [])
    assert not (tmp_path / "gone").exists()
    assert len(listing(tmp_path / "stays")) == 85 * 3 + 84


def test_what_is_gone_is_no_failure(tmp_path: Path) -> None:
    assert remove(tmp_path / "missing") == Removed()


@pytest.mark.parametrize("kind", ["file", "link", "broken", "fifo", "socket"])
def test_what_is_no_directory_is_unlinked_and_a_link_never_followed(
    tmp_path: Path, canary: Path, kind: str
) -> None:
    path = tmp_path / "it"
    if kind == "file":
        path.write_bytes(b"x" * 5000)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
            server.bind("it")
    else:
        path.symlink_to(os.path.relpath(canary, tmp_path) if kind == "link" else "nowhere")
    removed = remove(path)
    assert (removed.files, removed.failures) == (1, [])
    assert removed.freed_bytes == (8192 if kind == "file" else 0)
    assert not os.path.lexists(path)


def test_links_in_a_tree_are_removed_as_links(tmp_path: Path, canary: Path) -> None:
    top = tree(tmp_path / "top")
    (top / "d1" / "link").symlink_to(canary)
    (top / "file link").symlink_to(canary / "file0.txt")
    assert remove(top).failures == []
    assert not top.exists()


def test_a_hard_link_counts_as_freed_with_its_last_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 40_960)
    os.link(tmp_path / "a" / "one", tmp_path / "a" / "two")
    os.link(tmp_path / "a" / "one", tmp_path / "outside")
    assert remove(tmp_path / "a").freed_bytes < 40_960
    assert remove(tmp_path / "outside").freed_bytes == 40_960


def test_freed_bytes_are_what_the_filesystem_gains(tmp_path: Path) -> None:
    with ext4(tmp_path, megabytes=32) as directory:
        root = directory / ".tmp"
        path = tree(root / "debug" / "x", width=3, depth=4, files=6)
        (path / "sparse").write_bytes(b"")
        with open(path / "sparse", "r+b") as file:
            file.truncate(50_000_000)
            file.write(b"x" * 3_000_000)
        (path / "wide").mkdir()
        for number in range(2000):
            (path / "wide" / ("n" * 100 + str(number))).touch()
        make_root(str(root))
        os.sync()
        before = os.statvfs(directory)
        report = swept(root)
        os.sync()
        after = os.statvfs(directory)
        gained = (after.f_bfree - before.f_bfree) * after.f_frsize
        assert report.freed_bytes == pytest.approx(gained, rel=0.01)
        assert report.plan.planned_bytes == pytest.approx(gained, rel=0.01)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o555, 0o300])
def test_directories_without_permissions_are_removed_for_a_plain_user(
    root: Path, mode: int
) -> None:
    path = tree(root / "debug" / "x", depth=2)
    for above, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.chmod(os.path.join(above, name), 0)
        for name in directories:
            os.chmod(os.path.join(above, name), mode)
    path.chmod(mode)
    with plain_user():
        assert outcomes(swept(root)) == {"debug/x": ("done", "")}
    assert not path.exists()


def test_without_o_path_a_closed_directory_is_opened_all_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tree(root / "debug" / "x", depth=1)
    (path / "d1").chmod(0)
    monkeypatch.delattr(os, "O_PATH")
    monkeypatch.setattr(os, "supports_follow_symlinks", {os.chmod})
    real = os.chmod
    monkeypatch.setattr(
        os, "chmod", lambda *a, **k: real(*a, **{n: v for n, v in k.items() if n == "dir_fd"})
    )
    monkeypatch.setattr(os, "supports_follow_symlinks", {os.chmod})
    with plain_user():
        assert outcomes(swept(root)) == {"debug/x": ("done", "")}


def test_where_neither_way_is_there_a_closed_directory_is_a_failure(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tree(root / "debug" / "x", depth=1)
    (path / "d1").chmod(0)
    monkeypatch.delattr(os, "O_PATH")
    monkeypatch.setattr(os, "supports_follow_symlinks", set())
    with plain_user():
        assert outcomes(swept(root)) == {"debug/x": ("failed", f"d1: {DENIED}")}
    assert (path / "d1").is_dir()


def test_an_entry_with_an_immutable_file_goes_back_to_its_place_and_says_so(root: Path) -> None:
    path = tree(root / "debug" / "x", depth=1)
    make_entry(root, "debug/y")
    with immutable(path / "d1" / "f1"):
        assert outcomes(swept(root)) == {
            "debug/x": ("failed", f"d1/f1: {IMMUTABLE}"),
            "debug/y": ("done", ""),
        }
        assert listing(path) == ["d1", "d1/f1"]
        assert in_holding(root) == []
    assert outcomes(swept(root)) == {"debug/x": ("done", "")}


def test_a_failure_says_how_many_more_there_are(root: Path) -> None:
    path = tree(root / "debug" / "x", depth=1)
    with immutable(path / "d0" / "f1"), immutable(path / "d1" / "f1"):
        status, detail = outcomes(swept(root))["debug/x"]
    assert status == "failed"
    assert detail.endswith(
        "/f1: Operation not permitted (it is immutable), and 1 more; chattr -i it"
    )


def test_an_immutable_file_as_an_entry_is_a_failure_and_stays(root: Path) -> None:
    make_root(str(root))
    (root / "debug").mkdir()
    (root / "debug" / "log").write_text("")
    with immutable(root / "debug" / "log"):
        assert outcomes(swept(root)) == {
            "debug/log": ("failed", f"cannot be moved aside: {IMMUTABLE}")
        }
        assert (root / "debug" / "log").exists()


def test_an_entry_in_a_category_that_may_not_be_written_fails_and_stays(root: Path) -> None:
    make_root(str(root))
    path = make_entry(root, "debug/x")
    (root / "debug").chmod(0o555)
    with plain_user():
        assert outcomes(swept(root)) == {"debug/x": ("failed", f"cannot be moved aside: {DENIED}")}
    assert len(listing(path)) == 1


def test_a_root_that_may_not_be_written_is_a_failure_of_each_entry(root: Path) -> None:
    make_entry(root, "debug/x")
    root.chmod(0o555)
    with plain_user():
        assert outcomes(swept(root)) == {
            "debug/x": ("failed", f"no holding area in {root}: {DENIED}")
        }
    assert (root / "debug" / "x").is_dir()


def test_a_directory_that_cannot_be_read_while_it_is_emptied_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(tmp_path / "top", depth=1)
    real = os.scandir
    inode = (top / "d2").stat().st_ino

    def scandir(descriptor: int | Path) -> object:
        if isinstance(descriptor, int) and os.fstat(descriptor).st_ino == inode:
            raise OSError(5, "Input/output error")
        return real(descriptor)

    monkeypatch.setattr(at, "scandir", scandir)
    assert remove(top).failures == [("d2", BROKEN)]
    assert listing(top) == ["d2", "d2/f0", "d2/f1", "d2/f2"]


def test_a_mounted_filesystem_in_a_tree_is_a_failure_and_stays(tmp_path: Path) -> None:
    top = tree(tmp_path / "top", depth=1)
    with mounted(top / "d1" / "m", "size=64k") as directory:
        (directory / "precious").write_text("p")
        assert remove(top).failures == [
            ("d1/m", "another filesystem is mounted here; unmount it first")
        ]
        assert (directory / "precious").read_text() == "p"
        assert listing(top) == ["d1", "d1/m", "d1/m/precious"]


# -- racers ---------------------------------------------------------------------------------------


DESPITE_ALL = Policy(everything=True, spare_in_use=False)
"""Whoever has a directory open in an entry uses it; those who race here are no reason to stop."""


def race(root: Path, sweeps: int, work: Callable[[Path], None]) -> list[str]:
    """The statuses of sweeps of an entry, in whose claimed remains `work` goes on meanwhile."""
    (root / "debug").mkdir()
    holding = root / ".tempkeep" / "holding"
    statuses: list[str] = []
    chance = random.Random()

    def at_it() -> None:
        for name in (*os.listdir(holding), "../../debug/x"):
            with contextlib.suppress(OSError):
                work(holding / name / f"d{chance.randrange(4)}" / f"d{chance.randrange(4)}")

    with meanwhile(at_it):
        for _ in range(sweeps):
            if not os.path.lexists(root / "debug" / "x"):
                tree(root.parent / "new", depth=3).rename(root / "debug" / "x")
            report = swept(root, DESPITE_ALL)
            statuses += [outcome.status for outcome in report.outcomes]
            for outcome in report.outcomes:
                assert (outcome.status == "done") is (outcome.detail == "")
    assert statuses
    return statuses


def test_a_racer_that_puts_links_in_the_place_of_directories_reaches_nothing_outside(
    root: Path, canary: Path
) -> None:
    make_root(str(root))

    def work(place: Path) -> None:
        aside = place.with_name("aside")
        place.rename(aside)
        place.symlink_to(canary)
        place.unlink()
        aside.rename(place)

    race(root, 4, work)


def test_a_racer_that_moves_directories_out_and_in_reaches_nothing_outside(
    root: Path, canary: Path, tmp_path: Path
) -> None:
    make_root(str(root))

    def work(place: Path) -> None:
        place.rename(tmp_path / "out")
        with contextlib.suppress(OSError):
            (tmp_path / "out").rename(place.with_name("back"))
        shutil.rmtree(tmp_path / "out", ignore_errors=True)

    race(root, 4, work)


def test_a_racer_that_keeps_writing_does_not_keep_the_sweep_from_ending(root: Path) -> None:
    make_root(str(root))

    def work(place: Path) -> None:
        for number in range(50):
            (place / f"more{number}").write_text("")
        (place / "dir").mkdir()

    assert "done" in race(root, 4, work)


def test_a_directory_that_something_is_written_to_again_and_again_is_given_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(root / "debug" / "x", depth=1)
    real = os.rmdir
    written: list[str] = []

    def rmdir(name: str, *, dir_fd: int | None = None) -> None:
        if name == "d1":
            written.append(name)
            descriptor = os.open(name, os.O_RDONLY, dir_fd=dir_fd)
            os.close(os.open("more", os.O_CREAT, dir_fd=descriptor))
            os.close(descriptor)
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(at, "rmdir", rmdir)
    report = swept(root, workers=1)
    assert outcomes(report) == {"debug/x": ("failed", f"d1: {BUSY}")}
    assert listing(root / "debug" / "x") == ["d1", "d1/more"]
    assert len(written) == 8


def test_on_a_tmpfs_too_a_racer_that_keeps_writing_does_not_keep_the_sweep_from_ending(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path / "m", "size=8m,nr_inodes=5k") as directory:
        path = make_entry(directory / ".tmp", "debug/x")
        descriptor = os.open(path, os.O_RDONLY)
        count = 0

        def work() -> None:
            nonlocal count
            count += 1
            os.mknod(f"more{count}", dir_fd=descriptor)  # which, once open, would be in use

        with meanwhile(work):
            ((status, detail),) = outcomes(swept(directory / ".tmp", DESPITE_ALL)).values()
        os.close(descriptor)
        assert (status, detail) in {("done", ""), ("failed", BUSY)}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_racers_of_all_kinds_at_once_reach_nothing_outside(
    root: Path, canary: Path, tmp_path: Path, seed: int
) -> None:
    make_root(str(root))
    chance = random.Random(seed)

    def work(place: Path) -> None:
        kind = chance.randrange(4)
        if place.is_symlink():
            return  # the racer itself must not work through its link
        aside = place.with_name("aside")
        if kind == 0:
            place.rename(aside)
            place.symlink_to(canary)
        elif kind == 1:
            place.rename(tmp_path / f"out{chance.random()}")
        elif kind == 2:
            (place / "new").mkdir()
            (place / "new" / "file").write_text("")
        else:
            (place / "d0").rename(place.parent / f"up{chance.random()}")

    race(root, 40, work)


def test_a_directory_that_is_swapped_for_a_link_as_it_is_entered_goes_as_a_link(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(tmp_path / "top", depth=1, width=1)
    real = os.open

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "d0" and not (top / "d0").is_symlink():
            shutil.rmtree(top / "d0")
            (top / "d0").symlink_to(canary)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(at, "open", opening)
    assert remove(top).failures == []
    assert not top.exists()


def test_a_file_that_is_swapped_for_a_directory_as_it_is_unlinked_is_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(tmp_path / "top", depth=0)
    real = os.unlink

    def unlink(path: str, *, dir_fd: int | None = None) -> None:
        if path == "f1" and not (top / "f1").is_dir():
            real(path, dir_fd=dir_fd)
            tree(top / "f1", depth=1)
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(at, "unlink", unlink)
    assert remove(top).failures == []
    assert not top.exists()


def test_what_was_moved_away_from_under_the_removal_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    path = top
    for _ in range(150):
        tree(path, depth=0, files=1)
        path = path / "d"
    path.mkdir()
    real = at.open
    moved: list[Path] = []

    def opening(name: Path | str, *arguments: int, **where: int) -> int:
        if name == ".." and not moved:
            deep = top / "/".join(["d"] * 90)
            moved.append(deep.rename(tmp_path / "moved"))
        return real(name, *arguments, **where)

    monkeypatch.setattr(at, "open", opening)
    assert remove(top).failures == []
    assert not top.exists()
    assert (tmp_path / "moved").is_dir()


@pytest.mark.parametrize("on", ["disk", "tmpfs"])
def test_half_of_a_large_directory_is_given_away_where_a_removal_may_wait_for_a_disk(
    tmp_path: Path, on: str
) -> None:
    given: list[tuple[int, Part] | None] = []

    def pulse(removal: Removal) -> bool:
        given.append(removal.give_away())
        return True

    with contextlib.ExitStack() as stack:
        manager = ext4(tmp_path) if on == "disk" else mounted(tmp_path / "own", "size=9m")
        directory = stack.enter_context(manager) / "wide"
        directory.mkdir()
        for number in range(1500):
            (directory / str(number)).touch()
        parent = stack.enter_context(opened(directory.parent))
        Removal(pulse).remove(parent, directory.name)
        halves = [one for one in given if one is not None]
        for descriptor, part in halves:
            assert Removal().empty(descriptor, part)
            os.close(descriptor)
        assert bool(halves) == (on == "disk")
        assert not directory.exists() or listing(directory) == []
