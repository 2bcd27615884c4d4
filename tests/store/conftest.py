"""A tree that no test of the store may touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import make_entry


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A tree outside, which is whole at the end."""
    tree = make_entry(tmp_path, "canary", files=5)
    make_entry(tree, "deep/er", files=5)
    before = [(path, path.lstat().st_mode, path.lstat().st_mtime_ns) for path in tree.rglob("*")]
    yield tree
    after = [(path, path.lstat().st_mode, path.lstat().st_mtime_ns) for path in tree.rglob("*")]
    assert after == before
