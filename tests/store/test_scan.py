"""A scan: entries, their sizes and ages, and who uses them. It writes nothing."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from common.temp.core.entry import Inventory, Problem
from common.temp.core.policy import Need, Policy
from common.temp.errors import StorageError
from common.temp.store.root.listing import list_entries
from common.temp.store.root.making import make_root
from common.temp.store.scanning.scan import scan
from common.temp.store.system import at, locks
from common.temp.store.system.space import free_bytes, space_of
from tests.store.children import children_of, has_children, in_child
from tests.support import (
    DENIED,
    HOUR,
    age,
    chain,
    ext4,
    make_entry,
    make_project,
    mounted,
    only,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    swept,
    tree,
)


def problems(root: Path) -> dict[str, str]:
    return {problem.path: problem.what for problem in scan(root, time.time()).problems}


# -- sizes ----------------------------------------------------------------------------------------


def du(path: Path, *options: str) -> int:
    done = run(["du", "-s", "--block-size=1", *options, "--", str(path)], cwd=path.parent)
    return int(done.stdout.split()[0])


@pytest.mark.skipif(not shutil.which("du"), reason="needs du")
def test_sizes_are_what_du_says(root: Path) -> None:
    path = make_entry(root, "debug/x", files=30)
    (path / "deep" / "er").mkdir(parents=True)
    with open(path / "deep" / "sparse", "wb") as file:
        file.truncate(10_000_000)
        file.seek(5_000_000)
        file.write(b"x" * 70_000)
    (path / "deep" / "hard").write_bytes(b"h" * 50_000)
    os.link(path / "deep" / "hard", path / "deep" / "er" / "hard")
    os.symlink("/" + "y" * 200, path / "deep" / "link")
    os.mkfifo(path / "fifo")
    entry = only(root)
    assert entry.size == du(path)
    seen = {}
    for above, directories, files in os.walk(path):
        for name in [*directories, *files]:
            status = os.lstat(os.path.join(above, name))
            seen[status.st_ino] = status.st_size
    assert entry.apparent == sum(seen.values()) + path.stat().st_size
    assert (entry.files, entry.directories, entry.shared) == (35, 3, 0)


def test_what_a_hard_link_outside_keeps_is_shared(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x")
    (path / "big").write_bytes(b"x" * 40_960)
    os.link(path / "big", path / "again")
    os.link(path / "big", tmp_path / "outside")
    (path / "inside").write_bytes(b"x" * 8_192)
    os.link(path / "inside", path / "inside too")
    entry = only(root)
    assert entry.shared == 40_960
    assert entry.size == du(path)


def test_a_hard_linked_file_as_an_entry_is_shared(root: Path, tmp_path: Path) -> None:
    make_root(str(root))
    (root / "log").write_bytes(b"x" * 4096)
    os.link(root / "log", tmp_path / "outside")
    assert only(root).shared == 4096


def test_names_of_any_bytes_are_measured(root: Path) -> None:
    path = make_entry(root, "debug/x", files=0)
    names = [b"\xff" * 255, b"\n", b"a\tb", b"-rf", b"\xc3\x28", " ü".encode()]
    for name in names:
        os.mkdir(os.path.join(os.fsencode(path), name))
        with open(os.path.join(os.fsencode(path), name, name), "w"):
            pass
    entry = only(root)
    assert (entry.files, entry.directories, entry.unreadable) == (6, 7, None)
    assert len(swept(root).done) == 1


def test_an_entry_may_have_a_name_of_255_bytes_that_is_no_utf_8(root: Path) -> None:
    make_root(str(root))
    (root / "debug").mkdir()
    os.mkdir(os.path.join(os.fsencode(root), b"debug", b"\xff" * 255))
    assert only(root).name == "\udcff" * 255
    assert len(swept(root).done) == 1


# -- changes --------------------------------------------------------------------------------------


def test_one_fresh_file_five_levels_down_is_found_and_named(root: Path) -> None:
    path = make_entry(root, "debug/x_1600000000", age_hours=100)
    (path / "1/2/3/4/5").mkdir(parents=True)
    (path / "1/2/3/4/5/fresh").write_text("")
    age(path, 100)
    os.utime(path / "1/2/3/4/5/fresh")
    entry = only(root)
    assert entry.changed_in == "1/2/3/4/5/fresh"
    assert time.time() - entry.changed < HOUR


def test_a_directory_from_which_something_was_removed_is_a_change(root: Path) -> None:
    path = make_entry(root, "debug/x", age_hours=100)
    (path / "sub").mkdir()
    age(path, 100)
    os.utime(path / "sub")
    assert only(root).changed_in == "sub"


@pytest.mark.parametrize("what", ["", "deep/file"])
def test_a_change_in_the_future_does_not_count_and_is_a_problem(root: Path, what: str) -> None:
    path = make_entry(root, "debug/x", age_hours=100)
    (path / "deep").mkdir()
    (path / "deep" / "file").write_text("")
    age(path, 100)
    ahead = time.time() + 1000
    os.utime(path / what, (0, ahead))
    inventory = scan(root, time.time())
    where = f" ({what})" if what else ""
    assert inventory.problems == (
        Problem("debug/x", f"was changed in the future{where}, which does not count", False),
    )
    assert inventory.entries[0].future == pytest.approx(ahead, abs=0.01)
    assert inventory.entries[0].last <= time.time()


def test_a_stamp_in_the_future_does_not_count_and_is_a_problem(root: Path) -> None:
    make_entry(root, f"debug/x_{int(time.time()) + 1000}", age_hours=100)
    inventory = scan(root, time.time())
    assert [(p.what, p.blocking) for p in inventory.problems] == [
        ("has a stamp in the future, which does not count", False)
    ]
    assert inventory.entries[0].last <= time.time()


def test_a_clock_that_is_a_few_seconds_off_is_no_problem(root: Path) -> None:
    path = make_entry(root, f"debug/x_{int(time.time()) + 5}")
    os.utime(path, (0, time.time() + 5))
    assert problems(root) == {}


# -- what is not entered --------------------------------------------------------------------------


def test_symlinks_are_never_followed(root: Path, tmp_path: Path) -> None:
    canary = make_entry(tmp_path, "canary", files=50)
    path = make_entry(root, "debug/x", files=0)
    (path / "link").symlink_to(canary)
    (root / "linked").symlink_to(canary)
    (root / "cache").symlink_to(canary)
    seen = {entry.path: (entry.kind, entry.files) for entry in scanned(root).values()}
    assert seen == {
        "debug/x": ("directory", 1),
        "linked": ("symlink", 1),
        "cache": ("symlink", 1),
    }
    assert len(swept(root).done) == 3
    assert len(list(canary.iterdir())) == 50


@contextlib.contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    target.mkdir(parents=True)
    if run(["mount", "--bind", str(source), str(target)], cwd=source).returncode:
        pytest.skip("cannot bind-mount")
    try:
        yield
    finally:
        # Wherever it is by now, should a test fail.
        run(["umount", "--lazy", str(target)], cwd=source)


@pytest.mark.parametrize("where", ["", "sub/m"])
def test_a_filesystem_in_an_entry_is_not_entered_and_the_entry_stays(
    root: Path, where: str
) -> None:
    path = make_entry(root, "debug/x", files=0)
    make_entry(root, "debug/y")
    with mounted(path / where, "size=64k") as directory:
        (directory / "precious").write_text("p")
        entry = scanned(root)["debug/x"]
        assert entry.mounted == f"debug/x/{where}".rstrip("/")
        assert entry.files == 0
        assert outcomes(swept(root)) == {"debug/y": ("done", "")}
        assert (directory / "precious").read_text() == "p"


@pytest.mark.parametrize("where", ["b", "sub/b"])
def test_a_bind_mount_of_the_same_filesystem_is_not_entered_and_the_entry_stays(
    root: Path, tmp_path: Path, where: str
) -> None:
    canary = make_entry(tmp_path, "canary", files=3)
    path = make_entry(root, "debug/x", files=1)
    with bound(canary, path / where):
        entry = scanned(root)["debug/x"]
        assert (entry.mounted, entry.files) == (f"debug/x/{where}", 1)
        assert swept(root).outcomes == ()
        assert len(list(canary.iterdir())) == 3


def test_an_entry_that_is_a_bind_mount_stays(root: Path, tmp_path: Path) -> None:
    canary = make_entry(tmp_path, "canary", files=3)
    with bound(canary, root / "debug" / "x"):
        assert scanned(root)["debug/x"].mounted == "debug/x"
        assert swept(root).outcomes == ()
    assert len(list(canary.iterdir())) == 3


# -- what cannot be read --------------------------------------------------------------------------


def test_an_entry_that_cannot_be_read_is_a_problem_and_the_others_are_seen(root: Path) -> None:
    make_entry(root, "debug/closed", age_hours=100).chmod(0)
    make_entry(root, "debug/half", age_hours=100)
    (root / "debug/half/inner").mkdir()
    (root / "debug/half/inner").chmod(0o300)
    make_entry(root, "debug/open", age_hours=100)
    with plain_user():
        inventory = scan(root, time.time())
    assert {entry.path: entry.unreadable for entry in inventory.entries} == {
        "debug/closed": "Permission denied",
        "debug/half": "Permission denied in inner",
        "debug/open": None,
    }
    assert {p.path: (p.what, p.blocking) for p in inventory.problems} == {
        "debug/closed": (DENIED, True),
        "debug/half": (DENIED.replace(";", " in inner;"), True),
    }


def test_a_directory_whose_files_cannot_be_looked_at_is_a_problem(root: Path) -> None:
    path = make_entry(root, "debug/x")
    path.chmod(0o400)
    with plain_user():
        assert problems(root) == {"debug/x": DENIED}


def test_a_file_that_cannot_be_read_is_measured_all_the_same(root: Path) -> None:
    make_root(str(root))
    (root / "log").write_bytes(b"x" * 4096)
    (root / "log").chmod(0)
    with plain_user():
        assert (only(root).size, problems(root)) == (4096, {})


def test_a_category_that_cannot_be_read_is_a_problem_and_the_others_are_seen(root: Path) -> None:
    make_entry(root, "debug/x")
    make_entry(root, "cache/y")
    (root / "debug").chmod(0)
    with plain_user():
        assert list(scanned(root)) == ["cache/y"]
        assert problems(root) == {"debug": DENIED}
        with pytest.raises(StorageError, match=r"cannot list .*debug: Permission denied"):
            list_entries(root)


def test_a_directory_of_an_unknown_name_that_cannot_be_read_is_an_entry(root: Path) -> None:
    make_entry(root, "mine/x_1696348800")
    (root / "mine").chmod(0)
    with plain_user():
        assert only(root).unreadable == "Permission denied"


def test_a_root_that_cannot_be_read_is_an_error(root: Path) -> None:
    make_root(str(root))
    root.chmod(0o100)
    with plain_user(), pytest.raises(StorageError, match=r"cannot list .*\.tmp: Permission denied"):
        scan(root, time.time())


# -- what changes meanwhile -----------------------------------------------------------------------


def test_an_entry_that_vanishes_during_the_scan_is_a_remark_and_the_others_are_seen(
    root: Path,
) -> None:
    for name in "abc":
        make_entry(root, f"debug/{name}")

    def vanish(entries: int, size: int) -> None:
        shutil.rmtree(root / "debug" / "b", ignore_errors=True)

    inventory = scan(root, time.time(), progress=vanish)
    assert [entry.path for entry in inventory.entries] == ["debug/a", "debug/c"]
    assert inventory.problems == (
        Problem("debug/b", "vanished while it was being looked at", blocking=False),
    )


@pytest.mark.parametrize("when", ["before it is looked at", "after that"])
def test_an_entry_that_turns_into_a_link_during_the_scan_is_not_followed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    canary = make_entry(tmp_path, "canary", files=9)
    path = make_entry(root, "debug/x")
    real = os.open
    opened: list[str] = []

    def swap(name: str, flags: int, *, dir_fd: int | None = None) -> int:
        if name == "debug/x":
            opened.append(name)
            if when == "after that" and len(opened) == 1:
                raise OSError(errno.EMFILE, "Too many open files")
            shutil.rmtree(path)
            path.symlink_to(canary)
        return real(name, flags, dir_fd=dir_fd)

    monkeypatch.setattr(at, "open", swap)
    inventory = scan(root, time.time(), workers=1)
    seen = [(entry.kind, entry.files) for entry in inventory.entries]
    problems = [(p.path, p.blocking) for p in inventory.problems]
    if when == "after that":
        assert (seen, problems) == ([], [("debug/x", True)])
    else:
        assert (seen, problems) == ([("symlink", 1)], [])


def test_a_tree_that_is_torn_down_and_moved_about_under_the_scan_ends_no_scan(root: Path) -> None:
    path = make_entry(root, "debug/x")
    make_entry(root, "debug/y")
    done = threading.Event()

    def rage() -> None:
        chance = random.Random(1)
        while not done.is_set():
            with contextlib.suppress(OSError):
                chain(path, 80, pairs=True)
            for _ in range(10):
                levels = "/".join(["d"] * chance.randrange(70))
                with contextlib.suppress(OSError):
                    (path / levels / "d").rename(path / f"moved{chance.random()}")
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(exist_ok=True)

    thread = threading.Thread(target=rage)
    thread.start()
    try:
        for _ in range(40):
            assert "debug/y" in scanned(root)
    finally:
        done.set()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) < 60


def test_files_links_fifos_and_sockets_are_entries(root: Path) -> None:
    make_root(str(root))
    (root / "debug").mkdir()
    (root / "debug" / "file_1696348800.log").write_text("")
    (root / "link").symlink_to("nowhere")
    os.mkfifo(root / "debug" / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)
        server.bind("socket")
        os.chdir(here)
        seen = {entry.path: (entry.kind, entry.label) for entry in scanned(root).values()}
    assert seen == {
        "debug/file_1696348800.log": ("file", "file"),
        "debug/fifo": ("other", "fifo"),
        "link": ("symlink", "link"),
        "socket": ("other", "socket"),
    }
    assert len(swept(root).done) == 4
    assert scanned(root) == {}


def test_a_root_that_is_missing_holds_nothing_and_is_not_made(root: Path) -> None:
    inventory = scan(root, 0)
    assert (inventory.entries, inventory.problems) == ((), ())
    assert inventory.free
    assert list_entries(root) == []
    assert swept(root).outcomes == ()
    assert not root.exists()


def test_a_scan_writes_nothing(root: Path) -> None:
    make_entry(root, "debug/x", age_hours=5)
    (root / "debug" / "x" / "closed").mkdir(mode=0o500)
    make_entry(root, "x_1696348800")
    before = [(str(path), path.lstat().st_mtime_ns) for path in sorted(root.rglob("*"))]
    scan(root, time.time())
    assert [(str(path), path.lstat().st_mtime_ns) for path in sorted(root.rglob("*"))] == before


def test_a_root_that_is_a_symlink_is_seen_through(project: Path, tmp_path: Path) -> None:
    make_entry(tmp_path / "elsewhere", "debug/x")
    (tmp_path / "elsewhere" / ".tempkeep").mkdir()
    (project / ".tmp").symlink_to(tmp_path / "elsewhere")
    assert list(scanned(project / ".tmp")) == ["debug/x"]
    assert len(swept(project / ".tmp").done) == 1
    assert (project / ".tmp").is_symlink()
    assert not (tmp_path / "elsewhere" / "debug" / "x").exists()


def test_progress_is_told_entries_and_bytes(root: Path) -> None:
    for name in "ab":
        make_entry(root, f"debug/{name}")
    told: list[tuple[int, int]] = []
    inventory = scan(root, 0, progress=lambda entries, size: told.append((entries, size)))
    assert [entries for entries, _ in told] == [1, 2]
    assert told[-1][1] == sum(entry.size for entry in inventory.entries)


def test_free_space_is_that_of_the_nearest_directory(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", "size=64k") as directory:
        assert free_bytes(directory / "missing" / ".tmp") == 65536


def test_how_full_a_disk_is_is_reckoned_as_df_does(tmp_path: Path) -> None:
    with ext4(tmp_path) as directory:
        run(["tune2fs", "-m", "10", str(tmp_path / "image")], cwd=tmp_path)
        (directory / "file").write_bytes(os.urandom(5 << 20))
        os.sync()
        said = run(["df", "--output=used,avail,pcent", "-B1", str(directory)], cwd=tmp_path).stdout
        used, available, percent = said.splitlines()[1].split()
        assert space_of(directory) == (int(available), int(used) + int(available))
        free, capacity = int(available), int(used) + int(available)
        assert math.ceil(100 * (1 - free / capacity)) == int(percent.rstrip("%"))


def test_free_space_is_told_without_statvfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "m", "size=64k") as directory:
        real = os.statvfs
        usage = (65536, 0, 65536)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(*usage))
        monkeypatch.delattr(os, "statvfs")
        assert free_bytes(directory) == real(directory).f_bavail * 4096


def test_free_space_that_cannot_be_told_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statvfs(path: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert free_bytes(tmp_path) is None


def test_a_file_that_a_process_has_open_is_in_use(root: Path) -> None:
    make_root(str(root))
    (root / "log").write_text("")
    with subprocess.Popen(["tail", "-f", str(root / "log")], stdout=subprocess.DEVNULL) as tail:
        try:
            while only(root).use is None:
                time.sleep(0.01)
            assert swept(root).outcomes == ()
        finally:
            tail.kill()
    assert len(swept(root).done) == 1


# -- with workers ---------------------------------------------------------------------------------


def spent_by_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def scan_in_child(root: Path, now: float, workers: int | None) -> tuple[Inventory, float]:
    """What a process without other threads sees, and what its workers spent on it."""

    def look() -> tuple[Inventory, float]:
        return scan(root, now, workers=workers)._replace(free=None), spent_by_children()

    return in_child(look)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that takes long enough to scan for workers to be started; no test changes it."""
    above = tmp_path_factory.mktemp("large")
    root = make_project(above / "project") / ".tmp"
    for number in range(40):
        path = tree(root / "debug" / f"x_{1_696_348_800 + number}", width=3, depth=3, files=12)
        os.link(path / "f0", path / "d1" / "linked")
    os.link(path / "f1", above / "outside")
    (path / "closed").mkdir(mode=0)
    wide = root / "cache" / "wide"
    wide.mkdir(parents=True)
    for number in range(3000):
        (wide / str(number)).mkdir()
    return root


