"""Taking trees away: claimed by rename, deleted through descriptors, nothing outside touched."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.retention import Policy
from common.temp.errors import Refused, StorageError
from common.temp.store import removal
from common.temp.store.allocation import make_root
from common.temp.store.lease import lock_directory
from common.temp.store.removal import NotClaimed, claimed, finish_leftovers, remove_at
from tests.support import (
    EVERYTHING,
    ext4,
    fill,
    listing,
    make_entry,
    mounted,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    swept,
)

SWEEP = (
    "import time\n"
    "from pathlib import Path\n"
    "from common.temp.core.retention import Policy\n"
    "from common.temp.store.sweep import execute, prepare\n"
    "root = Path('.tmp').absolute()\n"
    "plan = prepare(root, Policy(everything=True), time.time())\n"
    "print('ready', flush=True); input()\n"
    "report = execute(plan)\n"
    "for o in report.outcomes: print(o.step.entry.path, o.status, o.detail)\n"
    "print('finished', report.finished)\n"
)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A tree outside, which is whole at the end."""
    tree = make_entry(tmp_path, "canary", files=5)
    make_entry(tree, "deep/er", files=5)
    before = [(path, path.lstat().st_mode, path.lstat().st_mtime_ns) for path in tree.rglob("*")]
    yield tree
    after = [(path, path.lstat().st_mode, path.lstat().st_mtime_ns) for path in tree.rglob("*")]
    assert after == before


def identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def remove(path: Path) -> removal.Removed:
    """What `remove_at` says of `path`."""
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        return remove_at(parent, path.name)
    finally:
        os.close(parent)


def in_holding(root: Path) -> list[str]:
    holding = root / ".tempkeep" / "holding"
    held = [path.name for path in root.iterdir() if path.name.startswith(".tempkeep-held")]
    return held + (os.listdir(holding) if holding.is_dir() else [])


@contextlib.contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do `work` over and over in a process of its own; what fails is tried again."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            while True:
                with contextlib.suppress(OSError):
                    work()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def tree(top: Path, *, width: int = 4, depth: int = 3, files: int = 3) -> Path:
    top.mkdir(parents=True)
    for number in range(files):
        (top / f"f{number}").write_bytes(b"x" * 5000)
    if depth:
        for number in range(width):
            tree(top / f"d{number}", width=width, depth=depth - 1, files=files)
    return top


# -- deleting -------------------------------------------------------------------------------------


def test_a_tree_is_removed_and_what_lies_beside_it_is_not(tmp_path: Path) -> None:
    tree(tmp_path / "gone")
    tree(tmp_path / "stays")
    removed = remove(tmp_path / "gone")
    assert (removed.files, removed.directories, removed.failures) == (85 * 3, 85, [])
    assert not (tmp_path / "gone").exists()
    assert len(listing(tmp_path / "stays")) == 85 * 3 + 84


def test_what_is_gone_is_no_failure(tmp_path: Path) -> None:
    assert remove(tmp_path / "missing") == removal.Removed()


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
        assert outcomes(swept(root)) == {"debug/x": ("failed", "d1: Permission denied")}
    assert (path / "d1").is_dir()


@contextlib.contextmanager
def immutable(path: Path) -> Iterator[None]:
    if not shutil.which("chattr") or run(["chattr", "+i", str(path)], cwd=path.parent).returncode:
        pytest.skip("cannot make a file immutable here")
    inode = path.lstat().st_ino
    above = path.parent
    try:
        yield
    finally:
        for found in above.parent.parent.rglob(path.name):
            if found.lstat().st_ino == inode:
                run(["chattr", "-i", str(found)], cwd=above.parent.parent)


