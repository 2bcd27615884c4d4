"""Many sweepers of one root at once, while other processes make, use and leave entries there."""

from __future__ import annotations

import logging
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.temp.manager import TempManager
from common.temp.store.root.listing import list_leftovers
from tests.support import listing, make_project, outcomes, scanned, swept, working_in

SWEEPERS = 16
CREATORS = 4
CATEGORIES = ("debug", "cache", None, "own")
FILES = ("one", "a/two", "a/b/three")
DEADLINE = 120.0
"""Seconds in which processes that were told to stop must have ended."""


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: thousands of entries are made here."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    directory = Path(tempfile.mkdtemp(prefix="tempkeep-test-", dir=memory))
    yield directory
    shutil.rmtree(directory)


class Crowd:
    """Processes that do one kind of work over and over until they are told to stop."""

    def __init__(self, work: Callable[[int], Callable[[], None]], size: int, project: Path) -> None:
        """`work` makes, of the number of a process, what it does over and over in `project`."""
        self.work = work
        self.project = project
        self.errors = [project.parent / f"{work.__name__}-{number}" for number in range(size)]
        self._stopped = mmap.mmap(-1, 1)  # shared with them: not 0 as soon as they are to stop
        self._running = [self._start(number) for number in range(size)]

    def _start(self, number: int) -> int:
        child = os.fork()
        if child:
            return child
        try:
            # All that it says, logs or raises is an error.
            os.dup2(os.open(self.errors[number], os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - open to the end
            logging.basicConfig(force=True, stream=sys.stderr, level=logging.WARNING)
            os.chdir(self.project)
            work = self.work(number)
            while not self._stopped[0]:
                work()
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(1)

    def stop(self) -> str:
        """Tell them, wait until they have ended, and return what they complained of."""
        self._stopped[0] = 1
        deadline = time.monotonic() + DEADLINE
        while self._running:
            if os.waitpid(self._running[-1], os.WNOHANG)[0]:
                self._running.pop()
                continue
            assert time.monotonic() < deadline, f"{self.work.__name__}: does not end"
            time.sleep(0.001)
        return "".join(path.read_text() for path in self.errors)

    def kill(self) -> None:
        """End those that still run."""
        while self._running:
            child = self._running.pop()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def note(file: Path, *lines: str) -> None:
    """Append `lines`."""
    with open(file, "a") as journal:
        journal.writelines(f"{line}\n" for line in lines)


def noted(directory: Path) -> Counter[str]:
    """How often each line was noted in a file of `directory`."""
    return Counter(line for path in directory.iterdir() for line in path.read_text().splitlines())


def furnish(entry: Path) -> None:
    """Put files into `entry`."""
    (entry / "a" / "b").mkdir(parents=True)
    for name in FILES:
        (entry / name).write_text(name)


def is_whole(entry: Path) -> bool:
    """Whether all that `furnish` made is there."""
    return listing(entry) == sorted(["a", "a/b", *FILES]) and all(
        (entry / name).read_text() == name for name in FILES
    )


def crowded(base: Path, seconds: float) -> str:
    """What was counted while so many swept the root of one project and others worked there."""
    project = make_project(base / "project")
    root = project / ".tmp"
    made, reported, used, sweeps = (base / name for name in ("made", "reported", "used", "sweeps"))
    for directory in (made, reported, used, sweeps):
        directory.mkdir()

    def creator(number: int) -> Callable[[], None]:
        chance = random.Random(number)
        held = TempManager.create_persistent_dir(f"held-{number}", "own")
        furnish(held)
        note(made / f"{number}", held.relative_to(root).as_posix())  # left when this one ends
        count = 0

        def leave() -> None:
            """Make entries, end the use of some, and die without a word about the others."""
            with working_in(root, f"passing-{number}") as passing:
                furnish(passing)
            for index in range(chance.randint(1, 4)):
                category = chance.choice(CATEGORIES)
                # A label of its own: a path that dies twice could rightly be reported twice.
                dead = TempManager.create_persistent_dir(f"dead-{number}-{count}-{index}", category)
                note(made / f"{number}", dead.relative_to(root).as_posix())
                furnish(dead)
            with working_in(root, f"dying-{number}-{count}") as dead:
                note(made / f"{number}", dead.relative_to(root).as_posix())
                os.kill(os.getpid(), signal.SIGKILL)

        def create() -> None:
            nonlocal count
            count += 1
            with working_in(root, f"live-{number}") as live:
                furnish(live)
                child = os.fork()
                if child == 0:
                    try:
                        leave()
                    except BaseException:
                        traceback.print_exc(file=sys.stderr)
                    finally:
                        os._exit(1)
                assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
                time.sleep(chance.uniform(0, 0.05))
                assert is_whole(live), listing(live)
                assert is_whole(held), listing(held)
                note(used / f"{number}", f"{number} {count}")

        return create

    def sweeper(number: int) -> Callable[[], None]:
        def sweep() -> None:
            report = swept(root)
            note(reported / f"{number}", *(done.step.entry.path for done in report.done))
            note(sweeps / f"{number}", f"{number}")
            if report.failed or report.finished:
                # None was killed in its work, so whoever finishes a leftover took another's.
                print(outcomes(report), report.problems, report.finished, file=sys.stderr)

        return sweep

    crowds: list[Crowd] = []
    try:
        creators = Crowd(creator, CREATORS, project)
        crowds.append(creators)
        sweepers = Crowd(sweeper, SWEEPERS, project)
        crowds.append(sweepers)
        time.sleep(seconds)
        assert creators.stop() == ""
        assert sweepers.stop() == ""
    finally:
        for crowd in crowds:
            crowd.kill()
    dead, gone, left = noted(made), noted(reported), set(scanned(root))
    assert set(dead.values()) == {1}
    assert {path: times for path, times in gone.items() if times > 1} == {}
    assert set(gone) == set(dead) - left
    assert left <= set(dead)
    assert len(gone) > 0
    assert set(outcomes(swept(root))) == left
    assert scanned(root) == {}
    assert list_leftovers(root) == []
    return (
        f"{noted(sweeps).total()} sweeps; {len(dead)} dead entries, {len(gone)} of them deleted"
        f" once and reported by one sweeper, {len(left)} left for the next;"
        f" {noted(used).total()} times the live ones whole; no error"
    )


def test_many_sweepers_delete_each_dead_entry_once_and_no_live_one(
    base: Path, figure: Callable[[str], None]
) -> None:
    figure(f"3. {SWEEPERS} sweepers against {CREATORS} creators for 1 s: {crowded(base, 1)}")


@pytest.mark.slow
def test_many_sweepers_delete_each_dead_entry_once_and_no_live_one_for_long(
    base: Path, figure: Callable[[str], None]
) -> None:
    figure(f"3. {SWEEPERS} sweepers against {CREATORS} creators for 20 s: {crowded(base, 20)}")
