"""Processes that write to an entry while it is removed: nothing outside is lost or unreported."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import re
import signal
import stat
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.plan import Plan, Report
from common.temp.pins import pin
from common.temp.store.root.listing import list_leftovers
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import EVERYTHING, chain, outcomes, plain_user, scanned

MOST_REMOVALS = 2000
"""Far more than the tries take."""

ENDLESS = 60.0
"""Seconds after which a sweep counts as one that does not end."""

_RENAME_EXCHANGE = 2

Tamper = Callable[[], None]
Tamperer = Callable[[Path, int, random.Random], Tamper]
"""What makes, of the canary and an open entry, one try; a try that fails raises `OSError`."""


def tree(top: Path, depth: int) -> None:
    """Directories of four directories and three files each, one of the four read-only."""
    top.mkdir(parents=True)
    for number in range(3):
        (top / f"f{number}").write_text(f"{number}")
    for number in range(4 if depth else 0):
        tree(top / f"d{number}", depth - 1)
    if top.name == "d1":
        top.chmod(0o500)


def seen(top: Path) -> dict[str, tuple[int, object]]:
    """Every name below `top`, itself included, with its mode and content."""
    found: dict[str, tuple[int, object]] = {"": (top.lstat().st_mode, None)}
    for path in top.rglob("*"):
        mode = path.lstat().st_mode
        found[str(path)] = (mode, path.read_bytes() if stat.S_ISREG(mode) else None)
    return found


def opened(entry: int) -> list[tuple[int, str, int]]:
    """Each directory below the one that is open: open parent, name, open itself."""
    found: list[tuple[int, str, int]] = []
    pending = [entry]
    while pending:
        parent = pending.pop()
        with os.scandir(parent) as items:
            names = [item.name for item in items if item.is_dir(follow_symlinks=False)]
        for name in names:
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=parent)
            found.append((parent, name, descriptor))
            pending.append(descriptor)
    return found


class Tries:
    """A count that is shared with forked children: of tries, and whether they have begun."""

    def __init__(self) -> None:
        self._shared = memoryview(mmap.mmap(-1, 16)).cast("Q")

    @property
    def count(self) -> int:
        return self._shared[0]

    def add(self) -> None:
        self._shared[0] += 1

    @property
    def begun(self) -> bool:
        return bool(self._shared[1])

    @begun.setter
    def begun(self, yes: bool) -> None:
        self._shared[1] = yes


@contextmanager
def tampering(
    tamperer: Tamperer, entry: Path, canary: Path, seed: int, tries: Tries
) -> Iterator[None]:
    """Have a process tamper with `entry`, wherever it is moved, as fast as it can.

    It counts the tries that succeed while the entry is not in its place, so being removed.
    """
    said = canary.parent / "said"
    tries.begun = False
    child = os.fork()
    if child == 0:
        try:
            top = os.open(entry, os.O_RDONLY)
            home = os.stat("..", dir_fd=top).st_ino
            tamper = tamperer(canary, top, random.Random(seed))
            tries.begun = True
            while True:
                with suppress(OSError):
                    tamper()
                    if os.stat("..", dir_fd=top).st_ino != home:
                        tries.add()
        except BaseException:
            said.write_text(traceback.format_exc())
        finally:
            os._exit(1)
    try:
        deadline = time.monotonic() + ENDLESS
        while not tries.begun and not said.exists():
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not said.exists(), said.read_text()


def carried_out(plan: Plan) -> Report:
    """What became of `plan`, which must come to an end."""

    def ring(*_: object) -> None:
        raise TimeoutError("the sweep does not end")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, ENDLESS)
    try:
        with plain_user():
            return execute(plan)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


often = pytest.mark.parametrize("tries", [900, pytest.param(10_000, marks=pytest.mark.slow)])

DESPITE_ALL = EVERYTHING._replace(spare_in_use=False)
"""Who tampers with an entry has a directory of it open, and so uses it."""


def race(base: Path, tamperer: Tamperer, wanted: int) -> str:
    """Remove entries while `tamperer` is at them until it tried so often; what was counted."""
    canary, root = base / "canary", base / "project" / ".tmp"
    tree(canary, 2)
    beside = root / "debug" / "beside_1699990000"
    tree(beside, 1)
    pin(beside, "wanted")
    outside = seen(canary), seen(beside)
    tries = Tries()
    done = 0
    failed: Counter[str] = Counter()
    for number in range(MOST_REMOVALS):
        # In many removals, for it to go in different ways.
        if tries.count >= wanted and number >= wanted // 120:
            break
        entry = root / "debug" / f"x{number}_1699990000"
        path = entry.relative_to(root).as_posix()
        tree(entry, 3)
        chain(entry, 60)
        plan = prepare(root, DESPITE_ALL, time.time())
        with tampering(tamperer, entry, canary, number, tries):
            report = carried_out(plan)
        ((status, detail),) = (outcomes(report)[path],)
        assert list(outcomes(report)) == [path]
        if status == "done":
            assert detail == ""
            assert not os.path.lexists(entry)
            done += 1
        else:
            # Skipped only where the very entry was swapped in the instant of its claim.
            assert status == "failed" or detail.startswith("was replaced at this moment")
            elsewhere = re.search(r"; it.* is (.+) now", detail)
            assert os.path.lexists(entry.parent / elsewhere[1] if elsewhere else entry), detail
            reason = re.sub(r"(; it.* now)?(, and \d+ more)?$", "", detail).rpartition(": ")[2]
            assert reason
            failed[reason] += 1
        assert (seen(canary), seen(beside)) == outside
        clean = carried_out(prepare(root, EVERYTHING, time.time()))
        assert {status for status, _ in outcomes(clean).values()} <= {"done"}
        assert not clean.failed, clean.problems
        assert list(scanned(root)) == ["debug/beside_1699990000"]
        assert list_leftovers(root) == []
        assert (seen(canary), seen(beside)) == outside
    assert tries.count >= wanted
    reasons = ", ".join(f"{count} {reason!r}" for reason, count in sorted(failed.items()))
    return (
        f"{tries.count} tries during {done + failed.total()} removals, {done} done,"
        f" {failed.total()} failed{f' ({reasons})' if reasons else ''}, canary whole"
    )


@often
def test_a_writer_in_an_entry_that_is_removed_keeps_no_sweep_from_ending_and_is_reported(
    base: Path, figure: Callable[[str], None], tries: int
) -> None:
    def writer(_canary: Path, top: int, chance: random.Random) -> Tamper:
        places = [top, *(descriptor for _, _, descriptor in opened(top))]
        if chance.random() < 0.5:
            places = chance.sample(places, 3)  # written to without a pause
        count = 0

        def write() -> None:
            nonlocal count
            count += 1
            make = os.mknod if count % 20 else os.mkdir  # an open file would count as in use
            make(f"new{count}", dir_fd=chance.choice(places))

        return write

    figure(f"2. A writer in an entry that is removed: {race(base, writer, tries)}")


@often
def test_directories_that_are_renamed_while_they_are_removed_lead_no_sweep_outside(
    base: Path, figure: Callable[[str], None], tries: int
) -> None:
    def renamer(_canary: Path, top: int, chance: random.Random) -> Tamper:
        nodes = opened(top)
        count = 0

        def rename() -> None:
            nonlocal count
            count += 1
            number = chance.randrange(len(nodes))
            parent, name, itself = nodes[number]
            target, new = chance.choice(nodes)[2], f"moved{count}"
            os.rename(name, new, src_dir_fd=parent, dst_dir_fd=target)
            nodes[number] = target, new, itself

        return rename

    figure(f"2. One that renames directories in it: {race(base, renamer, tries)}")


@often
def test_directories_that_are_swapped_for_links_while_they_are_removed_lead_no_sweep_outside(
    base: Path, figure: Callable[[str], None], tries: int
) -> None:
    def swapper(canary: Path, top: int, chance: random.Random) -> Tamper:
        nodes = [(parent, name) for parent, name, _ in opened(top)]
        swap = exchanger()
        few = chance.random() < 0.5  # else so many that no removal can succeed
        if few:
            nodes = chance.sample(nodes, 5)
        for parent, name in nodes:
            with suppress(PermissionError):  # of one who is not root, in what is read-only
                os.symlink(canary, f"link-{name}", dir_fd=parent)
        home = os.stat("..", dir_fd=top).st_ino

        def again(parent: int, name: str) -> None:
            """Make anew what is missing of a directory and its link."""
            with suppress(FileExistsError):
                os.symlink(canary, f"link-{name}", dir_fd=parent)
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)

        def exchange_top() -> None:
            """Where it is held, the entry itself."""
            above = os.open("..", os.O_RDONLY, dir_fd=top)
            try:
                if os.fstat(above).st_ino != home:
                    itself = os.fstat(top).st_ino
                    with os.scandir(above) as items:
                        name = next(item.name for item in items if item.inode() == itself)
                    with suppress(FileExistsError):
                        os.symlink(canary, "link-top", dir_fd=above)
                    swap(above, name, "link-top")
            except StopIteration:
                raise FileNotFoundError from None
            finally:
                os.close(above)

        def exchange() -> None:
            if few and chance.random() < 0.001:
                exchange_top()
                return
            parent, name = chance.choice(nodes)
            try:
                swap(parent, name, f"link-{name}")
            except FileNotFoundError:
                if not few and chance.random() < 0.2:
                    again(parent, name)
                raise

        return exchange

    figure(
        f"2. One that swaps directories for links to a canary tree: {race(base, swapper, tries)}"
    )


def exchanger() -> Callable[[int, str, str], None]:
    """What lets two names in an open directory change places, at once where that can be done."""
    renameat2: Any = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)

    def at_once(parent: int, one: str, other: str) -> None:
        names = os.fsencode(one), os.fsencode(other)
        if renameat2(parent, names[0], parent, names[1], _RENAME_EXCHANGE):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def by_and_by(parent: int, one: str, other: str) -> None:
        here = {"src_dir_fd": parent, "dst_dir_fd": parent}
        os.rename(one, "aside", **here)
        os.rename(other, one, **here)
        os.rename("aside", other, **here)

    return at_once if renameat2 is not None else by_and_by
