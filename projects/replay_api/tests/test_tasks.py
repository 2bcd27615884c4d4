"""The tasks of this project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from projects.replay_api.tests.support import Running, finished, open_upload, parts, running
from tests.store.children import until
from tests.support import REPOSITORY, inv

PROJECT = REPOSITORY / "projects" / "replay_api"
OWN = {"demo", "serve"}
SHARED = {"clean", "temp-clean", "temp-explain", "temp-pin", "temp-status", "temp-unpin"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A throw-away copy of this project, in no monorepo."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "var", "tests")
    return Path(shutil.copytree(PROJECT, tmp_path / "copy", ignore=ignored))


@pytest.fixture
def server(copy: Path, tmp_path: Path) -> Iterator[Running]:
    """A server on the root that the project's settings name."""
    with running(tmp_path / "server", copy / "var" / "jobs") as one:
        yield one


def test_the_tasks_are_the_shared_ones_and_those_of_the_project(copy: Path) -> None:
    lines = inv("--list", cwd=copy).stdout.splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= OWN | SHARED


def test_status_lists_the_jobs_of_a_server_and_a_clean_leaves_them(
    copy: Path, server: Running, tmp_path: Path
) -> None:
    finished(server, parts(tmp_path / "client"), "flight-7")
    listed = inv("temp-status", cwd=copy).stdout
    assert "copy/var/jobs" in listed
    (line,) = (line for line in listed.splitlines() if "flight-7" in line)
    assert f"in use: pid {server.server.pid}" in line
    done = inv("temp-clean", "--max-age-hours", "0", "--yes", cwd=copy)
    assert (done.returncode, server.jobs()) == (0, ["flight-7"])


def test_a_clean_takes_what_a_killed_server_left(
    copy: Path, server: Running, tmp_path: Path
) -> None:
    finished(server, parts(tmp_path / "client"), "done")
    with open_upload(server.client, b"", "half"):
        until(lambda: server.jobs() == ["done", "half"], "both")
        server.server.kill()
        server.server.wait(60)
    done = inv("temp-clean", "--max-age-hours", "0", "--yes", cwd=copy)
    assert (done.returncode, server.jobs()) == (0, [])


@pytest.mark.slow  # CI runs `inv demo` itself
def test_the_demo_ends_well_and_leaves_nothing(copy: Path, tmp_path: Path) -> None:
    done = inv("demo", cwd=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in use: pid" in done.stdout
    assert sorted(path.name for path in (copy / "var" / "jobs").iterdir()) == [".tempkeep"]


def test_serve_serves_where_the_variable_says(copy: Path, tmp_path: Path) -> None:
    root = tmp_path / "elsewhere"
    environ = {**os.environ, "REPLAY_API_STORAGE_ROOT": str(root), "PYTHONPATH": str(REPOSITORY)}
    serving = subprocess.Popen(
        [sys.executable, "-m", "invoke", "serve", "--port", "0"],
        cwd=copy,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert serving.stdout is not None
    with serving.stdout:
        assert serving.stdout.readline().startswith("replay_api listens on http://127.0.0.1:")
        assert root.is_dir()
        serving.terminate()
        assert serving.wait(60) == 0
