"""The trees that are measured, the filesystems they are on, and how a new entry is made."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.benchmarks import grow
from tests.benchmarks.grow import LARGEST, NESTED
from tests.support import HOUR, chain, ext4, make_project

SHM = "/dev/shm"


@contextmanager
def project(on: str, files: int) -> Iterator[Path]:
    """A project on a filesystem with room for so many files; all of it goes with the block.

    `on` is tmpfs, ext4 (an image of one's own, in memory if that has room, so that no disk adds
    its noise) or disk, which is where `tempfile` puts things. Skips what cannot be had.
    """
    bytes_needed = (files * LARGEST + (64 << 20)) * (2 if on == "ext4" else 1)
    in_memory = os.access(SHM, os.W_OK) and shutil.disk_usage(SHM).free > bytes_needed
    if on == "tmpfs" and not in_memory:
        pytest.skip(f"{SHM} has no room for {bytes_needed >> 20} MB")
    with ExitStack() as stack:
        within = None if on == "disk" or not in_memory else SHM
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=within)))
        if on == "ext4":
            # mkfs gives an inode to every 16 KiB; what is not used takes no room.
            megabytes = (files * 20_000 >> 20) + 64
            directory = stack.enter_context(ext4(directory, megabytes=megabytes))
        yield make_project(directory / "project")


def forest(
    project: Path, entries: int, files: int, *, nested: bool = True, age_hours: float = 0.0
) -> None:
    """So many entries of so many files each, 100 bytes to 4 KB, spread over 81 directories or,
    if not `nested`, in one; all last changed `age_hours` ago. The same each time, but for that.
    """
    category = project / ".tmp" / "debug"
    category.mkdir(parents=True, exist_ok=True)
    when = time.time() - age_hours * HOUR
    growers: list[subprocess.Popen[bytes]] = []
    step = os.cpu_count() or 1
    try:
        for first in range(min(step, entries)):
            numbers = (first, entries, step, files, int(nested), when)
            command = [sys.executable, grow.__file__, str(category), *map(str, numbers)]
            growers.append(subprocess.Popen(command))
        if any(grower.wait() for grower in growers):
            raise SystemExit(f"a tree could not be made in {category}")
    finally:
        for grower in growers:
            grower.kill()
            grower.wait()


def chains(project: Path, entries: int, depth: int) -> None:
    """Entries that each hold one directory in another, so many deep, and a file at the end."""
    for number in range(entries):
        path = project / ".tmp" / "debug" / f"demo_{1_696_348_800 + number}"
        path.mkdir(parents=True)
        chain(path, depth)


@contextmanager
def freshened(project: Path, *, new_file: bool) -> Iterator[None]:
    """In some directory of each entry a file is written now, or one that is there appended to
    (which leaves the directory as old as it is); both are taken back after the block.
    """
    choice = random.Random(20_231_003)
    touched = []
    for entry in sorted((project / ".tmp" / "debug").iterdir()):
        index = choice.randrange(len(NESTED))
        directory = entry / NESTED[index]
        file = directory / ("fresh.txt" if new_file else f"file{index}.txt")
        was = os.stat(directory).st_mtime
        with open(file, "ab") as stream:
            stream.write(b"fresh")
        touched.append((directory, file, was))
    yield
    for directory, file, was in touched:
        if new_file:
            file.unlink()
            os.utime(directory, (was, was))
        else:
            os.utime(file, (was, was))
