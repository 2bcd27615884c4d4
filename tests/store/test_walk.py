"""One walk over a tree: any depth, few descriptors."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.store.root.making import make_root
from common.temp.store.scanning.scan import scan
from common.temp.store.system import at
from common.temp.store.system.mounts import counts_subdirectories
from common.temp.store.trees.measured import Measured
from common.temp.store.trees.measured_path import look_inside, newest_change
from common.temp.store.trees.walk import Sharing, Unfinished, measure
from tests.support import age, chain, make_entry, mounted, only, run, swept, tree


@pytest.fixture
def few_descriptors(root: Path) -> Iterator[None]:
    """No more than 128 open files; what is left is too deep for pytest to clean up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    run(["rm", "-rf", str(root)], cwd=root.parent)


@pytest.mark.usefixtures("few_descriptors")
def test_a_chain_of_3_000_levels_is_measured_in_few_descriptors(root: Path) -> None:
    path = make_entry(root, "debug/x")
    chain(path, 3_000)
    entry = only(root)
    assert (entry.directories, entry.files, entry.unreadable) == (3_001, 2, None)
    assert entry.changed_in.endswith("/d/deepest") or entry.changed_in.endswith("/d")
    assert len(swept(root).done) == 1
    assert not path.exists()


@pytest.mark.usefixtures("few_descriptors")
def test_a_caterpillar_of_1_200_levels_is_measured_in_few_descriptors(root: Path) -> None:
    path = make_entry(root, "debug/x")
    chain(path, 1_200, pairs=True)
    entry = only(root)
    assert (entry.directories, entry.files, entry.unreadable) == (2_401, 1_202, None)
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
    real = at.open
    moved: list[Path] = []

    def opening(name: Path | str, *arguments: int, **where: int) -> int:
        if name == ".." and not moved:
            moved.append((deep / "d").rename(path / "moved"))
        return real(name, *arguments, **where)

    monkeypatch.setattr(at, "open", opening)
    inventory = scan(root, time.time(), workers=1)
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


def open_tree(top: Path) -> int:
    return os.open(top, os.O_RDONLY | os.O_DIRECTORY)


def measured(top: Path, **options: Any) -> Measured:
    descriptor = open_tree(top)
    try:
        return measure(descriptor, **options)
    finally:
        os.close(descriptor)


def test_a_change_that_is_new_enough_ends_the_walk_at_once(tmp_path: Path) -> None:
    top = tree(tmp_path / "top")
    age(top, 99)
    (top / "d2" / "d1" / "fresh").write_text("")
    seen = measured(top, enough_ns=time.time_ns() - 3600 * 10**9)
    assert seen.partial
    assert seen.changed_in.startswith("d2/d1")
    assert seen.directories < measured(top).directories / 2


def test_without_a_change_that_is_new_enough_everything_is_measured(tmp_path: Path) -> None:
    top = tree(tmp_path / "top")
    age(top, 99)
    seen = measured(top, enough_ns=time.time_ns() - 3600 * 10**9)
    assert not seen.partial
    assert seen.pack() == measured(top).pack()


def test_a_file_that_was_only_written_to_is_found_in_a_directory_that_is_old(
    tmp_path: Path,
) -> None:
    top = tree(tmp_path / "top")
    age(top, 99)
    os.utime(top / "d3" / "d0" / "d1" / "f2")
    seen = measured(top, enough_ns=time.time_ns() - 3600 * 10**9)
    assert (seen.partial, seen.changed_in) == (True, "d3/d0/d1/f2")


def test_a_link_to_what_is_new_does_not_count_as_new(tmp_path: Path) -> None:
    top = tree(tmp_path / "top", depth=1)
    (tmp_path / "new").write_text("")
    (top / "link").symlink_to(tmp_path / "new")
    age(top, 99)
    seen = measured(top, enough_ns=time.time_ns() - 3600 * 10**9)
    assert not seen.partial


def test_a_walk_whose_time_is_over_stops_and_keeps_no_descriptor(tmp_path: Path) -> None:
    top = tree(tmp_path / "top")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Unfinished):
        measured(top, is_over=lambda: True)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("depth", [3, 70])
def test_parts_that_are_given_away_add_up_to_the_whole(tmp_path: Path, depth: int) -> None:
    top = tree(tmp_path / "top")
    chain(top, depth, pairs=True)
    os.link(top / "f0", top / "d1" / "linked")
    os.link(top / "d2" / "f1", tmp_path / "outside")
    given: list[tuple[int, str]] = []
    total = measured(
        top,
        sharing=Sharing(lambda: True, lambda fd, path: given.append((os.dup(fd), path)) or True),  # type: ignore[func-returns-value]
    )
    assert given
    for descriptor, path in given:
        total.add(measure(descriptor, where=path))
        os.close(descriptor)
    assert total.pack() == measured(top).pack()
    assert [(one.names, one.met, one.size) for one in total.links] == [(2, 1, 8192)]


def test_what_nobody_takes_is_walked_all_the_same(tmp_path: Path) -> None:
    top = tree(tmp_path / "top")
    sharing = Sharing(lambda: True, lambda fd, path: False)
    assert measured(top, sharing=sharing).pack() == measured(top).pack()


def test_of_changes_at_the_same_instant_always_the_same_is_named(tmp_path: Path) -> None:
    top = tree(tmp_path / "top", depth=1)
    os.link(top / "f0", top / "d1" / "linked")
    age(top, 5)
    whole = measured(top)
    part = measured(top / "d1", where="d1")
    part.add(Measured.unpack(whole.pack()))
    assert part.newness == whole.newness


# -- what is inside -------------------------------------------------------------------------------


@pytest.fixture(params=["disk", "tmpfs"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A directory on a filesystem whose directories count their subdirectories, and on another."""
    if request.param == "disk":
        yield tmp_path
        return
    with mounted(tmp_path / "m", "size=1m") as directory:
        yield directory


def test_a_look_at_names_finds_the_roots_and_repositories_that_a_whole_walk_finds(
    anywhere: Path,
) -> None:
    top = anywhere / "top"
    for path in ("clone/.git/objects", "clone/.git/refs", "bare/objects", "bare/refs"):
        (top / path).mkdir(parents=True)
    for path in ("service/.tempkeep/owners", "odd/HEAD", "odd/objects", "odd/refs", "half/refs"):
        (top / path).mkdir(parents=True)
    for path in ("linked", "deep/er/linked", "plain/HEAD.d", "no/.tempkeep.d"):
        (top / path).mkdir(parents=True)
    for path in ("clone/.git/HEAD", "bare/HEAD", "half/HEAD", "plain/HEAD", "linked/.git"):
        (top / path).touch()
    (top / "deep/er/linked/.git").symlink_to("nowhere")
    (top / "no/.tempkeep").touch()
    parent = open_tree(anywhere)
    try:
        found = look_inside(parent, "top")
    finally:
        os.close(parent)
    assert found == measured(top).inside
    assert found.roots == ("service",)
    assert found.repositories == ("bare", "clone", "deep/er/linked", "linked")


def test_only_a_known_filesystem_is_taken_to_count_subdirectories(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", "size=64k") as directory:
        for path, counts in ((directory, True), (Path("/proc"), False)):
            descriptor = open_tree(path)
            assert counts_subdirectories(descriptor) is counts
            os.close(descriptor)
    assert not counts_subdirectories(1 << 20)  # not open
