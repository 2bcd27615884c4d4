"""Deleting with workers: everything goes, counts are right, and a dead worker costs only time."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from common.temp.store.claiming.claim import Held
from common.temp.store.claiming.many_removals import Freed, Remover
from common.temp.store.system.at import DIRECTORY_FLAGS
from common.temp.store.trees import removed
from common.temp.store.workers.crew import processors
from tests.store.children import children_of, descriptors, has_children, in_child
from tests.support import IMMUTABLE, immutable, in_holding, listing, outcomes, scanned, swept

SEVERAL = min(2, processors())
COUNT = 20
alone_and_shared = pytest.mark.parametrize("workers", [1, 4])


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: thousands of files are made here."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    directory = Path(tempfile.mkdtemp(prefix="tempkeep-test-", dir=memory))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def fill_with(directory: Path, files: int, *, content: bytes = b"") -> Path:
    """So many files in `directory`, which is made; the first ones have `content`."""
    directory.mkdir(parents=True)
    parent = os.open(directory, os.O_RDONLY)
    for number in range(files):
        os.mknod(f"file{number}", dir_fd=parent)
    os.close(parent)
    for number in range(min(files, 50) if content else 0):
        (directory / f"file{number}").write_bytes(content)
    return directory


def entries(top: Path, count: int = COUNT, files: int = 600) -> Path:
    """So many that one process is at it for several times as long as a sweep stays alone."""
    for number in range(count):
        fill_with(top / f"e{number}", files, content=b"x" * 5000)
    return top


def nested(top: Path, depth: int) -> int:
    """A tree that is narrow and wide by turns; how many directories it has."""
    fill_with(top, 10, content=b"x")
    if not depth:
        return 1
    return 1 + sum(nested(top / f"d{number}", depth - 1) for number in range(1 + depth % 2 * 7))


class Size(NamedTuple):
    files: int = 0
    directories: int = 0
    freed: int = 0


def size_of(top: Path) -> Size:
    """What is in `top`; each file's bytes once, and only if it has no other name elsewhere."""
    names: dict[int, int] = {}
    seen: dict[int, os.stat_result] = {}
    files = directories = freed = 0
    for above, _, inside in os.walk(top):
        if above != str(top):
            directories += 1
            freed += os.lstat(above).st_blocks * 512
        for name in inside:
            status = os.lstat(os.path.join(above, name))
            files += 1
            names[status.st_ino] = names.get(status.st_ino, 0) + 1
            seen[status.st_ino] = status
    freed += sum(
        status.st_blocks * 512 for inode, status in seen.items() if names[inode] == status.st_nlink
    )
    return Size(files, directories, freed)


class Done(NamedTuple):
    """What became of the trees in a directory, and who helped."""

    size: Size
    failures: list[tuple[str, str]]
    names: list[str]
    most_children: int
    most_threads: int


@contextlib.contextmanager
def held_in(top: Path) -> Iterator[Iterator[Held]]:
    """All that lies in `top`, as if it had been claimed."""
    holding = os.open(top, DIRECTORY_FLAGS)
    names = sorted(os.listdir(top))
    try:
        yield (Held(top, holding, name, contextlib.ExitStack()) for name in names)
    finally:
        os.close(holding)


def removed_from(
    top: Path, workers: int | None = None, meanwhile: Callable[[list[int]], None] | None = None
) -> Done:
    """Delete all that lies in `top`, in this process; `meanwhile` hears who works for it."""
    children = threads = 0

    def on_freed(files: int, size: int) -> None:
        nonlocal children, threads
        mine = children_of(os.getpid())
        children, threads = max(children, len(mine)), max(threads, threading.active_count())
        if meanwhile is not None:
            meanwhile(mine)

    freed = files = directories = 0
    failures: list[tuple[str, str]] = []
    names = []
    with held_in(top) as targets:
        for held, removed in Remover(workers, on_freed).remove(targets):
            names.append(held.held)
            freed += removed.freed_bytes
            files += removed.files
            directories += removed.directories
            failures += removed.failures
    return Done(Size(files, directories, freed), failures, sorted(names), children, threads)


