"""Claiming entries, giving them back, and taking over what killed sweeps left."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layouts import PIPELINE
from common.temp.core.policy import Policy
from common.temp.errors import Refused, StorageError
from common.temp.store.claiming import takeover
from common.temp.store.claiming.area import HoldingArea, claimed
from common.temp.store.claiming.claim import NotClaimed
from common.temp.store.claiming.many_removals import Remover
from common.temp.store.root.last_use import last_use, note_use
from common.temp.store.root.making import make_root
from common.temp.store.scanning.scan import scan
from common.temp.store.shelf.leftovers import finish_leftovers
from common.temp.store.system import at, locks, renaming
from common.temp.store.system.locks import lock_directory
from common.temp.store.system.mounts import MountWatch
from tests.support import (
    BROKEN,
    EVERYTHING,
    IMMUTABLE,
    MANY_OPEN,
    NO_DIRECTORY,
    environment,
    ext4,
    fill,
    identity,
    immutable,
    in_holding,
    listing,
    make_entry,
    mounted,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    swept,
    tree,
)

SWEEP = (
    "import time\n"
    "from pathlib import Path\n"
    "from common.temp.core.policy import Policy\n"
    "from common.temp.store.sweep.prepare import prepare\n"
    "from common.temp.store.sweep.sweep import execute\n"
    "root = Path('.tmp').absolute()\n"
    "plan = prepare(root, Policy(everything=True), time.time())\n"
    "print('ready', flush=True); input()\n"
    "report = execute(plan)\n"
    "for o in report.outcomes: print(o.step.entry.path, o.status, o.detail)\n"
    "print('finished', report.finished)\n"
)


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
    assert refusal(root, "debug/x", identity(outside)) == (NO_DIRECTORY, True)
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

    monkeypatch.setattr(at, "rename", rename)


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
        if str(target)[16:17] == "~" and not done:  # the look at what was claimed
            done.append(1)
            path.mkdir()
        return result

    monkeypatch.setattr(at, "stat", stat_)
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
    note_use(root, "debug/x")
    with claimed(root, "debug/x", identity(path)) as claim:
        (root / "debug").rmdir()
        assert claim.put_back().startswith("; its place is taken, so it is x.")
    (place,) = root.glob("x.*")
    assert last_use(root, place.name) == pytest.approx(last_use(root, "debug/x"))
    assert last_use(root, place.name) > 0


@pytest.mark.parametrize("more", ["", "-0a1b"])
def test_a_run_whose_name_is_taken_is_still_a_run_under_another(root: Path, more: str) -> None:
    name = f"pipeline_artifacts_20250102_030405{more}"
    make_root(str(root), PIPELINE)
    path = make_entry(root, name)
    with claimed(root, name, identity(path)) as claim:
        make_entry(root, name)
        detail = claim.put_back()
    other = detail.rpartition("so it is ")[2].removesuffix(" now")
    assert re.fullmatch("pipeline_artifacts_20250102_030405-[0-9a-f]{8}", other)
    found = scan(root, time.time(), layout=PIPELINE).entries
    assert {entry.path for entry in found} == {name, other}


PUT_BACK = (
    "import os\n"
    "from pathlib import Path\n"
    "from common.temp.store.claiming.area import claimed\n"
    "path = 'debug/is_claimed'\n"  # as no other test has: what a command line names is in use
    "status = os.stat(f'.tmp/{path}')\n"
    "with claimed(Path('.tmp').absolute(), path, (status.st_dev, status.st_ino)) as claim:\n"
    "    print('claimed', flush=True); input()\n"
    "    print(claim.put_back(), flush=True)\n"
)


def test_what_takes_its_place_in_the_instant_before_the_rename_is_not_replaced(
    project: Path, root: Path
) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    path = make_entry(root, "debug/is_claimed", files=2)
    calls = "rename,renameat,renameat2"
    command = [
        "strace", "-qq", "-o", os.devnull, "-e", f"trace={calls}",
        "-e", f"inject={calls}:delay_enter=500000", sys.executable, "-c", PUT_BACK,
    ]  # fmt: skip
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        if not running.stdout.readline():
            pytest.skip("strace may not trace here")
        running.stdin.write("\n")
        running.stdin.flush()
        time.sleep(0.2)  # its look at what is there is over, and the rename not yet done
        path.mkdir()
        ours = path.stat().st_ino
        said = running.stdout.readline()
    assert (path.stat().st_ino, listing(path)) == (ours, [])
    other = said.rpartition("so it is ")[2].removesuffix(" now\n")
    assert listing(root / "debug" / other) == ["file0.txt", "file1.txt"]


def test_what_has_nowhere_to_go_back_to_says_where_it_is(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with claimed(root, "debug/x", identity(path)) as claim:
        (root / "debug").rmdir()
        with immutable(root):
            assert claim.put_back() == f"; it cannot be put back and is {claim.place} now"
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
        monkeypatch.setattr(renaming, "_rename_noreplace", lambda *_: errno.ENOSYS)
        monkeypatch.setattr(at, "link", refuse)
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
    assert what.startswith(f"{IMMUTABLE}; its place is taken, so it is x.")
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

    monkeypatch.setattr(at, "open", opening)
    assert refusal(root, "debug/x", identity(path)) == (MANY_OPEN, True)
    assert path.is_dir()


def test_an_entry_of_which_nobody_can_tell_what_is_mounted_in_it_goes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x", files=2)
    before = listing(root / "debug")

    def points(watch: MountWatch) -> tuple[bytes, ...]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(MountWatch, "points", points)
    assert refusal(root, "debug/x", identity(path)) == (
        f"cannot tell what is mounted in it: {BROKEN}",
        True,
    )
    assert listing(root / "debug") == before
    assert in_holding(root) == []


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

    monkeypatch.setattr(at, "open", opening)
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
    monkeypatch.setattr(at, "open", opening)
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

    monkeypatch.setattr(at, "mkdir", mkdir)
    with claimed(root, "debug/x", identity(path)) as claim:
        claim.condemn()
    monkeypatch.setattr(at, "mkdir", real)
    assert len(in_holding(root)) == 1
    assert swept(root, workers=1).finished == 1
    assert in_holding(root) == []


LONG = "%\n~ " + "ä" * 100


@pytest.mark.parametrize("path", ["debug/x_1696348800", "x", f"debug/{LONG}", f"{LONG}/{LONG}"])
@pytest.mark.parametrize("how", ["alone", "in a batch", "on a full disk"])
def test_what_a_killed_sweep_had_only_moved_aside_goes_back_to_its_place(
    root: Path, monkeypatch: pytest.MonkeyPatch, how: str, path: str
) -> None:
    entry = make_entry(root, path)
    seen = identity(entry)
    with monkeypatch.context() as full, contextlib.ExitStack() as stack:
        if how == "on a full disk":
            full.setattr(at, "mkdir", _no_room)
        area = stack.enter_context(contextlib.closing(HoldingArea(root, batch="batch" in how)))
        area.claim(path, seen).close()
    assert not entry.exists()
    assert finish_leftovers(root, Remover())[0] == 0  # what is put back is not deleted
    assert in_holding(root) == []
    whole = not path.startswith(LONG)
    back = entry if whole else next(one for one in root.iterdir() if identity(one) == seen)
    assert identity(back) == seen
    assert listing(back) == ["file0.txt"]


def test_what_takes_its_place_meanwhile_stays_and_so_does_what_was_moved_aside(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with contextlib.closing(HoldingArea(root)) as area:
        area.claim("debug/x", identity(path)).close()
    make_entry(root, "debug/x", files=3)
    finish_leftovers(root, Remover())
    assert len(listing(path)) == 3
    assert sorted(len(listing(one)) for one in path.parent.iterdir()) == [1, 3]


@pytest.mark.parametrize("name", ["../../out", "..", "/out", ".tempkeep/owners/x", "a//b", ""])
def test_a_planted_name_in_the_holding_area_leads_nowhere(root: Path, name: str) -> None:
    make_root(str(root))
    held = f"0123456789abcdef~{name.replace('/', '%2F')}"
    (root / ".tempkeep" / "holding" / held).mkdir()
    before = [path for path in listing(root.parent) if held not in path]
    finish_leftovers(root, Remover())
    assert listing(root.parent) == before


def _no_room(*arguments: object, **options: object) -> None:
    raise OSError(28, "No space left on device")


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

    monkeypatch.setattr(at, "rename", rename)
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
    # What was only moved aside comes back with the first, and goes with the second.
    for report in (swept(root), swept(root)):
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
        assert finish_leftovers(root, Remover())[0] == 0
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
            assert finish_leftovers(root, Remover())[0] == 0
            assert os.path.lexists(claim.place)
            claim.condemn()
        assert finish_leftovers(root, Remover())[0] == 1
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

    monkeypatch.setattr(takeover, "lock_directory", lock)
    assert finish_leftovers(root, Remover())[0] == 0


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

    monkeypatch.setattr(at, "open", opening)
    assert finish_leftovers(root, Remover())[0] == 0
    assert in_holding(root) == ["aa"]


def test_a_leftover_that_cannot_be_deleted_is_a_problem_with_its_path(root: Path) -> None:
    make_root(str(root))
    held = tree(root / ".tempkeep" / "holding" / "aa", depth=1)
    with immutable(held / "d1" / "f1"):
        report = swept(root)
    assert report.finished == 0
    assert [(p.path, p.what) for p in report.problems] == [
        (str(held / "d1" / "f1"), f"cannot be deleted: {IMMUTABLE}")
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
    with pytest.raises(Refused, match="holding is not a directory made by this program"):
        finish_leftovers(root, Remover())
    path = make_entry(root, "debug/x")
    assert refusal(root, "debug/x", identity(path)) == (
        f"no holding area in {root}: {NO_DIRECTORY}",
        True,
    )


def test_a_holding_area_that_cannot_be_read_is_an_error(root: Path) -> None:
    make_root(str(root))
    (root / ".tempkeep" / "holding").chmod(0)
    with plain_user(), pytest.raises(StorageError, match=r"cannot read .*holding: Permission"):
        finish_leftovers(root, Remover())


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
    from common.temp.store.scanning.scan import scan

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


def test_a_lock_on_the_holding_area_holds_up_nobody_for_long(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/x")
    (root / "debug" / "link").symlink_to("nowhere")
    monkeypatch.setattr(locks, "_SHARE_SECONDS", 0.1)
    area = root / ".tempkeep" / "holding"
    area.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(area, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        said = outcomes(swept(root))
    finally:
        os.close(descriptor)
    assert said["debug/x"][0] == "done"
    status, detail = said["debug/link"]
    assert status == "failed"
    assert detail.startswith("a process holds a lock (flock) on ")
    assert outcomes(swept(root)) == {"debug/link": ("done", "")}
