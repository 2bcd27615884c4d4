"""Deleting that outlives the command: what is shown meanwhile, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.core.plan import Report
from common.temp.errors import Refused
from common.temp.pins import pin
from common.temp.store.root.allocation import allocate
from common.temp.store.root.making import make_root
from common.temp.store.scanning.scan import scan
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.store.children import children_of, in_child, state_of, until
from tests.support import (
    EVERYTHING,
    NOW,
    environment,
    immutable,
    in_holding,
    inv,
    listing,
    make_entry,
    run,
    scanned,
    status,
    swept,
    tempkeep,
    tree,
)

BACKGROUND = ("temp-clean", "--yes", "--background")


STOPS_FIRST = """
import os, signal, sys
from common.temp.store.sweep import steps
from common.temp.store.workers import background

def detach(work, keep):
    def stop_and_work():
        os.kill(os.getpid(), signal.SIGSTOP)
        work()

    background.detach(stop_and_work, keep)

steps.detach = detach
"""
"""Has what this process detaches stop itself before it begins, for `held_up` to let it go on."""

COMMAND = f"""{STOPS_FIRST}
from invoke.main import program

program.run(["inv", *{BACKGROUND!r}])
"""


@pytest.fixture
def filled(project: Path) -> Iterator[Path]:
    """The root of the project, with three entries."""
    root = project / ".tmp"
    make_root(str(root))
    for number in range(3):
        make_entry(root, f"debug/e{number}", files=50)
    yield root
    with contextlib.suppress(AssertionError):
        until(lambda: not deleting(root), "what works in the background ends")


def deleting(root: Path, *, shell: int = 0) -> list[int]:
    """The processes that have something in the holding area of `root` open, and have left the
    session of this process, or of `shell`.
    """
    holding = f"{os.path.realpath(root)}/.tempkeep/holding"
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            if os.getsid(pid) in (os.getsid(0), shell) or not state_of(pid):
                continue
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            if any(link.startswith(holding) for link in links):
                found.append(pid)
    return found


@contextlib.contextmanager
def held_up(root: Path, *, shell: int = 0) -> Iterator[list[int]]:
    """The processes that delete in `root`, all of them, stopped until the end of the block."""

    def running() -> list[int]:
        found = []
        for pid in deleting(root, shell=shell):
            with contextlib.suppress(OSError):
                # By then it has nothing of the command's any more that somebody may wait for.
                is_free = os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
                if is_free and pid not in stopped:
                    found.append(pid)
        return found

    stopped: list[int] = []
    until(running, "a process that deletes in the background")
    try:
        while more := running():
            for pid in more:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
            until(lambda: {state_of(pid) for pid in stopped} <= {"T", ""}, "they are stopped")
        assert in_holding(root), "it had ended before it could be stopped"
        yield deleting(root, shell=shell)
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def moved_aside(root: Path) -> int:
    """How many entries lie in the only batch of `root`."""
    (batch,) = in_holding(root)
    return len(os.listdir(root / ".tempkeep" / "holding" / batch))


def is_finished(root: Path) -> bool:
    return not in_holding(root) and not deleting(root)


def in_background(root: Path, *, stopped: bool = False) -> Report:
    """What a caller is told that has one thread, and that has ended when this returns.

    What it leaves behind may be `stopped` before it deletes anything, until the end of `held_up`.
    """

    def caller() -> Report:
        if stopped:
            exec(STOPS_FIRST, {})
        return execute(prepare(root, EVERYTHING, NOW), background=True)

    return in_child(caller)


def kill_midway(root: Path) -> None:
    """Have `root` cleaned in the background, by a process that is killed at it."""
    in_background(root, stopped=True)
    with held_up(root) as pids:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    until(lambda: not deleting(root), "the killed processes are gone")


# -- what is seen meanwhile -----------------------------------------------------------------------


def test_it_returns_while_what_is_gone_from_the_listing_is_being_freed(filled: Path) -> None:
    root = filled
    report = in_background(root, stopped=True)
    with held_up(root):
        assert (len(report.done), report.background, report.failed) == (3, True, False)
        inventory = scan(root, NOW)
        assert inventory.entries == ()
        (left,) = inventory.leftovers
        assert (left.being_freed, left.entries) == (True, moved_aside(root))
    until(lambda: is_finished(root), "the holding area is empty")


def test_the_command_ends_while_it_is_freed_by_who_reads_and_writes_nothing_and_stands_nowhere(
    project: Path, filled: Path
) -> None:
    done = run([sys.executable, "-c", COMMAND], cwd=project)
    with held_up(filled) as pids:
        assert (done.returncode, done.stderr) == (0, "")
        assert "cleaned 3 entries, being freed in the background" in done.stdout
        told = status(project)
        (left,) = told["leftovers"]
        assert (left["being_freed"], left["entries"]) == (True, moved_aside(filled))
        assert told["entries"] == []
        assert "being freed by a clean that is running now" in (
            inv("temp-status", cwd=project).stdout
        )
        assert pids
        for pid in pids:
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
            assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)] == [
                "/dev/null"
            ] * 3
            assert os.getsid(pid) not in {os.getsid(0), 0}
    until(lambda: is_finished(filled), "the holding area is empty")


def test_another_sweep_leaves_what_is_being_freed_to_who_frees_it(filled: Path) -> None:
    root = filled
    in_background(root, stopped=True)
    with held_up(root):
        make_entry(root, "debug/later")
        before = in_holding(root)
        report = swept(root)
        assert (len(report.done), report.finished) == (1, 0)
        assert in_holding(root) == before
    until(lambda: is_finished(root), "the holding area is empty")


def test_what_a_killed_sweep_left_is_finished_in_the_background_too(filled: Path) -> None:
    root = filled
    kill_midway(root)
    assert in_holding(root)
    make_entry(root, "debug/later")
    assert len(in_background(root).done) == 1
    until(lambda: is_finished(root), "the holding area is empty")


# -- the caller's end -----------------------------------------------------------------------------


def test_it_outlives_the_terminal_of_the_command_and_ends_by_itself(
    project: Path, filled: Path
) -> None:
    root = filled
    ours, theirs = os.openpty()
    # The first terminal that the leader of a session opens becomes its own.
    shell = subprocess.Popen(
        [
            "sh", "-c", 'exec <>"$0" >&0 2>&0; "$@"; sleep 600', os.ttyname(theirs),
            sys.executable, "-c", COMMAND,
        ],
        cwd=project,
        env=environment(),
        start_new_session=True,
    )  # fmt: skip
    try:
        with held_up(root, shell=shell.pid) as pids:
            until(lambda: not scan(root, NOW).entries, "everything is claimed")
            os.close(theirs)
            os.close(ours)
            assert shell.wait(30) == -signal.SIGHUP
            assert all(map(state_of, pids))
        until(lambda: is_finished(root), "the holding area is empty")
    finally:
        shell.kill()
        shell.wait()
    assert listing(root / "debug") == []


def test_it_keeps_no_lease_of_its_caller(filled: Path) -> None:
    root = filled

    def caller() -> str:
        exec(STOPS_FIRST, {})
        plan = prepare(root, EVERYTHING, NOW)
        made = allocate(str(root), "debug", "live")
        execute(plan, background=True)
        assert scanned(root)[os.path.relpath(made, root)].use is not None
        return made

    made = in_child(caller)
    with held_up(root):
        entry = scanned(root)[os.path.relpath(made, root)]
        assert entry.use is None
    until(lambda: is_finished(root), "the holding area is empty")


def test_killed_in_the_middle_it_is_finished_by_the_next_sweep(filled: Path) -> None:
    root = filled
    kill_midway(root)
    (left,) = scan(root, NOW).leftovers
    assert not left.being_freed
    report = swept(root)
    assert (report.outcomes, report.finished) == ((), 1)
    assert in_holding(root) == []


def test_a_caller_that_goes_on_is_left_no_running_process_when_it_is_done(root: Path) -> None:
    make_entry(root, "debug/x")

    def caller() -> None:
        execute(prepare(root, EVERYTHING, NOW), background=True)
        until(lambda: not any(map(state_of, children_of(os.getpid()))), "it ends")

    in_child(caller)
    until(lambda: is_finished(root), "everything is deleted")


# -- what stays -----------------------------------------------------------------------------------


def test_what_cannot_be_deleted_comes_back_to_its_place(root: Path) -> None:
    path = tree(root / "debug" / "x", depth=1)
    make_entry(root, "debug/y")
    with immutable(path / "d1" / "f1"):
        in_background(root)
        until(lambda: is_finished(root), "the holding area is empty")
        assert list(scanned(root)) == ["debug/x"]
        assert listing(path) == ["d1", "d1/f1"]
    swept(root)


def test_a_place_that_is_taken_meanwhile_is_not_written_over(root: Path) -> None:
    path = tree(root / "debug" / "x", depth=1)
    with immutable(path / "d1" / "f1"):
        in_background(root, stopped=True)
        with held_up(root):
            make_entry(root, "debug/x", files=2)
        until(lambda: is_finished(root), "the holding area is empty")
        assert listing(path) == ["file0.txt", "file1.txt"]
        (other,) = (entry for entry in scanned(root) if entry != "debug/x")
        assert listing(root / other) == ["d1", "d1/f1"]
        subprocess.run(["chattr", "-i", str(root / other / "d1" / "f1")], check=True)


def test_what_is_in_use_or_pinned_is_kept(project: Path, root: Path) -> None:
    live = Path(allocate(str(root), "debug", "live"))
    pinned = make_entry(root, "debug/pinned")
    pin(pinned, "wanted")
    make_entry(root, "debug/gone")
    done = inv(*BACKGROUND, cwd=project)
    assert done.returncode == 0
    until(lambda: is_finished(root), "the holding area is empty")
    assert set(scanned(root)) == {"debug/pinned", live.relative_to(root).as_posix()}
    assert len(listing(pinned)) == 1


def test_with_nothing_to_clean_nothing_happens(project: Path, root: Path) -> None:
    make_root(str(root))
    before = listing(root)
    assert inv(*BACKGROUND, cwd=project).returncode == 0
    until(lambda: is_finished(root), "the holding area is empty")
    assert listing(root) == before


# -- where it is refused --------------------------------------------------------------------------


@contextlib.contextmanager
def another_thread() -> Iterator[None]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_a_process_with_other_threads_is_refused_and_nothing_is_touched(root: Path) -> None:
    make_entry(root, "debug/x")
    before = listing(root)
    plan = prepare(root, EVERYTHING, NOW)
    with another_thread(), pytest.raises(Refused, match="other threads"):
        execute(plan, background=True)
    assert listing(root) == before


def test_the_command_in_a_process_with_other_threads_ends_with_three(
    project: Path, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_entry(root, "debug/x")
    before = listing(root)
    with another_thread():
        assert tempkeep(*BACKGROUND) == 3
    assert (
        "--background cannot be used here: it needs a process that can fork"
        in capfd.readouterr().err
    )
    assert listing(root) == before


def test_to_trash_in_the_background_is_a_usage_error(project: Path, root: Path) -> None:
    make_entry(root, "debug/x")
    before = listing(root)
    done = inv(*BACKGROUND, "--trash", cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert listing(root) == before