def test_workers_see_what_one_process_sees(large: Path) -> None:
    now = time.time()
    alone, spent = scan_in_child(large, now, 1)
    assert spent == 0
    for workers in (2, 8, None):
        together, spent = scan_in_child(large, now, workers)
        assert together == alone
        assert spent > 0


def test_one_large_entry_is_shared(root: Path) -> None:
    tree(root / "debug" / "x", width=8, depth=4, files=3)
    now = time.time()
    alone, _ = scan_in_child(root, now, 1)
    together, spent = scan_in_child(root, now, 4)
    assert together == alone
    assert spent > 0


def test_a_worker_that_is_killed_takes_nothing_from_what_is_seen(large: Path) -> None:
    now = time.time()

    def look_while_one_is_killed() -> tuple[Inventory, bool]:
        killed: list[int] = []

        def kill(entries: int, size: int) -> None:
            children = children_of(os.getpid())
            if children and not killed:
                killed.append(children[0])
                os.kill(killed[0], signal.SIGKILL)

        return scan(large, now, progress=kill, workers=3), bool(killed)

    seen, killed = in_child(look_while_one_is_killed)
    assert seen.entries == scan(large, now, workers=1).entries
    assert killed


def test_a_process_with_other_threads_starts_no_worker(large: Path) -> None:
    def look() -> float:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        scan(large, time.time(), workers=4)
        done.set()
        thread.join()
        return spent_by_children()

    assert in_child(look) == 0


