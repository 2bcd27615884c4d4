"""Who holds what: owner files, records, locks, and processes that work inside an entry."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.contexts import get_cache_temp_dir, get_debug_temp_dir
from common.temp.core.layouts import FILES
from common.temp.core.policy import Policy
from common.temp.errors import Refused, StorageError
from common.temp.store.project.project import user_root
from common.temp.store.root import leases as reading
from common.temp.store.root import owner as lease
from common.temp.store.root import owner_file, owning
from common.temp.store.root.allocation import adopt, allocate
from common.temp.store.root.current_owners import own, owners
from common.temp.store.root.leases import Leases
from common.temp.store.root.making import make_root
from common.temp.store.root.owner import owner_of
from common.temp.store.root.owner_kinds import Book
from common.temp.store.root.run_notes import made_in, notes_of_runs
from common.temp.store.system import locks
from common.temp.store.system.opening import opened
from tests.store.children import in_child
from tests.support import (
    DAY,
    LONG_AGO,
    NOW,
    end_leases,
    ext4,
    fill,
    hold,
    make_entry,
    mounted,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    swept,
)

MAKE = "from common.temp import get_debug_temp_dir as make; print(make('x'), flush=True);"
EXPIRED = Policy(max_age=0)


@pytest.fixture
def root(project: Path) -> Path:
    """The root of the project, with a store and no entries."""
    directory = project / ".tmp"
    make_root(str(directory))
    return directory


def owner_files(root: Path) -> list[Path]:
    return sorted((root / ".tempkeep" / "owners").iterdir())


# -- a process and its entries ------------------------------------------------------------------


def test_a_living_process_holds_its_entries_and_a_sweep_leaves_them(project: Path) -> None:
    with process(f"{MAKE} input()", cwd=project) as maker:
        path = Path(maker.first_line)
        assert hold(project / ".tmp", path) == "owner"
        assert swept(project / ".tmp").outcomes == ()
        assert path.is_dir()


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)", "sys.exit()", "os._exit(0)"]
)
def test_however_a_process_ends_it_holds_nothing_any_more(project: Path, end: str) -> None:
    with process(f"import os, sys; {MAKE} input(); {end}", cwd=project) as maker:
        path = Path(maker.first_line)
        maker.communicate("go\n")
        assert hold(project / ".tmp", path) == ""
        assert len(swept(project / ".tmp").done) == 1
        assert not path.exists()


@pytest.mark.parametrize("name", ["\udcff", "ä\r", "-x", "+"])
def test_an_entry_of_whatever_name_is_held(tmp_path: Path, name: str) -> None:
    adopt(str(tmp_path / "files"), name, FILES)
    leases = Leases(tmp_path / "files")
    leases.refresh()
    use = leases.use_of(name, NOW, NOW)
    assert use is not None
    assert use.mine


def test_an_entry_says_which_process_made_it(project: Path) -> None:
    with process(f"{MAKE} input()", cwd=project) as maker:
        (entry,) = scanned(project / ".tmp").values()
    assert entry.made_by is not None
    assert entry.made_by.startswith(f"pid {maker.pid} (python")


def test_a_process_that_ends_without_entries_leaves_no_owner_file(project: Path) -> None:
    code = (
        "from common.temp import temp_working_dir as make\n"
        "with make() as path: print(path, flush=True)"
    )
    with process(code, cwd=project) as maker:
        maker.wait()
    assert owner_files(user_root()) == []


def test_a_process_that_ends_with_entries_leaves_its_owner_file(project: Path) -> None:
    with process(MAKE, cwd=project) as maker:
        maker.wait()
    assert len(owner_files(project / ".tmp")) == 1


@pytest.mark.parametrize(("keeps", "left"), [(True, 1), (False, 0)])
def test_at_the_end_the_owner_file_stays_only_with_entries(
    root: Path, keeps: bool, left: int
) -> None:
    path = allocate(str(root), "debug", "x")
    if not keeps:
        os.rmdir(path)
    end_leases()
    assert len(owner_files(root)) == left
    assert own(str(root)) is None
    assert scanned(root) == {} or hold(root, Path(path)) == ""


def test_entries_are_in_use_until_the_last_exit_function_of_their_process_has_run(
    project: Path,
) -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: (print('ends', flush=True), sys.stdin.readline()))\n"
        f"{MAKE} make('gone').rmdir()"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        assert maker.stdin is not None
        path = Path(maker.first_line)
        assert maker.stdout.readline() == "ends\n"
        assert hold(project / ".tmp", path) == "owner"
        swept(project / ".tmp", EXPIRED)
        assert path.is_dir()
        maker.stdin.write("\n")
        maker.stdin.flush()
        maker.wait()
    assert hold(project / ".tmp", path) == ""


def test_a_forked_child_keeps_the_entries_of_its_dead_parent_while_it_lives(project: Path) -> None:
    code = (
        f"import os, time; {MAKE}\n"
        "child = os.fork()\n"
        "if child == 0: time.sleep(60)\n"
        "print(child, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        path, child = Path(maker.first_line), int(maker.stdout.readline())
        try:
            assert maker.wait() == -signal.SIGKILL
            assert hold(project / ".tmp", path) == "owner"
            assert swept(project / ".tmp", EXPIRED).outcomes == ()
        finally:
            os.kill(child, signal.SIGKILL)
        wait_until(lambda: hold(project / ".tmp", path) == "")
        assert len(swept(project / ".tmp", EXPIRED).done) == 1


def wait_until(condition: object) -> None:
    end = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_forked_child_is_its_own_owner(project: Path) -> None:
    code = (
        f"import os, time; {MAKE}\n"
        "if os.fork() == 0:\n"
        "    print(make('child'), os.getpid(), flush=True); time.sleep(60)\n"
        "os.wait()"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        path, child = maker.stdout.readline().split()
        assert hold(project / ".tmp", Path(path)) == "owner"
        os.kill(int(child), signal.SIGKILL)
        maker.wait()
        assert hold(project / ".tmp", Path(path)) == ""
    assert len(owner_files(project / ".tmp")) == 2


def test_a_child_does_not_end_the_blocks_of_its_parent(project: Path) -> None:
    code = (
        "import os, sys\n"
        "from common.temp import temp_working_dir as make\n"
        "with make() as path:\n"
        "    child = os.fork()\n"
        "    if child == 0: sys.exit()\n"
        "    os.waitpid(child, 0)\n"
        "    print(path.is_dir(), flush=True)\n"
        "print(path.exists(), flush=True)"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        assert [maker.first_line, maker.stdout.readline().strip()] == ["True", "False"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_entries_of_multiprocessing_workers_are_held_by_the_workers(
    project: Path, method: str
) -> None:
    (project / "worker.py").write_text(
        "import multiprocessing, sys, time\n"
        "from common.temp import get_debug_temp_dir\n"
        "def work(queue):\n"
        "    queue.put(str(get_debug_temp_dir('x'))); time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context(sys.argv[1])\n"
        "    queue = context.Queue()\n"
        "    worker = context.Process(target=work, args=(queue,), daemon=True)\n"
        "    worker.start()\n"
        "    print(queue.get(), flush=True); input()\n"
        "    worker.kill(); worker.join(); print('killed', flush=True); input()\n"
    )
    code = (
        f"import runpy, sys; sys.argv = ['worker.py', {method!r}];"
        "sys.path.insert(0, '.'); runpy.run_path('worker.py', run_name='__main__')"
    )
    if method == "spawn":
        code = (
            f"import os, sys; os.execv(sys.executable, [sys.executable, 'worker.py', {method!r}])"
        )
    with process(code, cwd=project) as maker:
        path = Path(maker.first_line)
        assert hold(project / ".tmp", path) == "owner"
        assert maker.stdin is not None
        assert maker.stdout is not None
        maker.stdin.write("\n")
        maker.stdin.flush()
        assert maker.stdout.readline() == "killed\n"
        assert hold(project / ".tmp", path) == ""


def test_threads_that_create_at_once_share_one_owner_and_lose_no_record(project: Path) -> None:
    made: list[Path] = []

    def work() -> None:
        made.extend(get_debug_temp_dir("x") for _ in range(40))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 320
    assert len(owner_files(project / ".tmp")) == 1
    leases = Leases(project / ".tmp")
    leases.refresh()
    for path in made:
        assert leases.use_of(path.relative_to(project / ".tmp").as_posix(), 0, 0) is not None


def test_a_thousand_entries_take_one_descriptor(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        allocate(str(root), "debug", "x")
    assert len(os.listdir("/proc/self/fd")) == before + 1


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare of util-linux")
def test_a_process_in_another_pid_namespace_holds_its_entries(project: Path) -> None:
    if run(["unshare", "-pf", "--mount-proc", "true"], cwd=project).returncode:
        pytest.skip("PID namespaces are not permitted here")
    inner = f"[sys.executable, '-c', {f'{MAKE} input()'!r}]"
    code = (
        "import os, sys; os.execvp('unshare', "
        f"['unshare', '-pf', '--kill-child', '--mount-proc', *{inner}])"
    )
    with process(code, cwd=project) as maker:
        path = Path(maker.first_line)
        assert hold(project / ".tmp", path) == "owner"
        assert swept(project / ".tmp", EXPIRED).outcomes == ()
        maker.kill()
        wait_until(lambda: hold(project / ".tmp", path) == "")
        assert len(swept(project / ".tmp", EXPIRED).done) == 1


def test_an_own_entry_does_not_stop_ones_own_clean_everything(project: Path) -> None:
    path = get_debug_temp_dir("x")
    assert len(swept(project / ".tmp").done) == 1
    assert not path.exists()


def test_an_own_entry_stops_ones_own_age_based_sweep(project: Path) -> None:
    path = get_debug_temp_dir("x")
    assert swept(project / ".tmp", EXPIRED).outcomes == ()
    assert path.is_dir()


def test_an_entry_that_this_and_another_process_hold_is_not_just_ones_own(project: Path) -> None:
    with process(f"{MAKE} input()", cwd=project) as maker:
        relative = Path(maker.first_line).relative_to(project / ".tmp").as_posix()
        owner_of(str(project / ".tmp")).record(relative)
        use = scanned(project / ".tmp")[relative].use
        assert use is not None
        assert not use.mine
        assert swept(project / ".tmp").outcomes == ()


# -- when the ground is pulled away ---------------------------------------------------------------


def test_after_the_root_was_removed_new_entries_are_made_and_held(project: Path) -> None:
    get_debug_temp_dir("x")
    shutil.rmtree(project / ".tmp")
    path = get_debug_temp_dir("x")
    assert path.is_dir()
    assert hold(project / ".tmp", path) == "owner"


def test_after_the_store_was_removed_older_entries_are_held_again_with_the_next(
    project: Path,
) -> None:
    older = get_debug_temp_dir("older")
    shutil.rmtree(project / ".tmp" / ".tempkeep")
    get_debug_temp_dir("newer")
    assert hold(project / ".tmp", older) == "owner"


def test_a_replaced_owner_writes_to_no_descriptor_that_is_another_files_by_now(
    project: Path, tmp_path: Path
) -> None:
    get_debug_temp_dir("x")
    stale = owner_of(str(project / ".tmp"))
    shutil.rmtree(project / ".tmp")
    get_debug_temp_dir("x")
    with open(tmp_path / "precious", "wb") as file:
        os.dup2(file.fileno(), 199)
        with pytest.raises(FileNotFoundError):
            stale.record("debug/y")
        stale.live["debug/y"] = 1
        stale.release("debug/y")
        os.close(199)
    assert (tmp_path / "precious").read_bytes() == b""


def test_threads_survive_roots_that_are_removed_all_the_time(project: Path) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            while not done.is_set():
                with contextlib.suppress(StorageError, Refused):  # "try again"
                    get_debug_temp_dir("x")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(60):
        with contextlib.suppress(OSError):
            # In one step: a removal would never come to its end.
            (project / ".tmp").rename(project / f"gone{number}")
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    path = get_debug_temp_dir("last")
    assert hold(project / ".tmp", path) == "owner"


def test_a_new_owner_whose_file_a_sweep_took_for_a_dead_ones_takes_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = locks.lock_file
    taken: list[str] = []

    def lock(descriptor: int) -> bool:
        if not taken:
            (file,) = owner_files(root)
            taken.append(file.name)
            with opened(file.parent) as owners:
                status = file.stat()
                identity = status.st_dev, status.st_ino
                owner_file.unlink_if_dead(file.name, identity, owners)
        return real(descriptor)

    monkeypatch.setattr(owner_file, "lock_file", lock)
    path = Path(allocate(str(root), "debug", "x"))
    assert [file.name for file in owner_files(root)] != taken
    assert hold(root, path) == "owner"


def test_a_new_owner_whose_file_is_being_read_before_it_is_locked_takes_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = locks.lock_file
    calls: list[int] = []

    def lock(descriptor: int) -> bool:
        calls.append(descriptor)
        return len(calls) > 1 and real(descriptor)

    monkeypatch.setattr(owner_file, "lock_file", lock)
    path = Path(allocate(str(root), "debug", "x"))
    assert len(calls) == 2
    assert len(owner_files(root)) == 1
    assert hold(root, path) == "owner"


def test_a_reader_that_saw_an_owner_file_before_its_lock_sees_the_owner_later(root: Path) -> None:
    file = root / ".tempkeep" / "owners" / "1-1-00"
    file.write_bytes(b"")
    leases = Leases(root)
    leases.refresh()
    with open(file, "r+b") as owner:
        assert locks.lock_file(owner.fileno())
        owner.write(b'{"pid": 1, "command": "c", "started": 1, "host": "h"}\n+debug/x\n')
        owner.flush()
        leases.refresh()
        use = leases.use_of("debug/x", 0, 0)
    assert use is not None
    assert use.who == "pid 1 (c) on h"


# -- the journal ----------------------------------------------------------------------------------


def test_a_line_that_was_being_written_is_no_record(root: Path) -> None:
    file = root / ".tempkeep" / "owners" / "1-1-00"
    with open(file, "wb") as owner:
        assert locks.lock_file(owner.fileno())
        owner.write(b'{"pid": 1, "command": "c", "started": 1, "host": "h"}\n+debug/x\n+debug/ha')
        owner.flush()
        leases = Leases(root)
        leases.refresh()
        assert leases.use_of("debug/x", 0, 0) is not None
        assert leases.use_of("debug/ha", 0, 0) is None
        # The half line is taken back, and another of the very same size is written.
        owner.truncate(owner.tell() - 9)
        owner.seek(0, 2)
        owner.write(b"+debug/y\n")
        owner.flush()
        leases.refresh()
        assert leases.use_of("debug/y", 0, 0) is not None


def test_what_is_no_owner_file_hinders_nobody(root: Path) -> None:
    owners = root / ".tempkeep" / "owners"
    (owners / "directory").mkdir()
    (owners / "no json").write_bytes(b"\xff\n+debug/x\nwhatever\n")
    (owners / "list").write_bytes(b"[]\n")
    make_entry(root, "debug/x")
    entry = scanned(root)["debug/x"]
    assert (entry.use, entry.made_by) == (None, "a process that left no name")


@pytest.mark.parametrize("host", ["", "elsewhere"])
def test_a_record_that_no_living_process_has_written_makes_no_entry_a_category(
    root: Path, host: str
) -> None:
    make_entry(root, "data/survey_1600000000", age_hours=1000)
    (root / "data" / "today").mkdir()
    said = {"command": "x", "pid": 1, "started": 1600000000, "host": host or os.uname().nodename}
    planted = root / ".tempkeep" / "owners" / "1600000000-1-abcdef01"
    planted.write_text(f"{json.dumps(said)}\n+data/x\n.\n")
    assert list(scanned(root)) == ["data"]
    swept(root, Policy(max_age=24 * 3600))
    assert (root / "data" / "survey_1600000000").is_dir()


def test_compaction_keeps_what_lives_and_drops_what_is_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "_COMPACT_AFTER", 20)
    owner = owner_of(str(root))
    first = owner.id
    owner.record("debug/kept")
    for number in range(20):
        owner.record(f"debug/{number}")
        owner.release(f"debug/{number}")
    assert owner.id != first
    (file,) = owner_files(root)
    assert file.read_bytes().count(b"\n") < 20
    leases = Leases(root)
    leases.refresh()
    use = leases.use_of("debug/kept", 0, 0)
    assert use is not None
    assert use.mine
    assert leases.use_of("debug/3", 0, 0) is None
    assert owner_of(str(root)) is owner


@pytest.mark.parametrize("closes", [True, False])
def test_a_forked_child_keeps_what_was_live_though_its_dead_parent_compacted(
    project: Path, closes: bool
) -> None:
    code = (
        f"import os, time; {MAKE}\n"
        "from common.temp.store.root import owning\n"
        "from tests.support import Path, working_in\n"
        "owning._COMPACT_AFTER = 8\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        f"    if {closes}: os.closerange(3, 256)\n"
        "    time.sleep(60)\n"
        "for _ in range(20):\n"
        "    with working_in(Path('.tmp').absolute()): pass\n"
        "print(child, flush=True); os.kill(os.getpid(), 9)"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        path, child = Path(maker.first_line), int(maker.stdout.readline())
        try:
            maker.wait()
            assert len(owner_files(project / ".tmp")) > 1
            assert hold(project / ".tmp", path) == "owner"
        finally:
            os.kill(child, signal.SIGKILL)
        wait_until(lambda: hold(project / ".tmp", path) == "")
        assert len(swept(project / ".tmp").done) == 1
        assert owner_files(project / ".tmp") == []


def test_readers_always_find_a_live_record_while_its_owner_compacts(project: Path) -> None:
    code = (
        "from common.temp.store.root import owning\n"
        "owning._COMPACT_AFTER = 8\n"
        "from common.temp import get_debug_temp_dir\n"
        "from tests.support import Path, working_in\n"
        "print(get_debug_temp_dir('kept'), flush=True)\n"
        "while True:\n"
        "    with working_in(Path('.tmp').absolute()): pass\n"
    )
    with process(code, cwd=project) as maker:
        relative = Path(maker.first_line).relative_to(project / ".tmp").as_posix()
        leases = Leases(project / ".tmp")
        seen: set[str] = set()
        while len(seen) < 50:
            leases.refresh()
            assert leases.use_of(relative, 0, 0) is not None
            seen |= {file.name for file in owner_files(project / ".tmp")}
            fresh = Leases(project / ".tmp")
            fresh.refresh()
            assert fresh.use_of(relative, 0, 0) is not None


def test_threads_that_create_while_another_compacts_share_one_owner(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "_COMPACT_AFTER", 4)
    root = project / ".tmp"
    make_root(str(root))
    owner = owner_of(str(root))
    owners = set()

    def work() -> None:
        for number in range(200):
            mine = owner_of(str(root))
            owners.add(id(mine))
            mine.record(f"debug/{threading.get_ident()}-{number}")
            mine.release(f"debug/{threading.get_ident()}-{number}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert owners == {id(owner)}


def test_a_disk_that_is_full_when_a_record_is_written_leaves_nothing_half_made(
    tmp_path: Path,
) -> None:
    with mounted(tmp_path / "small", "size=64k") as directory:
        root = directory / ".tmp"
        allocate(str(root), "debug", "first")
        (file,) = owner_files(root)
        lines = b""
        fill(directory)

        def allocate_many() -> None:
            nonlocal lines
            for number in range(2000):
                lines = file.read_bytes()
                allocate(str(root), "debug", f"{number}-{'y' * 100}")

        with pytest.raises(StorageError, match=r"No space left on device; free some space") as said:
            allocate_many()
        assert str(root / "debug") in str(said.value)
        assert file.read_bytes() == lines
        recorded = {line[1:].decode() for line in lines.splitlines()[1:]}
        there = {f"debug/{path.name}" for path in (root / "debug").iterdir()}
        assert there == recorded
        owners.clear()


def test_a_full_disk_leaves_no_owner_file_behind(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=64k") as directory:
        root = directory / ".tmp"
        make_root(str(root))
        fill(directory)
        with pytest.raises(StorageError, match=r"cannot record .*No space left on device"):
            allocate(str(root), "debug", "x")
        assert owner_files(root) == []


def test_a_line_that_did_not_fit_is_taken_back(tmp_path: Path) -> None:
    with ext4(tmp_path, megabytes=2) as directory:
        file = directory / "journal"
        file.write_bytes(b"x" * 1000)
        fill(directory)
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND)
        try:
            full = ""
            while not full:
                try:
                    owner_file._append(descriptor, b"y" * 999 + b"\n")
                except OSError as error:
                    full = str(error)
            assert "No space left" in full
            assert os.fstat(descriptor).st_size % 1000 == 0
        finally:
            os.close(descriptor)


@pytest.mark.parametrize("at", ["open", "append"])
def test_a_compaction_that_fails_leaves_the_old_journal_in_force(
    root: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr(owning, "_COMPACT_AFTER", 4)
    owner = owner_of(str(root))
    first = owner.id
    owner.record("debug/kept")
    owner.record("debug/x")
    owner.record("debug/y")
    if at == "open":
        real_header = owner_file._header
        monkeypatch.setattr(owner_file, "_header", lambda *said: full() or real_header(*said))
    else:
        real = owner_file._append

        def append(descriptor: int, data: bytes) -> None:
            if data == b"+debug/kept\n":
                full()
            real(descriptor, data)

        monkeypatch.setattr(owner_file, "_append", append)
    owner.release("debug/x")
    owner.release("debug/y")
    assert owner.id == first
    assert [file.name for file in owner_files(root)] == [first]
    leases = Leases(root)
    leases.refresh()
    assert leases.use_of("debug/kept", 0, 0) is not None


def interrupt(monkeypatch: pytest.MonkeyPatch, line: bytes, work: Callable[[], object]) -> None:
    """Have `work` done by the thread that is about to write `line`, as by a signal's handler."""
    real = owner_file._append

    def append(descriptor: int, data: bytes) -> None:
        if data == line:
            monkeypatch.setattr(owner_file, "_append", real)
            work()
        real(descriptor, data)

    monkeypatch.setattr(owner_file, "_append", append)


