"""Fixtures for a place to break things in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trace no line here: it would triple the time, and the unit tests run the same lines."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker("no_cover")


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: many trees are made here."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    directory = Path(tempfile.mkdtemp(prefix="tempkeep-test-", dir=memory))
    yield directory
    for above, directories, _ in os.walk(directory):
        for name in directories:
            if not os.path.islink(path := os.path.join(above, name)):
                os.chmod(path, 0o700)  # for one who is not root
    shutil.rmtree(directory)