# -- what is deleted, and what is said of it ------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4, None])
def test_many_big_entries_are_deleted_whole_and_counted_as_they_were_seen(
    base: Path, workers: int | None
) -> None:
    entries(base / "top")
    size = size_of(base / "top")
    assert size[:2] == (COUNT * 600, COUNT)
    done = in_child(lambda: removed_from(base / "top", workers))
    assert done.size == size
    assert done.failures == []
    assert done.names == sorted(f"e{number}" for number in range(COUNT))
    assert listing(base / "top") == []
    assert (done.most_children > 0) is (workers != 1)


@alone_and_shared
def test_one_directory_with_very_many_files_is_shared(base: Path, workers: int | None) -> None:
    fill_with(base / "top" / "wide", 15_000, content=b"x" * 5000)
    size = size_of(base / "top")
    done = in_child(lambda: removed_from(base / "top", workers))
    assert (done.size, done.failures, done.names) == (size, [], ["wide"])
    assert listing(base / "top") == []
    assert (done.most_children >= SEVERAL) is (workers != 1)


@alone_and_shared
def test_one_entry_with_many_nested_directories_is_shared(base: Path, workers: int | None) -> None:
    directories = nested(base / "top" / "deep", 6)
    size = size_of(base / "top")
    assert size.directories == directories
    done = in_child(lambda: removed_from(base / "top", workers))
    assert (done.size, done.failures) == (size, [])
    assert listing(base / "top") == []
    assert (done.most_children >= SEVERAL) is (workers != 1)


def test_a_sweep_with_workers_says_what_one_without_says(root: Path, base: Path) -> None:
    def sweep(name: str, workers: int) -> tuple[dict[str, tuple[str, str]], dict[str, int]]:
        report = swept(base / name, workers=workers)
        return outcomes(report), {
            done.step.entry.path: done.freed_bytes for done in report.outcomes
        }

    said = []
    for name, workers in (("one", 1), ("four", 4)):
        entries(base / name / "debug", 8, 1200)
        said.append(in_child(lambda name=name, workers=workers: sweep(name, workers)))  # type: ignore[misc]
        assert scanned(base / name) == {}
        assert in_holding(base / name) == []
    assert said[0] == said[1]
    assert set(said[0][0].values()) == {("done", "")}


def test_what_lies_in_the_root_beside_the_entries_that_go_stays(base: Path) -> None:
    entries(base / "top", 10, 600)
    fill_with(base / "beside", 100)
    os.symlink("../../beside", base / "top" / "e3" / "link")
    in_child(lambda: removed_from(base / "top", 4))
    assert len(listing(base / "beside")) == 100


# -- hard links -----------------------------------------------------------------------------------


@alone_and_shared
def test_hard_links_between_directories_and_between_entries_free_their_bytes_once(
    base: Path, workers: int | None
) -> None:
    chance = random.Random(0)
    places = [
        fill_with(base / "top" / f"e{entry}" / f"d{number}", 300)
        for entry in range(5)
        for number in range(4)
    ]
    for number in range(500):
        first = chance.choice(places) / f"shared{number}"
        first.write_bytes(b"x" * 5000)
        for other in range(chance.randrange(1, 5)):
            os.link(first, chance.choice(places) / f"shared{number}.{other}")
    size = size_of(base / "top")
    assert size.freed >= 500 * 8192
    done = in_child(lambda: removed_from(base / "top", workers))
    assert done.size == size
    assert listing(base / "top") == []