def test_what_interrupts_a_record_can_give_up_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = owner_of(str(root))
    owner.record("debug/x")
    interrupt(monkeypatch, b"+debug/y\n", lambda: owner.release("debug/x"))
    owner.record("debug/y")
    leases = Leases(root)
    leases.refresh()
    assert leases.use_of("debug/x", 0, 0) is None
    assert leases.use_of("debug/y", 0, 0) is not None


def test_what_interrupts_a_release_can_give_up_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = owner_of(str(root))
    for name in "xyz":
        owner.record(f"debug/{name}")
    interrupt(monkeypatch, b"-debug/y\n", lambda: owner.release("debug/x"))
    owner.release("debug/y")
    leases = Leases(root)
    leases.refresh()
    used = [leases.use_of(f"debug/{name}", 0, 0) is not None for name in "xyz"]
    assert used == [False, False, True]


def test_what_interrupts_the_making_of_an_owner_shares_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, name = owner_file.open_new, "common.temp.store.root.owning.open_new"

    def interrupted(*arguments: Any) -> Any:
        made = real(*arguments)
        monkeypatch.setattr(name, real)
        owner_of(str(root)).record("debug/y")
        return made

    monkeypatch.setattr(name, interrupted)
    owner = owner_of(str(root))
    owner.record("debug/x")
    assert [file.name for file in owner_files(root)] == [owner.id]
    leases = Leases(root)
    leases.refresh()
    assert all(leases.use_of(f"debug/{name}", 0, 0) for name in "xy")


