"""A million files, in one directory and in many: scanned and removed in little memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import environment, make_project, status

MILLION = 1_000_000
MOST_BYTES = 300 << 20


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A project on a tmpfs, where a million files take seconds and not an hour."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("needs a tmpfs at /dev/shm")
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        yield make_project(directory / "project")
    finally:
        shutil.rmtree(directory)


def files_in(directory: Path, count: int) -> None:
    directory.mkdir(parents=True)
    descriptor = os.open(directory, os.O_RDONLY)
    for number in range(count):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


def peak_of(cwd: Path, *arguments: str) -> int:
    """The most memory that a command had, or one of its workers, in bytes."""
    started = subprocess.Popen(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    _, code, usage = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(code)
    assert started.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.parametrize("directories", [1, 1000])
def test_a_million_files_are_seen_and_deleted_in_little_memory(
    in_memory: Path, directories: int, figure: Callable[[str], None]
) -> None:
    for number in range(directories):
        path = in_memory / ".tmp" / "debug" / f"x_{1_696_348_800 + number % 100}" / str(number)
        files_in(path, MILLION // directories)
    seen = peak_of(in_memory, "temp-status")
    assert sum(entry["files"] for entry in status(in_memory)["entries"]) == MILLION
    cleaned = peak_of(in_memory, "temp-clean", "--yes")
    assert status(in_memory)["entries"] == []
    figure(
        f"a million files in {directories} directories: {seen >> 20} MiB to see them, "
        f"{cleaned >> 20} MiB to delete them"
    )
    assert max(seen, cleaned) < MOST_BYTES
