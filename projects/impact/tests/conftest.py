"""Each test stands in a throw-away project with a system temporary directory of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from impact.sampling import OUTPUTS
from impact.sources import Trial, shipped_trial


@pytest.fixture(autouse=True)
def system_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory in place of the system's temporary one; the working directory is a project."""
    directory = tmp_path / "system-temp"
    directory.mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield directory
    OUTPUTS.cleanup()


@pytest.fixture(scope="session")
def trial() -> Trial:
    """The real trial that statsmodels ships."""
    return shipped_trial()
