"""Scanning, compared with `du -s` of the same root, in memory and with a warm cache."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from common.temp.store.scanning.scan import scan
from tests.benchmarks import trees
from tests.benchmarks.figures import (
    Figure,
    Measure,
    Options,
    call_peak,
    call_seconds,
    du,
    in_turn,
    inv,
    run,
)

ENTRIES, FILES = 200, 1_000
SCAN = "scan(root, now)"
PREPARE = "prepare(root, Policy(max_age=24 * 3600), now)"
ON = "tmpfs" if os.access(trees.SHM, os.W_OK) else "disk"


def scanning(options: Options) -> Iterator[Figure]:
    """The scan, `inv temp-status` and an age-limited dry run of 200,000 files in 16,200
    directories, all of them 100 hours old; and what the scan holds in memory at most.
    """
    entries = options.scaled(ENTRIES)
    tree = f"{entries * FILES:,} files"
    with trees.project(ON, entries * FILES) as project:
        trees.forest(project, entries, FILES, age_hours=100)
        scanned: Measure = partial(call_seconds, project, SCAN)
        yield _against_du(options, project, f"scan, {tree}", scanned, 0.75)
        status: Measure = partial(inv, project, "temp-status")
        yield _against_du(options, project, f"inv temp-status, {tree}", status, 1.0)
        prepared: Measure = partial(call_seconds, project, PREPARE)
        for new_file, what, wanted in ((True, "a new file", 0.3), (False, "an append", None)):
            with trees.freshened(project, new_file=new_file):
                name = f"dry run by age, {what} in each entry, {tree}"
                yield _against_du(options, project, name, prepared, wanted)
        peak = [call_peak(project, SCAN)]
        yield Figure.of(f"peak memory of a scan, {tree}", peak, "300 MB", [300.0], 1.0, "MB")


def unchanged(options: Options) -> Iterator[Figure]:
    """What a status would take at least that knew the sizes of 200,000 files from the last one: the
    start of invoke, and a look at whether each of their 16,200 directories is as it was.
    """
    entries = options.scaled(ENTRIES)
    with trees.project(ON, entries * FILES) as project:
        trees.forest(project, entries, FILES)
        empty = project / "empty"
        empty.mkdir()
        (empty / "tasks.py").write_text("from invoke import Collection\nns = Collection()\n")
        start: Measure = partial(inv, empty, "--list", check=False)
        yield _against_du(options, project, "inv --list, no tasks", start, None)
        what = f"a look at each directory of {entries * FILES:,} files"
        yield _against_du(options, project, what, partial(_look, project), None)


def _look(project: Path) -> float:
    return float(run(project, sys.executable, "-c", _LOOK))


_LOOK = """
import os, time
flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
known = {path: names for path, names, _ in os.walk(".tmp")}
def look(path, directory):
    for name in known[path]:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        if known[below := f"{path}/{name}"]:
            descriptor = os.open(name, flags, dir_fd=directory)
            look(below, descriptor)
            os.close(descriptor)
top = os.open(".tmp", flags)
started = time.perf_counter()
look(".tmp", top)
print(time.perf_counter() - started)
"""


def chains(options: Options) -> Iterator[Figure]:
    """The scan of 20 chains of 400 directories."""
    with trees.project(ON, 0) as project:
        trees.chains(project, 20, 400)
        scanned: Measure = partial(call_seconds, project, SCAN)
        yield _against_du(options, project, "scan, 20 chains of 400 directories", scanned, 0.7)


def few(options: Options) -> Iterator[Figure]:
    """The scan of 20 entries of 5 files, against one that starts no other process."""
    if "workers" not in inspect.signature(scan).parameters:
        pytest.skip("this scan starts no other process")
    with trees.project(ON, 100) as project:
        trees.forest(project, 20, 5, nested=False)
        ours, other = in_turn(
            3 * options.pairs,
            partial(call_seconds, project, SCAN),
            partial(call_seconds, project, "scan(root, now, workers=1)"),
        )
        yield Figure.of("scan, 20 entries of 5 files", ours, "with workers=1", other, 1.05)


def _against_du(
    options: Options, project: Path, what: str, measure: Measure, wanted: float | None
) -> Figure:
    ours, other = in_turn(options.pairs, measure, partial(du, project))
    return Figure.of(what, ours, "du -s", other, wanted)