def test_what_interrupts_a_compaction_can_record_and_give_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "_COMPACT_AFTER", 6)
    owner = owner_of(str(root))
    first = owner.id
    for name in ("kept", "x", "y", "z"):
        owner.record(f"debug/{name}")

    def work() -> None:
        owner.record("debug/late")
        owner.release("debug/x")

    owner.release("debug/z")
    owner.record("debug/z")
    interrupt(monkeypatch, b"+debug/kept\n+debug/x\n+debug/y\n", work)
    owner.release("debug/z")
    assert owner.id != first
    leases = Leases(root)
    leases.refresh()
    used = [leases.use_of(f"debug/{name}", 0, 0) is not None for name in ("kept", "x", "late")]
    assert used == [True, False, True]


def full() -> bytes:
    raise OSError(28, "No space left on device")


# -- reading --------------------------------------------------------------------------------------


def test_the_owner_file_of_a_dead_process_goes_with_its_last_entry(project: Path) -> None:
    code = f"{MAKE} print(make('y'))"
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        paths = [Path(maker.first_line), Path(maker.stdout.readline().strip())]
        maker.wait()
    root = project / ".tmp"
    shutil.rmtree(paths[0])
    make_entry(root, "debug/z")
    swept(root, Policy(everything=True, exclude=("y_*",)))
    assert len(owner_files(root)) == 1
    assert scanned(root)[f"debug/{paths[1].name}"].made_by is not None
    swept(root)
    assert owner_files(root) == []