@alone_and_shared
def test_what_has_a_name_elsewhere_frees_nothing(base: Path, workers: int | None) -> None:
    (base / "outside").mkdir()
    for entry in range(4):
        fill_with(base / "top" / f"e{entry}", 1500)
        for number in range(150):
            path = base / "outside" / f"{entry}.{number}"
            path.write_bytes(b"x" * 5000)
            os.link(path, base / "top" / f"e{entry}" / f"link{number}")
            os.link(path, base / "top" / f"e{(entry + 1) % 4}.link{number}")
    size = size_of(base / "top")
    done = in_child(lambda: removed_from(base / "top", workers))
    assert done.size == size
    assert size.freed < 150 * 8192
    assert len(listing(base / "outside")) == 600


def test_only_so_many_files_with_other_names_are_remembered(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removed, "_LINKS_KEPT", 100)
    (base / "outside").mkdir()
    for entry in range(3):
        fill_with(base / "top" / f"e{entry}", 1500)
        for number in range(1500):
            os.link(
                base / "top" / f"e{entry}" / f"file{number}", base / "outside" / f"{entry}.{number}"
            )

    def run() -> tuple[int, int]:
        remover = Remover(4)
        most = 0
        with held_in(base / "top") as targets:
            for _, removed in remover.remove(targets):
                most = max(most, len(removed.links))
        return most, len(remover._links.links)

    most, kept = in_child(run)
    assert most <= 100
    assert kept == 100
    assert listing(base / "top") == []


# -- whoever dies or cannot go on -----------------------------------------------------------------


@pytest.mark.parametrize("signalled", [1, 20])
def test_workers_that_are_killed_in_the_middle_leave_nothing_undone(
    base: Path, signalled: int
) -> None:
    def run() -> tuple[Done, int]:
        killed: set[int] = set()

        def kill(children: list[int]) -> None:
            for pid in children:
                if len(killed) < signalled:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)

        return removed_from(base / "top", 4, kill), len(killed)

    entries(base / "top")
    done, killed = in_child(run)
    assert killed > 0
    assert done.failures == []
    assert done.names == sorted(f"e{number}" for number in range(COUNT))
    assert listing(base / "top") == []


def test_a_sweep_whose_workers_are_killed_has_done_all_the_same(base: Path) -> None:
    root = base / ".tmp"
    entries(root / "debug", 10, 1200)

    def run() -> dict[str, tuple[str, str]]:
        killed: set[int] = set()

        def kill(files: int, size: int) -> None:
            for pid in children_of(os.getpid()):
                if len(killed) < 3:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)

        report = sweep(root, kill)
        assert killed
        return report

    assert set(in_child(run).values()) == {("done", "")}
    assert scanned(root) == {}
    assert in_holding(root) == []


def sweep(root: Path, on_freed: Freed) -> dict[str, tuple[str, str]]:
    from common.temp.store.sweep.prepare import prepare
    from common.temp.store.sweep.sweep import execute
    from tests.support import EVERYTHING, NOW

    plan = prepare(root, EVERYTHING, NOW)
    return outcomes(execute(plan, on_freed=on_freed, workers=4))


def test_what_cannot_be_deleted_in_a_shared_tree_is_one_failure_and_the_entry_is_back(
    root: Path,
) -> None:
    place = root / "debug" / "x"
    for number in range(12):
        fill_with(place / f"d{number}" / "in", 600)
    deepest = place / "d5" / "in" / "a" / "b" / "c"
    fill_with(deepest, 3)
    fill_with(root / "debug" / "y", 3000)
    most = [0]

    def run() -> tuple[dict[str, tuple[str, str]], int]:
        def on_freed(files: int, size: int) -> None:
            most[0] = max(most[0], len(children_of(os.getpid())))

        return sweep(root, on_freed), most[0]

    with immutable(deepest / "file1"):
        said, children = in_child(run)
        assert children > 0
        assert said == {
            "debug/x": ("failed", f"d5/in/a/b/c/file1: {IMMUTABLE}"),
            "debug/y": ("done", ""),
        }
        assert listing(place)[-1] == "d5/in/a/b/c/file1"
        assert len(listing(place)) == 6
        assert in_holding(root) == []