def work_for(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(
    ("delays", "expected"),
    [
        ({}, False),
        # Others, or a stop, kept it from running; and it takes long where nothing is left.
        ({1: partial(time.sleep, 0.1)}, False),
        ({19: partial(work_for, 0.04)}, False),
        ({19: partial(time.sleep, 0.2), 18: partial(time.sleep, 0.2)}, False),
        # The disk is slow, or there is much to do.
        ({number: partial(time.sleep, 0.01) for number in range(20)}, True),
        ({number: partial(work_for, 0.01) for number in range(20)}, True),
    ],
    ids=["quick", "held", "work at the end", "held at the end", "slow disk", "much work"],
)
def test_workers_are_started_only_where_they_help(
    root: Path, delays: dict[int, Callable[[], object]], expected: bool
) -> None:
    for number in range(20):
        make_entry(root, f"debug/x_{1_696_348_800 + number}")

    def look() -> float:
        def wait(done: int, size: int) -> None:
            delays.get(done, int)()

        scan(root, time.time(), progress=wait)
        return spent_by_children()

    assert (in_child(look) > 0) == expected


def test_an_interrupted_scan_leaves_no_worker_behind(large: Path) -> None:
    def interrupt(entries: int, size: int) -> None:
        if children_of(os.getpid()):
            raise KeyboardInterrupt

    def look() -> bool:
        with pytest.raises(KeyboardInterrupt):
            scan(large, time.time(), progress=interrupt, workers=4)
        return has_children()

    assert not in_child(look)


def test_what_goes_whatever_it_holds_is_not_looked_into(root: Path) -> None:
    path = make_entry(root, "debug/x", files=3)
    (path / "closed").mkdir(mode=0)
    with plain_user():
        inventory = scan(root, time.time(), need=lambda category: Need(inside=False))
    assert inventory.problems == ()
    assert (inventory.entries[0].files, inventory.entries[0].partial) == (0, True)


def test_where_an_owner_cannot_be_checked_everything_is_looked_into(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from common.temp.store.root.allocation import allocate\n"
        f"print(allocate({str(root)!r}, 'debug', 'x'), flush=True); input()"
    )
    with process(code, cwd=root.parent) as owner:
        path = Path(owner.first_line)
        (path / "sub").mkdir()
        (path / "sub" / "new").write_text("")
        for above in (path / "sub", path):
            os.utime(above, (0, 0))
        monkeypatch.setattr(locks, "fcntl", None)
        entry = scan(root, time.time(), need=lambda category: Need(inside=False)).entries[0]
    assert (entry.partial, entry.changed_in) == (False, "sub/new")


def test_a_filesystem_that_tells_no_size_is_not_taken_for_a_full_one(tmp_path: Path) -> None:
    with mounted(tmp_path / "unlimited", "size=0") as there:
        assert space_of(there) == (None, None)
        make_entry(there / ".tmp", "cache/model_1696348800")
        assert swept(there / ".tmp", Policy(min_free_space=1 << 30)).done == ()
