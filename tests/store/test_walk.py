"""One walk over a tree: any depth, few descriptors."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.store import walk
from common.temp.store.allocation import make_root
from common.temp.store.scan import scan
from common.temp.store.walk import measure, newest_change
from tests.support import (
    age,
    chain,
    make_entry,
    only,
    run,
    swept,
)


@pytest.fixture
def few_descriptors(root: Path) -> Iterator[None]:
    """No more than 128 open files; what is left is too deep for pytest to clean up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    run(["rm", "-rf", str(root)], cwd=root.parent)


@pytest.mark.usefixtures("few_descriptors")
def test_a_chain_of_10_000_levels_is_measured_in_few_descriptors(root: Path) -> None:
    path = make_entry(root, "debug/x")
    chain(path, 10_000)
    entry = only(root)
    assert (entry.directories, entry.files, entry.unreadable) == (10_001, 2, None)
    assert entry.changed_in.endswith("/d/deepest") or entry.changed_in.endswith("/d")
    assert len(swept(root).done) == 1
    assert not path.exists()


@pytest.mark.usefixtures("few_descriptors")
def test_a_caterpillar_of_3_000_levels_is_measured_in_few_descriptors(root: Path) -> None:
    path = make_entry(root, "debug/x")
    chain(path, 3_000, pairs=True)
    entry = only(root)
    assert (entry.directories, entry.files, entry.unreadable) == (6_001, 3_002, None)
    assert len(swept(root).done) == 1
    assert not path.exists()


def test_the_newest_change_of_a_file_is_its_own(root: Path) -> None:
    make_root(str(root))
    (root / "log").write_text("")
    age(root / "log", 5)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        assert newest_change(descriptor, "log") == ((root / "log").stat().st_mtime_ns / 1e9, "")
    finally:
        os.close(descriptor)


def test_a_directory_that_is_moved_while_it_is_read_is_a_problem(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    chain(path, 120, pairs=True)
    deep = path / "/".join(["d"] * 60)
    real = walk._climb
    moved: list[Path] = []

    def climb(descriptor: int, levels: int) -> int:
        if not moved:
            moved.append((deep / "d").rename(path / "moved"))
        return real(descriptor, levels)

    monkeypatch.setattr(walk, "_climb", climb)
    inventory = scan(root, time.time())
    assert moved
    (problem,) = inventory.problems
    assert problem.what.startswith("moved while it was being read in d/d/d")
    assert inventory.entries[0].unreadable == problem.what


def test_measuring_leaves_its_descriptor_open_and_no_other(root: Path) -> None:
    path = make_entry(root, "debug/x")
    chain(path, 100, pairs=True)
    descriptor = os.open(path, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    assert measure(descriptor).directories == 201
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(descriptor)
