"""Filesystems mounted in a tree at the last instant are not entered, bind mounts included.

A bind mount on the same filesystem has the same device, and a mount table that was read before it
was made does not list it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.temp.store.artefacts import artefacts
from common.temp.store.artefacts.finding import find_artefacts
from common.temp.store.claiming.area import claimed
from common.temp.store.project.tracked import Tracked
from common.temp.store.trees.removal import Removal, remove_at
from tests.support import identity, listing, make_entry, run, tree

MOUNTED = "another filesystem is mounted here; unmount it first"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A directory with somebody's work, and an empty one in it."""
    make_entry(tmp_path, "thesis")
    (tmp_path / "thesis" / "figures").mkdir()
    return tmp_path / "thesis"


@contextmanager
def bound(source: Path, place: Path) -> Iterator[None]:
    """`source` is mounted at `place` as well; skips where we may not mount."""
    place.mkdir(parents=True, exist_ok=True)
    if run(["mount", "--bind", str(source), str(place)], cwd=source).returncode:
        pytest.skip("cannot bind-mount")
    try:
        yield
    finally:
        run(["umount", "--lazy", str(place)], cwd=source)


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    """The directory, opened."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_removal_does_not_enter_it(tmp_path: Path, work: Path) -> None:
    top = tree(tmp_path / "top", depth=1)
    with opened(tmp_path) as parent:
        with bound(work, top / "d1" / "m"):
            assert remove_at(parent, "top").failures == [("d1/m", MOUNTED)]
            assert listing(work) == ["figures", "file0.txt"]
            assert listing(top / "d1") == ["m", "m/figures", "m/file0.txt"]
        assert remove_at(parent, "top").failures == []
    assert not top.exists()
    assert listing(work) == ["figures", "file0.txt"]


def test_a_removal_does_not_take_it_for_the_top(tmp_path: Path, work: Path) -> None:
    with opened(tmp_path) as parent, bound(work, tmp_path / "top"):
        assert remove_at(parent, "top").failures == [("", MOUNTED)]
        assert listing(work) == ["figures", "file0.txt"]


def test_a_removal_gives_it_to_no_other(tmp_path: Path, work: Path) -> None:
    top = tmp_path / "top"
    given: list[object] = []

    def give(removal: Removal) -> bool:
        given.append(removal.give_away())
        return True

    with bound(work, top / "m"), opened(tmp_path) as parent:
        (top / "d").mkdir()
        (top / "d" / "file").touch()
        removal = Removal(give)
        removal.remove(parent, "top")
        assert removal.removed.failures == [("m", MOUNTED)]
        assert set(given) == {None}
        assert listing(work) == ["figures", "file0.txt"]


def test_an_artefact_in_which_it_is_made_after_the_look_keeps_it(
    tmp_path: Path, project: Path, work: Path
) -> None:
    make_entry(project, "build")
    found = find_artefacts(project, ("build/",), Tracked(project), include_unsure=True)
    assert [(artefact.path, artefact.kept) for artefact in found] == [("build", "")]
    with artefacts.opened_project(project) as top, bound(work, project / "build" / "mnt"):
        assert artefacts.remove_artefact(top, "build").failures == [("mnt", MOUNTED)]
        assert listing(work) == ["figures", "file0.txt"]
    with artefacts.opened_project(project) as top:
        assert artefacts.remove_artefact(top, "build").failures == []
    assert not (project / "build").exists()


@pytest.mark.parametrize("above", ["sub", "sub/deep"])
def test_an_artefact_below_which_it_is_made_after_the_look_is_not_looked_up_in_it(
    tmp_path: Path, project: Path, work: Path, above: str
) -> None:
    make_entry(project, f"{above}/build")
    make_entry(work, "build")
    make_entry(work, "deep/build")
    with artefacts.opened_project(project) as top:
        with bound(work, project / "sub"):
            failures = artefacts.remove_artefact(top, f"{above}/build").failures
            assert failures == [("", "another filesystem is mounted on the way to it")]
            assert artefacts.measure_artefact(top, f"{above}/build").size == 0
        assert (work / "build" / "file0.txt").exists()
        assert (work / "deep" / "build" / "file0.txt").exists()
        assert artefacts.remove_artefact(top, f"{above}/build").failures == []
    assert not (project / above / "build").exists()


def test_an_entry_in_which_it_is_made_after_the_claim_comes_back_with_it(
    root: Path, work: Path
) -> None:
    path = make_entry(root, "debug/x")
    with claimed(root, "debug/x", identity(path)) as claim:
        with bound(work, Path(claim.place) / "mnt"):
            failures = claim.remove().failures
            was = listing(path)
            run(["umount", str(path / "mnt")], cwd=root)  # it came along
        assert (failures, was) == ([("mnt", MOUNTED)], ["mnt", "mnt/figures", "mnt/file0.txt"])
    assert listing(work) == ["figures", "file0.txt"]