def test_an_entry_with_an_immutable_file_goes_back_to_its_place_and_says_so(root: Path) -> None:
    path = tree(root / "debug" / "x", depth=1)
    make_entry(root, "debug/y")
    with immutable(path / "d1" / "f1"):
        assert outcomes(swept(root)) == {
            "debug/x": ("failed", "d1/f1: Operation not permitted"),
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
    assert detail.endswith("/f1: Operation not permitted, and 1 more")


def test_an_immutable_file_as_an_entry_is_a_failure_and_stays(root: Path) -> None:
    make_root(str(root))
    (root / "debug").mkdir()
    (root / "debug" / "log").write_text("")
    with immutable(root / "debug" / "log"):
        assert outcomes(swept(root)) == {
            "debug/log": ("failed", "cannot be moved aside: Operation not permitted")
        }
        assert (root / "debug" / "log").exists()


def test_an_entry_in_a_category_that_may_not_be_written_fails_and_stays(root: Path) -> None:
    make_root(str(root))
    path = make_entry(root, "debug/x")
    (root / "debug").chmod(0o555)
    with plain_user():
        assert outcomes(swept(root)) == {
            "debug/x": ("failed", "cannot be moved aside: Permission denied")
        }
    assert len(listing(path)) == 1


def test_a_root_that_may_not_be_written_is_a_failure_of_each_entry(root: Path) -> None:
    make_entry(root, "debug/x")
    root.chmod(0o555)
    with plain_user():
        assert outcomes(swept(root)) == {
            "debug/x": ("failed", f"no holding area in {root}: Permission denied")
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

    monkeypatch.setattr(os, "scandir", scandir)
    assert remove(top).failures == [("d2", "Input/output error")]
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


def test_progress_is_told_the_bytes_that_are_freed(tmp_path: Path) -> None:
    tree(tmp_path / "top", depth=0)
    told: list[int] = []
    parent = os.open(tmp_path, os.O_RDONLY)
    remove_at(parent, "top", progress=told.append)
    os.close(parent)
    assert told == [8192, 16384, 24576]


# -- racers ---------------------------------------------------------------------------------------


def race(root: Path, seconds: float, work: Callable[[Path], None]) -> list[str]:
    """The statuses of sweeps of an entry, in whose claimed remains `work` goes on meanwhile."""
    (root / "debug").mkdir()
    holding = root / ".tempkeep" / "holding"
    statuses: list[str] = []
    end = time.monotonic() + seconds
    chance = random.Random()

    def at_it() -> None:
        for name in (*os.listdir(holding), "../../debug/x"):
            with contextlib.suppress(OSError):
                work(holding / name / f"d{chance.randrange(4)}" / f"d{chance.randrange(4)}")

    with meanwhile(at_it):
        while time.monotonic() < end:
            if not os.path.lexists(root / "debug" / "x"):
                tree(root.parent / "new", depth=3).rename(root / "debug" / "x")
            report = swept(root)
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

    race(root, 2, work)


def test_a_racer_that_moves_directories_out_and_in_reaches_nothing_outside(
    root: Path, canary: Path, tmp_path: Path
) -> None:
    make_root(str(root))

    def work(place: Path) -> None:
        place.rename(tmp_path / "out")
        with contextlib.suppress(OSError):
            (tmp_path / "out").rename(place.with_name("back"))
        shutil.rmtree(tmp_path / "out", ignore_errors=True)

    race(root, 2, work)


def test_a_racer_that_keeps_writing_does_not_keep_the_sweep_from_ending(root: Path) -> None:
    make_root(str(root))

    def work(place: Path) -> None:
        for number in range(50):
            (place / f"more{number}").write_text("")
        (place / "dir").mkdir()

    assert "done" in race(root, 2, work)


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

    monkeypatch.setattr(os, "rmdir", rmdir)
    assert outcomes(swept(root)) == {"debug/x": ("failed", "d1: is being written to")}
    assert listing(root / "debug" / "x") == ["d1", "d1/more"]
    assert len(written) == 8


def test_on_a_tmpfs_too_a_racer_that_keeps_writing_does_not_keep_the_sweep_from_ending(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path / "m", "size=8m") as directory:
        path = make_entry(directory / ".tmp", "debug/x")
        descriptor = os.open(path, os.O_RDONLY)
        count = 0

        def work() -> None:
            nonlocal count
            count += 1
            os.mknod(f"more{count}", dir_fd=descriptor)  # which, once open, would be in use

        with meanwhile(work):
            ((status, detail),) = outcomes(swept(directory / ".tmp")).values()
        os.close(descriptor)
        assert (status, detail) in {("done", ""), ("failed", "is being written to")}


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

    race(root, 8, work)


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

    monkeypatch.setattr(os, "open", opening)
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

    monkeypatch.setattr(os, "unlink", unlink)
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
    real = removal._Removal._climb
    moved: list[Path] = []

    def climb(self: removal._Removal, done: removal._Frame, above: removal._Frame) -> int | None:
        if not moved:
            deep = top / "/".join(["d"] * 90)
            moved.append(deep.rename(tmp_path / "moved"))
        return real(self, done, above)

    monkeypatch.setattr(removal._Removal, "_climb", climb)
    assert remove(top).failures == []
    assert not top.exists()
    assert (tmp_path / "moved").is_dir()


# -- claiming -------------------------------------------------------------------------------------


def refusal(root: Path, path: str, which: tuple[int, int]) -> tuple[str, bool]:
    with pytest.raises(NotClaimed) as said, claimed(root, path, which):
        pass
    return said.value.detail, said.value.failed


def test_what_is_gone_is_not_claimed(root: Path) -> None:
    make_entry(root, "debug/x")
    for path in ("debug/y", "cache/y"):
        assert refusal(root, path, (0, 0)) == ("is gone already", False)
    shutil.rmtree(root)
    assert refusal(root, "debug/x", (0, 0)) == ("is gone already", False)


def test_what_was_replaced_is_not_claimed(root: Path, canary: Path) -> None:
    path = make_entry(root, "debug/x")
    which = identity(path)
    path.rename(root / "debug" / "moved")
    makers: list[Callable[[], None]] = [path.mkdir, lambda: path.symlink_to(canary)]
    for make in makers:
        make()
        assert refusal(root, "debug/x", which) == ("is no longer the one that was looked at", False)
        path.rename(root / f"aside{time.time()}")


def test_an_entry_behind_a_category_that_became_a_link_is_not_claimed(
    root: Path, tmp_path: Path
) -> None:
    outside = make_entry(tmp_path, "outside/x")
    root.mkdir()
    (root / "debug").symlink_to(tmp_path / "outside")
    assert refusal(root, "debug/x", identity(outside)) == ("Not a directory", True)
    assert outside.is_dir()


def swap_before_rename(
    monkeypatch: pytest.MonkeyPatch, path: Path, then: Callable[[], None]
) -> None:
    """Let `then` happen in the instant before `path` is renamed for the first time."""
    real = os.rename
    called: list[int] = []

    def rename(source: str, target: str, **options: int) -> None:
        if source == path.name and not called:
            called.append(1)
            then()
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", rename)


def replace(path: Path) -> None:
    path.rename(path.with_name("original"))
    make_entry(path.parent, path.name, files=3)


def test_what_was_swapped_in_at_the_last_instant_goes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    swap_before_rename(monkeypatch, path, lambda: replace(path))
    assert refusal(root, "debug/x", identity(path)) == ("was replaced at this moment", False)
    assert len(listing(path)) == 3
    assert in_holding(root) == []


def test_what_is_gone_at_the_last_instant_is_not_claimed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    swap_before_rename(monkeypatch, path, lambda: shutil.rmtree(path))
    assert refusal(root, "debug/x", identity(path)) == ("is gone already", False)


@pytest.mark.parametrize("name", ["x", "x_1696348800"])
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_cannot_go_back_under_its_name_gets_another_and_is_not_lost(
    root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    path = make_entry(root, f"debug/{name}")
    if kind == "file":
        shutil.rmtree(path)
        path.write_text("judged")
    which = identity(path)

    def swap() -> None:
        path.rename(path.with_name("original"))
        if kind == "file":
            path.write_text("innocent")
        else:
            make_entry(root, f"debug/{name}", files=3)

    swap_before_rename(monkeypatch, path, swap)
    real = os.stat
    done: list[int] = []

    def stat_(target: str, **options: Any) -> os.stat_result:
        result = real(target, **options)
        if len(str(target)) == 16 and not done:  # the look at what was claimed
            done.append(1)
            path.mkdir()
        return result

    monkeypatch.setattr(os, "stat", stat_)
    detail, failed = refusal(root, f"debug/{name}", which)
    other = detail.rpartition("so it is ")[2].removesuffix(" now")
    assert detail == f"was replaced at this moment; its place is taken, so it is {other} now"
    assert not failed
    if kind == "file":
        assert (root / "debug" / other).read_text() == "innocent"
    else:
        assert len(listing(root / "debug" / other)) == 3
    assert other.startswith("x_1696348800-" if "_" in name else "x.")
    assert in_holding(root) == []


def test_what_has_no_category_to_go_back_to_goes_to_the_root(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with claimed(root, "debug/x", identity(path)) as claim:
        (root / "debug").rmdir()
        assert claim.put_back().startswith("; its place is taken, so it is x.")
    assert len(list(root.glob("x.*"))) == 1


def test_what_has_nowhere_to_go_back_to_says_where_it_is(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with claimed(root, "debug/x", identity(path)) as claim:
        real, os.rename = os.rename, refuse
        try:
            assert claim.put_back() == f"; it cannot be put back and is {claim.place} now"
        finally:
            os.rename = real
        assert Path(claim.place).is_dir()


def refuse(*arguments: object, **options: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_what_goes_back_is_what_it_was(
    root: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, kind: str, links: bool
) -> None:
    make_root(str(root))
    path = root / "x"
    if kind == "file":
        path.write_text("x")
    elif kind == "link":
        path.symlink_to(canary)
    else:
        path.mkdir()
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    which = identity(path)
    with claimed(root, "x", which) as claim:
        assert not os.path.lexists(path)
        assert claim.put_back() == ""
    assert identity(path) == which
    assert in_holding(root) == []


def test_a_partly_failed_removal_whose_place_is_taken_says_where_the_rest_is(root: Path) -> None:
    path = tree(root / "debug" / "x", depth=1)
    with immutable(path / "d1" / "f1"), claimed(root, "debug/x", identity(path)) as claim:
        path.mkdir()
        ((where, what),) = claim.remove().failures
    assert where == "d1/f1"
    assert what.startswith("Operation not permitted; its place is taken, so it is x.")
    assert in_holding(root) == []


def test_a_lock_on_an_entry_keeps_it_from_being_claimed_unless_that_is_asked_for(
    root: Path,
) -> None:
    path = make_entry(root, "debug/x")
    holder = os.open(path, os.O_RDONLY)
    try:
        assert lock_directory(root, holder)
        assert refusal(root, "debug/x", identity(path)) == (
            "in use: a process holds a lock (flock) on it",
            False,
        )
        policy = Policy(everything=True, spare_in_use=False)
        assert outcomes(swept(root, policy)) == {"debug/x": ("done", "")}
    finally:
        os.close(holder)


def test_an_entry_that_cannot_be_opened_for_want_of_descriptors_is_a_failure(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    real = os.open

    def opening(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == "x":
            raise OSError(24, "Too many open files")
        return real(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)
    assert refusal(root, "debug/x", identity(path)) == ("Too many open files", True)
    assert path.is_dir()


def test_an_entry_that_is_another_when_it_is_opened_is_not_claimed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    real = os.open
    which = identity(path)

    def opening(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == "x" and not (root / "debug" / "original").exists():
            replace(path)
        return real(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)
    assert refusal(root, "debug/x", which) == ("is no longer the one that was looked at", False)


def test_an_entry_that_is_gone_when_it_is_opened_is_not_claimed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    real = os.open

    def opening(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == "x":
            shutil.rmtree(path, ignore_errors=True)
        return real(name, flags, mode, dir_fd=dir_fd)

    which = identity(path)
    monkeypatch.setattr(os, "open", opening)
    assert refusal(root, "debug/x", which) == ("is gone already", False)


def test_a_bind_mount_that_the_scan_did_not_see_keeps_an_entry_from_being_claimed(
    root: Path, canary: Path
) -> None:
    path = make_entry(root, "debug/x")
    (path / "b").mkdir()
    if run(["mount", "--bind", str(canary), str(path / "b")], cwd=root).returncode:
        pytest.skip("cannot bind-mount")
    try:
        assert refusal(root, "debug/x", identity(path)) == (
            "another filesystem is mounted at debug/x/b; unmount it first",
            True,
        )
        assert len(listing(path / "b")) == len(listing(canary))
    finally:
        run(["umount", "--lazy", str(path / "b")], cwd=root)


# -- full disks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("filesystem", ["ext4", "tmpfs"])
def test_on_a_completely_full_disk_entries_can_be_removed(
    tmp_path: Path, filesystem: str, legacy: bool
) -> None:
    make = ext4(tmp_path) if filesystem == "ext4" else mounted(tmp_path / "m", "size=1m")
    with make as directory:
        root = directory / ".tmp"
        tree(root / "debug" / "x", depth=2)
        make_entry(root, "demo_1696348800")
        (root / "link").symlink_to("nowhere")
        if not legacy:
            make_root(str(root))
        fill(directory)
        assert set(outcomes(swept(root)).values()) == {("done", "")}
        assert scanned(root) == {}
        assert in_holding(root) == []


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_what_was_claimed_in_the_root_of_a_full_disk_is_finished_later(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    if kind == "link":
        shutil.rmtree(path)
        path.symlink_to("nowhere")
    real = os.mkdir

    def mkdir(name: str, *arguments: object, **options: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "mkdir", mkdir)
    with claimed(root, "debug/x", identity(path)):
        pass
    monkeypatch.setattr(os, "mkdir", real)
    assert len(in_holding(root)) == 1
    assert swept(root).finished == 1
    assert in_holding(root) == []


def test_a_holding_area_without_room_for_a_name_gives_way_to_the_root(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_root(str(root))
    path = make_entry(root, "debug/x")
    real = os.rename

    def rename(source: str, target: str, **options: int) -> None:
        if not target.startswith(".tempkeep-held-"):
            raise OSError(28, "No space left on device")
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", rename)
    with claimed(root, "debug/x", identity(path)) as claim:
        assert Path(claim.place).parent == root
        assert claim.remove().failures == []
    assert in_holding(root) == []


# -- killed, and several at once ------------------------------------------------------------------


def kill_and_finish(project: Path, canary: Path, delay: float) -> None:
    root = project / ".tmp"
    path = tree(root / "debug" / "x", depth=3)
    (path / "d1" / "link").symlink_to(canary)
    (root / "debug" / "link").symlink_to(canary)
    kept = make_entry(root, "kept_1696348800")
    (root / ".tempkeep").mkdir(exist_ok=True)
    with process(SWEEP, cwd=project) as sweeper:
        assert sweeper.stdin is not None
        sweeper.stdin.write("\n")
        sweeper.stdin.flush()
        time.sleep(delay)
        sweeper.kill()
        sweeper.wait()
    for entry in scanned(root).values():
        # Whatever is listed is whole: what is half-deleted is out of sight.
        if entry.path == "debug/x":
            assert entry.files == 85 * 3 + 1
    report = swept(root)
    assert not any(outcome.status != "done" for outcome in report.outcomes)
    assert scanned(root) == {}
    assert in_holding(root) == []
    assert not kept.exists()


def test_after_a_sweep_was_killed_the_next_one_finishes_and_nothing_outside_is_touched(
    project: Path, canary: Path
) -> None:
    chance = random.Random()
    for _ in range(8):
        kill_and_finish(project, canary, chance.uniform(0, 0.02))


@pytest.mark.slow
def test_after_many_killed_sweeps_nothing_is_left_and_nothing_outside_touched(
    project: Path, canary: Path
) -> None:
    chance = random.Random()
    for _ in range(150):
        kill_and_finish(project, canary, chance.uniform(0, 0.03))


def test_a_leftover_is_finished_and_counted(root: Path, canary: Path) -> None:
    make_root(str(root))
    holding = root / ".tempkeep" / "holding"
    tree(holding / "aa", depth=1)
    (holding / "bb").symlink_to(canary)
    (holding / "cc").write_text("")
    os.mkfifo(holding / "dd")
    report = swept(root)
    assert (report.finished, report.problems) == (4, ())
    assert report.finished_bytes >= 15 * 8192
    assert os.listdir(holding) == []


def test_a_leftover_that_a_running_sweep_is_at_is_left_to_it(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with claimed(root, "debug/x", identity(path)) as claim:
        assert finish_leftovers(root)[0] == 0
        assert Path(claim.place).is_dir()
        assert claim.remove().failures == []


@pytest.mark.parametrize("kind", ["link", "socket", "closed file"])
def test_a_claimed_thing_that_cannot_be_locked_is_left_to_its_running_sweep(
    root: Path, kind: str
) -> None:
    make_root(str(root))
    path = root / "x"
    if kind == "link":
        path.symlink_to("nowhere")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(root):
            server.bind("x")
    else:
        path.write_text("")
        path.chmod(0)
    with plain_user():
        with claimed(root, "x", identity(path)) as claim:
            assert finish_leftovers(root)[0] == 0
            assert os.path.lexists(claim.place)
        assert finish_leftovers(root)[0] == 1
    assert in_holding(root) == []


def test_a_leftover_that_is_gone_by_now_is_not_counted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_root(str(root))
    (root / ".tempkeep" / "holding" / "aa").mkdir()
    real = lock_directory

    def lock(where: Path, descriptor: int) -> bool:
        shutil.rmtree(root / ".tempkeep" / "holding" / "aa")
        return real(where, descriptor)

    monkeypatch.setattr(removal, "lock_directory", lock)
    assert finish_leftovers(root)[0] == 0


def test_a_leftover_that_cannot_be_opened_for_want_of_descriptors_is_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_root(str(root))
    (root / ".tempkeep" / "holding" / "aa").mkdir()
    real = os.open

    def opening(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == "aa":
            raise OSError(24, "Too many open files")
        return real(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)
    assert finish_leftovers(root)[0] == 0
    assert in_holding(root) == ["aa"]


def test_a_leftover_that_cannot_be_deleted_is_a_problem_with_its_path(root: Path) -> None:
    make_root(str(root))
    held = tree(root / ".tempkeep" / "holding" / "aa", depth=1)
    with immutable(held / "d1" / "f1"):
        report = swept(root)
    assert report.finished == 0
    assert [(p.path, p.what) for p in report.problems] == [
        (str(held / "d1" / "f1"), "cannot be deleted: Operation not permitted")
    ]
    assert report.failed


@pytest.mark.parametrize("where", ["", "sub"])
def test_a_leftover_with_a_mount_in_it_is_a_problem_and_stays(root: Path, where: str) -> None:
    make_root(str(root))
    held = root / ".tempkeep" / "holding" / "aa"
    with mounted(held / where, "size=64k") as directory:
        (directory / "precious").write_text("p")
        report = swept(root)
        assert [(p.path, p.what) for p in report.problems] == [
            (str(held / where), "cannot be deleted: is a mount point; unmount it")
        ]
        assert (directory / "precious").read_text() == "p"


def test_a_holding_area_behind_a_link_is_refused(root: Path, canary: Path) -> None:
    make_root(str(root))
    (root / ".tempkeep" / "holding").rmdir()
    (root / ".tempkeep" / "holding").symlink_to(canary)
    with pytest.raises(Refused, match="holding is not a directory of this program's making"):
        finish_leftovers(root)
    path = make_entry(root, "debug/x")
    assert refusal(root, "debug/x", identity(path)) == (
        f"no holding area in {root}: Not a directory",
        True,
    )


def test_a_holding_area_that_cannot_be_read_is_an_error(root: Path) -> None:
    make_root(str(root))
    (root / ".tempkeep" / "holding").chmod(0)
    with plain_user(), pytest.raises(StorageError, match=r"cannot read .*holding: Permission"):
        finish_leftovers(root)


@pytest.mark.parametrize("sweepers", [3])
def test_sweeps_at_the_same_time_take_each_entry_exactly_once(
    project: Path, canary: Path, sweepers: int
) -> None:
    root = project / ".tmp"
    make_root(str(root))
    for number in range(30):
        make_entry(root, f"debug/d{number}", files=4)
        (root / "debug" / f"link{number}").symlink_to(canary)
        (root / f"file{number}").write_text("x")
    done: list[str] = []
    finished = 0
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(process(SWEEP, cwd=project)) for _ in range(sweepers)]
        for sweeper in started:
            assert sweeper.stdin is not None
            sweeper.stdin.write("\n")
            sweeper.stdin.flush()
        for sweeper in started:
            assert sweeper.stdout is not None
            for line in sweeper.stdout.read().splitlines():
                path, status, *detail = line.split(maxsplit=2)
                if path == "finished":
                    finished += int(status)
                elif status == "done":
                    done.append(path)
                else:
                    assert status == "skipped", line
                    assert detail[0].startswith(("is gone already", "in use", "is no longer")), line
    assert sorted(done) == sorted(set(done))
    assert len(done) == 90
    assert finished == 0
    assert scanned(root) == {}
    assert in_holding(root) == []


def test_a_live_sweep_is_seen_in_the_status(root: Path) -> None:
    path = make_entry(root, "debug/x")
    from common.temp.store.scan import scan

    with claimed(root, "debug/x", identity(path)):
        (left,) = scan(root, 0).leftovers
        assert left.being_freed
    (left,) = scan(root, 0).leftovers
    assert not left.being_freed


def test_a_removal_keeps_no_descriptor(root: Path) -> None:
    tree(root / "debug" / "x")
    before = len(os.listdir("/proc/self/fd"))
    assert outcomes(swept(root, EVERYTHING)) == {"debug/x": ("done", "")}
    assert len(os.listdir("/proc/self/fd")) == before