def test_the_owner_file_of_a_dead_process_goes_though_no_entry_is_left(project: Path) -> None:
    with process(f"{MAKE} input()", cwd=project) as maker:
        path = Path(maker.first_line)
    root = project / ".tmp"
    shutil.rmtree(path)
    assert len(owner_files(root)) == 1
    assert swept(root).outcomes == ()
    assert owner_files(root) == []


def test_the_owner_file_of_a_dead_process_stays_while_its_entry_is_kept(project: Path) -> None:
    with process(f"{MAKE} input()", cwd=project) as maker:
        path = Path(maker.first_line)
    root = project / ".tmp"
    assert swept(root, Policy(max_age=3600)).outcomes == ()
    assert len(owner_files(root)) == 1
    assert scanned(root)[path.relative_to(root).as_posix()].made_by is not None


def test_the_owner_file_of_a_living_process_without_entries_stays(project: Path) -> None:
    with process(
        f"{MAKE} import shutil; shutil.rmtree('.tmp/debug'); print(); input()", cwd=project
    ) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()
        make_entry(project / ".tmp", "debug/z")
        swept(project / ".tmp")
        assert len(owner_files(project / ".tmp")) == 1


def test_an_entry_is_in_use_while_something_recorded_lies_deeper_in_it(root: Path) -> None:
    make_entry(root, "mine/deep/deeper")
    (root / "mine" / "stray").write_text("")
    owner_of(str(root)).record("other/x")
    journal = owner_files(root)[0]
    with open(journal, "ab") as file:
        file.write(b"+mine/deep/deeper\n")
    leases = Leases(root)
    leases.refresh()
    assert leases.use_of("mine", 0, 0) is not None
    assert leases.use_of("mine/deep", 0, 0) is not None
    assert leases.use_of("min", 0, 0) is None