def test_several_that_cannot_be_deleted_are_counted_once_each(root: Path) -> None:
    place = root / "debug" / "x"
    for number in range(12):
        fill_with(place / f"d{number}" / "in", 600)
    with (
        immutable(place / "d2" / "in" / "file1"),
        immutable(place / "d5" / "in" / "file1"),
        immutable(place / "d9" / "in" / "file1"),
    ):
        ((status, detail),) = in_child(lambda: sweep(root, lambda files, size: None)).values()
        assert status == "failed"
        assert detail.endswith(
            "in/file1: Operation not permitted (it is immutable), and 2 more; chattr -i it"
        )


def test_a_ctrl_c_in_the_middle_leaves_no_process_and_the_next_sweep_finishes(
    base: Path, canary: Path
) -> None:
    root = base / ".tmp"
    entries(root / "debug", 10, 1200)
    (root / "debug" / "e3" / "link").symlink_to(canary)

    def interrupted() -> int:
        def on_freed(files: int, size: int) -> None:
            if children_of(os.getpid()):
                raise KeyboardInterrupt

        before = descriptors()
        with pytest.raises(KeyboardInterrupt):
            sweep(root, on_freed)
        assert not has_children()
        assert descriptors() == before
        return len(in_holding(root))

    assert in_child(interrupted) > 0
    report = swept(root)
    assert report.finished > 0
    assert {outcome.status for outcome in report.outcomes} <= {"done"}
    assert scanned(root) == {}
    assert in_holding(root) == []


def test_closing_early_leaves_no_process_and_no_descriptor(base: Path) -> None:
    entries(base / "top")

    def run() -> None:
        before = descriptors()
        with held_in(base / "top") as targets:
            removals = Remover(4).remove(targets)
            for _ in range(3):
                next(removals)
            removals.close()
            assert not has_children()
        assert descriptors() == before

    in_child(run)
    assert listing(base / "top") != []
    assert in_child(lambda: removed_from(base / "top", 4)).failures == []
    assert listing(base / "top") == []


def test_a_remover_can_be_used_again(base: Path) -> None:
    def run() -> list[int]:
        remover = Remover(4)
        counts = []
        for name in ("one", "two", "three"):
            with held_in(base / name) as targets:
                counts.append(sum(removed.files for _, removed in remover.remove(targets)))
            assert not has_children()
        return counts

    for name in ("one", "two", "three"):
        entries(base / name, 5, 1200)
    assert in_child(run) == [6000] * 3


# -- threads --------------------------------------------------------------------------------------


def test_in_a_process_with_another_thread_threads_help_and_nothing_is_forked(base: Path) -> None:
    entries(base / "top")
    size = size_of(base / "top")

    def run() -> Done:
        end = threading.Event()
        threading.Thread(target=end.wait).start()
        try:
            done = removed_from(base / "top", 4)
        finally:
            end.set()
        return done

    done = in_child(run)
    assert (done.size, done.failures) == (size, [])
    assert listing(base / "top") == []
    assert done.most_children == 0
    assert done.most_threads > 2


def test_with_one_worker_there_is_neither_a_process_nor_a_thread(base: Path) -> None:
    entries(base / "top", 10, 600)
    done = in_child(lambda: removed_from(base / "top", 1))
    assert (done.most_children, done.most_threads) == (0, 1)
    assert listing(base / "top") == []


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_there_are_never_more_workers_than_were_asked_for(base: Path, workers: int) -> None:
    entries(base / "top")
    done = in_child(lambda: removed_from(base / "top", workers))
    assert 0 < done.most_children <= workers


def test_little_is_deleted_without_any_help(base: Path) -> None:
    most_children = []
    for run in range(8):  # what is little takes long on a machine that is busy
        for number in range(20):
            fill_with(base / f"top{run}" / f"e{number}", 3)
        top = base / f"top{run}"
        done = in_child(lambda top=top: removed_from(top))  # type: ignore[misc]
        most_children.append(done.most_children)
        assert listing(top) == []
    assert 0 in most_children
