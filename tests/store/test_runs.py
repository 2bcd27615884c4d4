"""Test runs: what they keep, and what killed ones leave."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from common.temp.errors import Refused, StorageError
from common.temp.store.root import owner as lease
from common.temp.store.root import owner_file
from common.temp.store.root.allocation import allocate
from common.temp.store.sweep.runs import KEPT_RUNS, Run
from tests.store.children import in_child, until
from tests.store.repositories import git
from tests.support import (
    end_leases,
    fill,
    listing,
    make_entry,
    make_project,
    mounted,
    process,
    scanned,
)

WHY = "its test failed"


@pytest.fixture
def run(root: Path) -> Run:
    """A run that has made nothing yet."""
    return Run("this")


def make(run: Run, root: Path, label: str = "test_x") -> str:
    """The path, relative to the root, of an entry with a file in it."""
    path = Path(run.make(str(root), label, time.time()))
    (path / "file").write_text("x")
    return path.relative_to(root).as_posix()


def labels(root: Path, files: int | None = None) -> list[str]:
    """The labels of the entries in `root`, or of those that hold so many files."""
    found = scanned(root).values()
    return sorted(entry.label for entry in found if files in (None, entry.files))


def a_run_that_keeps(root: Path, *labels: str) -> None:
    run = Run(os.urandom(4).hex())
    for label in labels:
        run.keep(str(root), make(run, root, label), WHY)
    run.end(time.time())


# -- one run --------------------------------------------------------------------------------------


def test_an_entry_is_in_use_until_it_is_dropped(root: Path, run: Run) -> None:
    relative = make(run, root)
    assert scanned(root)[relative].use is not None
    assert run.drop(str(root), relative) == ""
    assert scanned(root) == {}


def test_what_was_dropped_may_be_dropped_again(root: Path, run: Run) -> None:
    relative = make(run, root)
    assert [run.drop(str(root), relative) for _ in range(3)] == ["", "", ""]


def test_what_is_kept_is_not_dropped_any_more(root: Path, run: Run) -> None:
    relative = make(run, root)
    run.keep(str(root), relative, WHY)
    run.keep(str(root), relative, WHY)
    run.drop(str(root), relative)
    run.end(time.time())
    assert labels(root) == ["test_x"]


def test_the_end_of_a_run_takes_what_was_not_kept_and_may_come_twice(root: Path, run: Run) -> None:
    make(run, root, "test_left")
    run.keep(str(root), make(run, root, "test_kept"), WHY)
    run.end(time.time())
    run.end(time.time())
    assert labels(root) == ["test_kept"]
    assert scanned(root).popitem()[1].use is None


def test_a_forked_child_neither_drops_nor_keeps_what_its_parent_made(root: Path, run: Run) -> None:
    dropped, kept, left = (make(run, root, f"test_{name}") for name in ("a", "b", "c"))

    def work() -> None:
        make(run, root, "test_child")
        run.drop(str(root), dropped)
        run.keep(str(root), kept, "the child says so")
        run.end(time.time())

    in_child(work)
    assert set(scanned(root)) == {dropped, kept, left}
    run.end(time.time())
    assert scanned(root) == {}


def test_processes_of_one_run_keep_as_one(root: Path) -> None:
    for name in "ab":
        in_child(partial(worker, root, name))
    for name in "cde":
        assert labels(root)[:2] == ["test_a", "test_b"]
        a_run_that_keeps(root, f"test_{name}")
    assert labels(root) == ["test_c", "test_d", "test_e"]


def worker(root: Path, name: str) -> None:
    run = Run("of two")
    run.keep(str(root), make(run, root, f"test_{name}"), WHY)
    run.end(time.time())


# -- killed ---------------------------------------------------------------------------------------


def test_a_run_that_is_killed_at_any_write_leaves_what_was_kept_and_no_more(
    tmp_path: Path,
) -> None:
    survived: list[list[str]] = []
    killed = True
    while killed:
        root = make_project(tmp_path / f"killed-{len(survived)}") / ".tmp"
        bystander = make_entry(root, "test/test_x_1600000000")
        by_hand = allocate(str(root), "test", "test_x")
        killed = in_child_killed_at(len(survived) + 1, root)
        Run("next").make(str(root), "test_next", time.time())
        assert bystander.is_dir()
        assert Path(by_hand).is_dir()
        # Killed right after it was made, an entry is not noted, and empty.
        assert labels(root, files=0).count("test_next") == 1
        assert len(labels(root, files=0)) <= 3
        survived.append(labels(root, files=1))
    # Once it is noted as kept it stays, by whatever it is killed later.
    assert survived == sorted(survived, key=len)
    assert survived[0] == ["test_x"]
    assert survived[-1] == ["test_kept", "test_x"]
    assert len(survived) > 8


def in_child_killed_at(instant: int, root: Path) -> bool:
    """Whether a run of its own process was killed by its so many-th line in an owner file."""
    child = os.fork()
    if child == 0:
        real, lines = owner_file._append, iter(range(1, 1000))

        def append(descriptor: int, data: bytes) -> None:
            if next(lines) == instant:
                os.kill(os.getpid(), signal.SIGKILL)
            real(descriptor, data)

        try:
            owner_file._append = append
            run = Run("killed")
            kept, dropped = make(run, root, "test_kept"), make(run, root, "test_dropped")
            make(run, root, "test_left")
            run.keep(str(root), kept, WHY)
            run.drop(str(root), dropped)
            run.end(time.time())
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_what_was_noted_twice_when_its_process_was_killed_was_kept(
    root: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative = make(run, root)
    with monkeypatch.context() as patch:
        patch.setattr(lease, "release", lambda *said: None)
        run.keep(str(root), relative, WHY)
    end_leases()
    make(Run("next"), root, "test_next")
    assert labels(root) == ["test_next", "test_x"]


# -- disks that say no ----------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A root on a disk of its own, in which this process owns something."""
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=200") as disk:
        root = make_project(disk) / ".tmp"
        allocate(str(root), "test", "before")
        yield root
        end_leases()


