"""A sweep killed at any instant: the root stays consistent, and the next sweep finishes it."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import stat
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.temp.core.entry import Entry
from common.temp.pins import pin
from common.temp.store.root.allocation import allocate
from common.temp.store.root.listing import list_leftovers
from common.temp.store.scanning.scan import scan
from tests.support import outcomes, plain_user, swept

ENTRIES = 30
LIVE = 8
PINNED = 2
CALM = 3
"""Rounds without a kill, which tell how long a sweep takes."""

ENDLESS = 60.0
"""Seconds after which a sweep counts as one that does not end."""

DEADLINE = 5.0
"""Seconds in which the workers of a sweep that was killed must have ended as well."""

_SET_CHILD_SUBREAPER = 36

Seen = dict[str, tuple[object, ...]]


def seen(top: Path, *, modes: bool = True) -> Seen:
    """Every name below `top`, with its kind and content, and with its mode if `modes`."""
    found: Seen = {}
    pending = [""]
    while pending:
        above = pending.pop()
        with os.scandir(top / above) as items:
            for item in items:
                name = f"{above}{item.name}"
                mode = item.stat(follow_symlinks=False).st_mode
                inside: object = None
                if item.is_symlink():
                    inside = os.readlink(item.path)
                elif item.is_dir():
                    pending.append(f"{name}/")
                else:
                    with open(item.path, "rb") as file:
                        inside = file.read()
                found[name] = (mode if modes else stat.S_IFMT(mode), inside)
    return found


def fill_entry(entry: Path, number: int, canary: Path) -> None:
    """Files and nested directories, a link and hard links to what is outside and beside it; some
    hold a few files and nothing else, and are taken many at a time.
    """
    if number >= ENTRIES // 2:
        entry.mkdir(exist_ok=True)
        (entry / "file").write_text(f"file {number}")
        (entry / "link").symlink_to(canary)
        os.link(canary / "shared", entry / "outside")
        return
    (entry / "a" / "b").mkdir(parents=True)
    (entry / "a" / "b" / "deep").write_text(f"deep {number}")
    (entry / "file").write_text(f"file {number}")
    (entry / "link").symlink_to(canary)
    os.link(canary / "shared", entry / "a" / "outside")
    if number % 2:
        os.link(canary.parent / "between", entry / "between")
    if number % 5 == 0:
        (entry / "closed").mkdir()
        (entry / "closed" / "file").write_text("closed")
        (entry / "closed").chmod(0o500)
    if number % 10 == 0:
        entry.chmod(0o500)


class Sweeps:
    """Sweeps of one root, each in a process and a process group of its own."""

    def __init__(self, base: Path) -> None:
        self.root = base / "project" / ".tmp"
        self.canary = base / "canary"
        self.said = base / "said"

    def start(self) -> int:
        """The pid of a process that sweeps, for which file permissions count."""

        def sweep() -> None:
            with plain_user():
                report = swept(self.root)
            self.said.write_text(
                json.dumps(
                    {
                        "outcomes": outcomes(report),
                        "failed": report.failed,
                        "finished": report.finished,
                        "problems": report.problems,
                    }
                )
            )

        self.said.unlink(missing_ok=True)
        return self.forked(sweep)

    def forked(self, work: Callable[[], None]) -> int:
        """The pid of a child that does `work` in a process group of its own, and dies."""
        child = os.fork()
        if child == 0:
            try:
                os.setpgid(0, 0)
                work()
                os._exit(0)
            except BaseException:
                self.said.write_text(traceback.format_exc())
            finally:
                os._exit(1)
        with suppress(OSError):  # whoever comes first
            os.setpgid(child, child)
        return child

    def told(self) -> dict[str, Any]:
        """What the sweep that has ended said that it did."""
        text = self.said.read_text()
        assert text.startswith("{"), text
        told: dict[str, Any] = json.loads(text)
        return told

    def finish(self) -> dict[str, Any]:
        """A whole sweep; what it said."""
        assert reap(self.start()).status == 0, self.told()
        return self.told()

    def build(self, number_of: int) -> None:
        """So many entries nobody needs: some made by a process that died, some by `mkdir`."""
        between = self.canary.parent / "between"

        def make() -> None:
            between.write_text("between")
            for number in range(number_of):
                if number % 2:
                    entry = Path(
                        allocate(str(self.root), ("debug", "own")[number % 4 > 1], f"no{number}")
                    )
                else:
                    entry = self.root / "work" / f"no{number}_1699990000"
                    entry.mkdir(parents=True)
                fill_entry(entry, number, self.canary)
            between.unlink()

        assert reap(self.forked(make)).status == 0, self.said.read_text()


@contextmanager
def subreaper() -> Iterator[None]:
    """Orphans of the processes that this one starts become its children, for it to wait for."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None or prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        pytest.skip("the workers of a killed sweep cannot be waited for here (prctl)")
    try:
        yield
    finally:
        prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def children_of(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Ended(NamedTuple):
    """How the main process of a sweep ended, and when."""

    status: int
    at: float


def reap(main: int) -> Ended:
    """Wait until the sweep's group has no process any more: its workers may outlive it a bit."""
    status, at = 0, 0.0
    deadline = time.monotonic() + ENDLESS
    while True:
        try:
            pid, said = os.waitpid(-main, os.WNOHANG)
        except ChildProcessError:
            return Ended(status, at)
        if pid == main:
            status, at = said, time.monotonic()
            deadline = at + DEADLINE
        if pid == 0:
            if time.monotonic() > deadline:
                os.killpg(main, signal.SIGKILL)
                pytest.fail("a worker outlives its sweep" if at else "the sweep does not end")
            time.sleep(0.002)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
@pytest.mark.parametrize("rounds", [14, pytest.param(400, marks=pytest.mark.slow)])
def test_a_sweep_that_is_killed_at_any_point_loses_nothing_and_the_next_one_ends_it(
    base: Path, figure: Callable[[str], None], rounds: int
) -> None:
    with plain_user():
        pass  # skips here, not in a child, where that cannot be done
    chance = random.Random(200)
    canary = base / "canary"
    (canary / "deep" / "er").mkdir(parents=True)
    (canary / "deep" / "er" / "file").write_text("whole")
    (canary / "shared").write_text("shared")
    outside = seen(canary)
    sweeps = Sweeps(base)
    root = sweeps.root
    root.parent.mkdir()
    kept: dict[str, Seen] = {}
    (base / "between").write_text("between")
    for number in range(LIVE + PINNED):
        if number < LIVE:
            entry = Path(allocate(str(root), ("cache", None)[number % 2], "live"))
        else:
            entry = root / "debug" / f"pinned{number}_1699990000"
            entry.mkdir(parents=True)
            pin(entry, "wanted")
        fill_entry(entry, number, canary)
        kept[entry.relative_to(root).as_posix()] = seen(entry)
    (base / "between").unlink()

    def look() -> dict[str, Entry]:
        """What a scan sees: nothing amiss, and of each entry all."""
        inventory = scan(root, time.time())
        assert [problem for problem in inventory.problems if problem.blocking] == []
        assert not any(leftover.being_freed for leftover in inventory.leftovers)
        assert {path: seen(root / path) for path in kept} == kept
        return {entry.path: entry for entry in inventory.entries if entry.path not in kept}

    def content(entry: Entry) -> Seen:
        # Without modes: what is read-only is made writable just before it is moved aside.
        return seen(root / entry.path, modes=False)

    def done(told: dict[str, Any]) -> bool:
        return {status for status, _ in told["outcomes"].values()} <= {"done"}

    killed = workers = finished = 0
    took: list[float] = []
    with subreaper():
        sweeps.build(ENTRIES - len(kept))
        whole = {entry.label: content(entry) for entry in look().values()}
        assert len(whole) == ENTRIES - len(kept)
        assert done(sweeps.finish())
        for number in range(CALM + rounds):
            sweeps.build(len(whole))
            start = time.monotonic()
            main = sweeps.start()
            if number < CALM:
                took.append(reap(main).at - start)
                assert done(sweeps.told())
                continue
            time.sleep(chance.uniform(0, statistics.median(took[-CALM:])))
            how = ("main", "main", "group", "worker")[number % 4]
            children = children_of(main) if how == "worker" else []
            if children:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(children), signal.SIGKILL)
                    workers += 1
                assert reap(main).status == 0, sweeps.said.read_text()
                assert done(sweeps.told())
            else:
                (os.killpg if how == "group" else os.kill)(main, signal.SIGKILL)
                ended = reap(main)
                if os.WIFSIGNALED(ended.status):
                    killed += 1
                else:
                    took.append(ended.at - start)  # sweeps take less time by now
            for left in look().values():
                assert content(left) == whole[left.label], "half an entry is listed"
            told = sweeps.finish()
            assert done(told)
            assert (told["failed"], told["problems"]) == (False, [])
            finished += told["finished"]
            if back := look():
                # What the killed one had only moved aside came back, and the next plan has it.
                assert len(back) == 1 or not any(one.directories > 1 for one in back.values())
                assert all(content(left) == whole[left.label] for left in back.values())
                assert done(sweeps.finish())
            assert look() == {}
            assert list_leftovers(root) == []
            assert seen(canary) == outside
    assert killed + workers > rounds / 2, "the kills came too late"
    figure(
        f"1. SIGKILL at {rounds} points of a sweep over {ENTRIES} entries ({killed} before its end,"
        f" {workers} of a worker alone): {rounds} times consistent, {finished} leftovers finished,"
        " 0 live entries lost, 0 canary files touched"
    )
