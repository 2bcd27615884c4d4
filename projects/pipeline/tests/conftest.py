"""Each test stands in a throw-away project, so that its runs are made, and are gone, with that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp import started_runs

PIPELINE = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A throw-away copy of this project, which is the working directory."""
    left_out = shutil.ignore_patterns(".*", "__pycache__", "artifacts", "build", "dist", "tests")
    directory = Path(shutil.copytree(PIPELINE, tmp_path / "a project", ignore=left_out))
    monkeypatch.chdir(directory)
    yield directory
    # As at the end of a process: the next test cleans beside runs of its own.
    started_runs._last = None
    started_runs._mine.set(None)


@pytest.fixture
def base(project: Path) -> Path:
    """Where the runs are made."""
    return project / "artifacts"