@pytest.mark.parametrize("part", ["", "owners", "holding", "pins"])
def test_a_store_behind_a_symlink_is_refused_and_what_it_points_to_left_alone(
    root: Path, tmp_path: Path, part: str
) -> None:
    canary = tmp_path / "canary"
    for name in ("", "owners", "holding", "pins"):
        make_entry(canary, name or "top") if not name else make_entry(canary, f"{name}/x")
        (canary / name / "file").write_text("{}")
    make_entry(root, "debug/x")
    place = root / ".tempkeep" / part if part else root / ".tempkeep"
    shutil.rmtree(place, ignore_errors=True)
    place.symlink_to(canary / part)
    before = sorted(canary.rglob("*"))
    with pytest.raises(Refused, match="is not a directory made by this program; remove it"):
        swept(root)
    assert sorted(canary.rglob("*")) == before


def test_owner_files_that_cannot_be_listed_are_an_error(root: Path) -> None:
    (root / ".tempkeep" / "owners").chmod(0)
    with plain_user(), pytest.raises(StorageError, match=r"cannot read .*owners: Permission"):
        Leases(root).refresh()


def test_an_owner_file_that_the_disk_cannot_read_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".tempkeep" / "owners" / "1-1-00").write_bytes(b"{}\n")

    def read(descriptor: int) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reading, "is_file_locked", read)
    with pytest.raises(StorageError, match=r"cannot read .*1-1-00: Input/output error"):
        Leases(root).refresh()


