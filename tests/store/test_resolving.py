"""Following symlinks as the system does, except for those that may hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.temp.store.system.resolving import followed

PATHS = [
    *("dir/file", "dir/./file", "dir//file", "link/file", "chain/file", "dir/up/dir/file"),
    *("gone", "gone/below/it", "dir/file/below/it", "link/gone/below", "dangling/below"),
    *("gone/../link/file", "dangling/../dir/file", "link/../file", "x" * 300 + "/below", "loop"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of links; its own path has none."""
    top = Path(os.path.realpath(tmp_path))
    (top / "dir").mkdir()
    (top / "dir" / "file").touch()
    (top / "dir" / "up").symlink_to("..")
    (top / "link").symlink_to("dir")
    (top / "chain").symlink_to(top / "link")
    (top / "dangling").symlink_to("nowhere/./below")
    (top / "loop").symlink_to("loop")
    return top


def test_a_path_is_resolved_as_realpath_does_also_where_parts_of_it_are_known(tree: Path) -> None:
    known: set[bytes] = set()
    for path in [*PATHS, *PATHS]:
        there = os.fsencode(f"{tree}/{path}")
        assert followed(there, (), known)[-1] == os.path.realpath(there), path
    assert not any(os.path.islink(path) for path in known)
    assert os.fsencode(tree / "dir") in known


def test_what_lies_below_a_mount_point_that_may_not_answer_is_left_as_it_is(tree: Path) -> None:
    top = os.fsencode(tree)

    assert followed(top + b"/link/up", [top + b"/dir"], set())[-1] == top + b"/dir/up"
    assert followed(top + b"/link/up", [top + b"/other"], set())[-1] == top