def test_what_cannot_be_noted_is_not_made(full: Path, run: Run) -> None:
    before = listing(full / "test")
    fill(full.parent)
    with pytest.raises(StorageError, match=r"test_x_[0-9]+: No space left"):
        run.make(str(full), "test_x", time.time())
    assert listing(full / "test") == before


def test_what_cannot_be_noted_as_kept_is_said_and_goes_in_the_end(full: Path, run: Run) -> None:
    relative = make(run, full)
    fill(full.parent)
    with pytest.raises(StorageError, match=r"cannot record .*test_x_[0-9]+: No space left"):
        run.keep(str(full), relative, WHY)
    assert relative in scanned(full)
    run.end(time.time())
    assert labels(full) == ["before"]


def test_nothing_is_made_in_a_store_that_cannot_be_trusted(
    root: Path, run: Run, tmp_path: Path
) -> None:
    a_run_that_keeps(root, "test_a")
    (tmp_path / "elsewhere").mkdir()
    (root / ".tempkeep" / "pins").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="pins is not a directory"):
        make(run, root)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_a_process_locks_stays_for_a_later_run(root: Path) -> None:
    a_run_that_keeps(root, "test_a")
    (path,) = (root / "test").iterdir()
    code = "import fcntl, os; fcntl.flock(os.open('.', 0), fcntl.LOCK_EX); print(1); input()"
    with process(f"import os; os.chdir({str(path)!r}); {code}", cwd=root):
        for name in "bcd":
            a_run_that_keeps(root, f"test_{name}")
        assert labels(root) == ["test_a", "test_b", "test_c", "test_d"]
    a_run_that_keeps(root, "test_e")
    assert labels(root) == ["test_c", "test_d", "test_e"]


@pytest.mark.parametrize("who", ["a person", "the test"])
def test_work_of_a_person_in_what_an_old_run_kept_stays_and_that_of_its_test_goes(
    root: Path, who: str
) -> None:
    run = Run("first")
    path = Path(run.make(str(root), "test_git", time.time()))
    git(path, "init", "-q")
    if who == "a person":
        run.keep(str(root), path.relative_to(root).as_posix(), WHY)
        run.end(time.time())
        wait_for_clock()
    (path / "fix.patch").write_text("work")
    git(path, "add", ".")
    git(path, "commit", "-qm", "the fix")
    if who == "the test":
        wait_for_clock()
        run.keep(str(root), path.relative_to(root).as_posix(), WHY)
        run.end(time.time())
    for number in range(KEPT_RUNS):
        a_run_that_keeps(root, f"test_{number}")
    assert (path / "fix.patch").exists() == (who == "a person")


def test_a_run_that_seems_to_have_ended_later_takes_no_newer_one_s_place(root: Path) -> None:
    """The clock was ahead then, as that of a virtual machine before it is set."""
    for number in range(KEPT_RUNS):
        a_run_that_keeps(root, f"ahead_{number}")
    later = time.time() + 7200
    for owner in (root / ".tempkeep" / "owners").iterdir():
        os.utime(owner, (later, later))
    a_run_that_keeps(root, "now")
    assert any("/now_" in f"/{path.rpartition('/')[2]}" for path in scanned(root))


def wait_for_clock() -> None:
    """Wait until a change has another time than what is there."""
    began = time.time()
    until(lambda: time.time() > began + 0.05, "a change shows in the times")