def test_owner_files_that_do_not_stop_changing_are_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = Leases(root)
    monkeypatch.setattr(leases.__class__, "_read_all", lambda self: None)
    with pytest.raises(StorageError, match="does not stop changing; try again"):
        leases.refresh()


def test_an_owner_file_that_loses_its_name_while_it_is_read_is_read_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = root / ".tempkeep" / "owners"
    (owners / "1-1-00").write_bytes(b"{}\n+debug/x\n")
    (owners / "1-1-01").write_bytes(b"{}\n")
    real = locks.is_file_locked

    def is_locked(descriptor: int) -> bool | None:
        for name in ("1-1-00", "1-1-01"):
            (owners / name).unlink(missing_ok=True)
        return real(descriptor)

    monkeypatch.setattr(reading, "is_file_locked", is_locked)
    leases = Leases(root)
    leases.refresh()
    assert leases.maker_of("debug/x") is None


# -- without flock --------------------------------------------------------------------------------


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A platform without `fcntl`, or a filesystem without locks."""
    if request.param == "platform":
        monkeypatch.setattr(locks, "fcntl", None)
    else:

        def flock(descriptor: int, operation: int) -> None:
            raise OSError(37, "No locks available")

        monkeypatch.setattr("fcntl.flock", flock)


both = pytest.mark.parametrize("no_flock", ["platform", "filesystem"], indirect=True)


@both
@pytest.mark.usefixtures("no_flock")
def test_without_locks_a_young_entry_counts_as_in_use_and_says_why(project: Path) -> None:
    with process(MAKE, cwd=project) as maker:
        maker.wait()
    (entry,) = scanned(project / ".tmp").values()
    assert entry.use is not None
    assert entry.use.how == "unknown"
    assert entry.use.who.endswith(
        "cannot be checked from here (this filesystem has no locks), so the entry counts as in use "
        "until it has been unchanged for 24 h"
    )
    assert swept(project / ".tmp").outcomes == ()


@both
@pytest.mark.usefixtures("no_flock")
def test_without_locks_an_entry_older_than_24_hours_counts_as_free(project: Path) -> None:
    with process(LONG_AGO + MAKE, cwd=project) as maker:
        maker.wait()
    os.utime(maker.first_line, (0, time.time() - DAY - 60))
    (entry,) = scanned(project / ".tmp").values()
    assert entry.use is None
    assert len(swept(project / ".tmp").done) == 1


@both
@pytest.mark.usefixtures("no_flock")
def test_without_locks_a_young_entry_of_an_old_process_counts_as_in_use(root: Path) -> None:
    (root / ".tempkeep" / "owners" / "1-1-00").write_bytes(
        b'{"pid": 1, "command": "c", "started": 1, "host": "h"}\n+debug/x\n'
    )
    path = make_entry(root, "debug/x")
    assert hold(root, path) == "unknown"


@both
@pytest.mark.usefixtures("no_flock")
def test_without_locks_owner_files_are_forgotten_a_day_after_their_last_line(root: Path) -> None:
    owners = root / ".tempkeep" / "owners"
    for name, written in (("old", time.time() - 2 * DAY), ("young", time.time())):
        (owners / name).write_text(
            '{"pid": 1, "command": "c", "started": 1, "host": "h"}\n+debug/gone\n'
        )
        os.utime(owners / name, (written, written))
    leases = Leases(root)
    leases.refresh()
    leases.forget_dead()
    assert [file.name for file in owner_files(root)] == ["young"]


@both
@pytest.mark.usefixtures("no_flock")
def test_without_locks_ones_own_entries_are_ones_own(root: Path) -> None:
    path = Path(allocate(str(root), "debug", "x"))
    (entry,) = scanned(root).values()
    assert entry.use is not None
    assert entry.use.mine
    assert len(swept(root).done) == 1
    assert not path.exists()


# -- locks on the entry itself --------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("flock"), reason="needs flock of util-linux")
@pytest.mark.parametrize("how", ["-x", "-s"])
def test_a_shell_that_holds_a_flock_on_an_entry_protects_it(root: Path, how: str) -> None:
    path = make_entry(root, "debug/x", age_hours=100)
    other = make_entry(root, "debug/y", age_hours=100)
    shell = subprocess.Popen(
        ["flock", how, str(path), "sh", "-c", "echo held; exec sleep 60"],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        start_new_session=True,
    )
    try:
        assert shell.stdout is not None
        assert shell.stdout.readline() == "held\n"
        assert hold(root, path) == "lock"
        assert outcomes(swept(root)) == {"debug/y": ("done", "")}
        assert path.is_dir()
        assert not other.exists()
    finally:
        os.killpg(shell.pid, signal.SIGKILL)  # its child holds the lock as well
        shell.communicate()
    wait_until(lambda: hold(root, path) == "")
    assert len(swept(root).done) == 1


@pytest.mark.parametrize("how", ["mkdir", "store", "link"])
def test_a_lock_on_the_root_keeps_all_that_is_in_it(root: Path, how: str) -> None:
    if how == "link":
        root.rename(root.with_name("disk"))
        root.symlink_to("disk")
    elif how == "mkdir":
        shutil.rmtree(root / ".tempkeep")
    for name in ("debug/x", "alone"):
        make_entry(root, name, age_hours=100)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        assert swept(root).done == ()
    finally:
        os.close(descriptor)
    assert len(swept(root).done) == 2


@pytest.mark.parametrize("store", [True, False])
def test_scans_at_the_same_time_never_take_each_other_for_users(project: Path, store: bool) -> None:
    root = project / ".tmp"
    for number in range(10):
        make_entry(root, f"debug/{number}")
    if store:
        make_root(str(root))
    code = (
        "import time\n"
        "from pathlib import Path\n"
        "from common.temp.store.scanning.scan import scan\n"
        "print('ready', flush=True); input()\n"
        "seen = [e.use for _ in range(6) for e in scan(Path('.tmp').absolute(), 0).entries]\n"
        "print([use for use in seen if use])\n"
    )
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(process(code, cwd=project)) for _ in range(3)]
        for scanner in started:
            assert scanner.stdin is not None
            scanner.stdin.write("\n")
            scanner.stdin.flush()
        for scanner in started:
            assert scanner.stdout is not None
            assert scanner.stdout.read() == "[]\n"


@pytest.mark.parametrize("place", [".tempkeep", "."])
def test_a_turn_that_never_ends_stops_no_scan(
    root: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_TURN_SECONDS", 0.02)
    make_entry(root, "debug/x")
    if place == ".":
        shutil.rmtree(root / ".tempkeep")
    with open(os.devnull):
        descriptor = os.open(root / place, os.O_RDONLY)
        try:
            assert locks.lock_file(descriptor)
            # Without a store, a turn is taken on the root: one that does not end is a lock.
            assert hold(root, root / "debug/x") == ("lock" if place == "." else "")
            assert len(swept(root).done) == (0 if place == "." else 1)
        finally:
            os.close(descriptor)


def test_a_reader_writes_nothing(root: Path) -> None:
    get_cache_temp_dir("x")
    before = [(str(path), path.lstat().st_mtime_ns) for path in sorted(root.rglob("*"))]
    Leases(root).refresh()
    assert [(str(path), path.lstat().st_mtime_ns) for path in sorted(root.rglob("*"))] == before


def test_of_an_owner_file_only_what_was_appended_is_read_again(root: Path) -> None:
    path = Path(owner_of(str(root))._file.path)
    owner_of(str(root)).record("debug/first")
    leases = Leases(root)
    leases.refresh()
    written = path.read_bytes()
    with open(path, "r+b") as file:  # what was read before is not looked at any more
        file.seek(written.index(b"+debug/first"))
        file.write(b"?")
    owner_of(str(root)).record("debug/second")
    leases.refresh()
    assert leases.use_of("debug/first", NOW, NOW) is not None
    assert leases.use_of("debug/second", NOW, NOW) is not None


def test_an_entry_that_was_given_up_is_nobody_s_at_the_next_look(root: Path) -> None:
    owner = owner_of(str(root))
    owner.record("mine/first")
    owner.record("mine/second")
    leases = Leases(root)
    leases.refresh()
    owner.release("mine/first")
    leases.refresh()
    assert leases.use_of("mine/first", NOW, NOW) is None
    assert leases.use_of("mine", NOW, NOW) is not None
    owner.release("mine/second")
    leases.refresh()
    assert leases.use_of("mine", NOW, NOW) is None
    assert leases.recorded_categories() == set()


# -- books of runs of tests -----------------------------------------------------------------------

MEANWHILE, KEPT = Book("run"), Book("run", "its test failed")


def read(root: Path) -> Leases:
    leases = Leases(root)
    leases.refresh()
    return leases


def test_what_a_process_notes_in_another_book_is_in_use_apart_from_the_first(root: Path) -> None:
    owner_of(str(root)).record("test/x")
    owner_of(str(root), MEANWHILE).record("test/x")
    assert len(owner_files(root)) == 2
    lease.release(str(root), "test/x")
    use = read(root).use_of("test/x", 0, 0)
    assert use is not None
    assert not use.mine  # so that this process does not clean it along with what is its own
    lease.release(str(root), "test/x", MEANWHILE)
    assert read(root).use_of("test/x", 0, 0) is None


def test_a_book_that_was_closed_says_what_was_kept_and_why(root: Path) -> None:
    make_entry(root, "test/x")
    owner_of(str(root), KEPT).record("test/x")
    lease.close(str(root), KEPT)
    assert own(str(root), KEPT) is None
    entry = scanned(root)["test/x"]
    assert entry.use is None
    assert entry.made_by is not None
    assert entry.made_by.endswith(", which kept it: its test failed")


def test_a_book_is_closed_as_often_as_one_likes(root: Path) -> None:
    lease.close(str(root), KEPT)
    owner_of(str(root), KEPT)
    lease.close(str(root), KEPT)
    lease.close(str(root), KEPT)
    assert owner_files(root) == []


def test_the_notes_of_a_run_are_those_of_its_books_that_are_not_gone(root: Path) -> None:
    make_entry(root, "test/x")
    make_entry(root, "test/y")
    owner_of(str(root)).record("test/y")
    for path in ("test/x", "test/gone"):
        owner_of(str(root), KEPT).record(path)
    owner_of(str(root), MEANWHILE).record("test/gone")
    (note,) = notes_of_runs(root, read(root))
    assert (note.book, note.is_over, note.entries) == (KEPT, False, frozenset({"test/x"}))
    lease.close(str(root), KEPT)
    (note,) = notes_of_runs(root, read(root))
    assert note.is_over


def test_a_run_is_as_new_as_the_end_of_its_book(root: Path) -> None:
    make_entry(root, "test/x")
    owner_of(str(root), KEPT).record("test/x")
    os.utime(owner_of(str(root), KEPT).path, (NOW, NOW))
    (before,) = notes_of_runs(root, read(root))
    lease.close(str(root), KEPT)
    (after,) = notes_of_runs(root, read(root))
    assert before.written == NOW
    assert after.written > NOW + DAY


def test_a_book_that_is_compacted_or_made_anew_is_the_same_book(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "_COMPACT_AFTER", 4)
    make_entry(root, "test/x")
    owner = owner_of(str(root), MEANWHILE)
    first = owner.id
    owner.record("test/x")
    for _ in range(4):
        owner.record("test/y")
        owner.release("test/y")
    assert owner.id != first
    owner_files(root)[0].unlink()
    owner_of(str(root), MEANWHILE)
    (note,) = notes_of_runs(root, read(root))
    assert (note.book, note.entries) == (MEANWHILE, frozenset({"test/x"}))


def test_a_forked_child_has_books_of_its_own(root: Path) -> None:
    owner_of(str(root), MEANWHILE).record("test/x")

    def look() -> tuple[bool, bool]:
        mine = own(str(root), MEANWHILE) is not None
        return mine, owner_of(str(root), MEANWHILE).pid == os.getpid()

    assert in_child(look) == (False, True)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'"text"',
        b'{"pid": [], "command": "c", "started": 1, "host": "h", "run": "r"}',
        b'{"command": "c", "run": "r"}',
    ],
)
def test_a_header_that_is_none_is_of_no_run(root: Path, header: bytes) -> None:
    make_entry(root, "test/x")
    (root / ".tempkeep" / "owners" / "1-1-1").write_bytes(header + b"\n+test/x\n")
    assert notes_of_runs(root, read(root)) == ()
    assert scanned(root)["test/x"].made_by == "a process that left no name"


def test_what_a_process_made_is_told_of_the_test_that_it_ran_in(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "test_it.py::test_it[a b] (call)")
    owner_of(str(root)).record("debug/mine")
    in_child(lambda: owner_of(str(root)).record("debug/x"))
    make_entry(root, "debug/x")
    (found,) = made_in("test_it.py::test_it[a b]", read(root)).items()
    assert found[0] == "debug/x"
    assert found[1].startswith("pid ")
    assert made_in("test_it.py::test_it", read(root)) == {}
