"""Removing everything, compared with `rm -rf` and `shutil.rmtree` of an identical new tree."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks import floor, trees
from tests.benchmarks.figures import (
    IMPORTS,
    Figure,
    Options,
    call_peak,
    in_turn,
    run,
    say,
    seconds,
)
from tests.support import make_project, mounted, process

ENTRIES, FILES = 200, 1_000
DISK_SCALE = 0.1
"""A disk takes a minute for what memory does in seconds."""

WANTED = {"tmpfs": 0.55, "ext4": 0.55, "disk": 0.45}
EXECUTE = "execute(prepare(root, everything, now))"


def cleaning(options: Options) -> Iterator[Figure]:
    """`inv temp-clean --yes` of 200,000 files (a tenth of it on the disk), on each filesystem."""
    for on in options.on:
        entries = options.scaled(ENTRIES * DISK_SCALE if on == "disk" else ENTRIES)
        tree = f"{entries * FILES:,} files"
        try:
            yield from _clean(options, on, tree, entries, FILES, WANTED[on])
        except pytest.skip.Exception as skipped:
            say(f"  left out, {on}: {skipped}")


def wide(options: Options) -> Iterator[Figure]:
    """The same of one directory with 200,000 files, in memory."""
    files = options.scaled(ENTRIES * FILES)
    tree = f"{files:,} files in one directory"
    yield from _clean(options, "tmpfs", tree, 1, files, 1.1, nested=False)


def tiny(options: Options) -> Iterator[Figure]:
    """The same of 10,000 entries of one file each, in memory; and the least that it could take."""
    entries = options.scaled(10_000)
    tree = f"{entries:,} entries of one file"
    yield from _clean(options, "tmpfs", tree, entries, 1, 3.0, nested=False, least=True)


def _clean(
    options: Options,
    on: str,
    tree: str,
    entries: int,
    files: int,
    wanted: float | None,
    *,
    nested: bool = True,
    least: bool = False,
) -> Iterator[Figure]:
    with trees.project(on, entries * files) as project:

        def remove(*command: str) -> float:
            trees.forest(project, entries, files, nested=nested)
            # What is still to be written of the new tree is not the removal's work.
            run(project, "sync", "--file-system", ".tmp")
            return seconds(lambda: run(project, *command))

        clean = (sys.executable, "-m", "invoke", "temp-clean", "--yes")
        loop = (sys.executable, floor.__file__, ".tmp", "debug")
        ours, alone, rm, python, *bare = in_turn(
            options.pairs,
            partial(remove, *clean),
            partial(remove, "env", "TEMPKEEP_WORKERS=1", *clean),
            partial(remove, "rm", "-rf", ".tmp/debug"),
            partial(remove, sys.executable, "-c", "import shutil; shutil.rmtree('.tmp/debug')"),
            *([partial(remove, *loop)] if least else ()),
            warm_up=False,
        )
    what = f"inv temp-clean --yes, {tree}, {on}"
    yield Figure.of(what, ours, "rm -rf", rm, wanted)
    yield Figure.of(what, ours, "shutil.rmtree", python, None)
    yield Figure.of(what, ours, "with one process", alone, None)
    for one in bare:
        yield Figure.of(f"a bare loop of its calls, {tree}, {on}", one, "rm -rf", rm, None)


def first_byte(options: Options) -> Iterator[Figure]:
    """From the plan to the first byte that is free on a filesystem of one's own."""
    entries = options.scaled(ENTRIES)
    with (
        trees.project("tmpfs", entries * FILES) as outer,
        mounted(outer / "own", "size=90%") as own,
    ):
        measure = partial(_until_first_byte, make_project(own / "project"), entries)
        (ours,) = in_turn(options.pairs, measure, warm_up=False)
    what = f"from the plan to the first byte freed, {entries * FILES:,} files"
    yield Figure.of(what, ours, "50 ms", [0.05] * len(ours), 1.0)


def _until_first_byte(project: Path, entries: int) -> float:
    trees.forest(project, entries, FILES)
    free = os.statvfs(project).f_bfree
    program = IMPORTS.format(root=str(project / ".tmp")) + (
        "plan = prepare(root, everything, now)\n"
        "print(time.monotonic(), flush=True)\n"
        "execute(plan)\n"
    )
    with process(program, cwd=project, TMPDIR=str(project)) as child:
        while os.statvfs(project).f_bfree <= free and child.poll() is None:
            time.sleep(0.0002)
        freed = time.monotonic()
        if child.wait():
            raise SystemExit(f"the sweep ended with {child.returncode}")
    return freed - float(child.first_line)


def memory(options: Options) -> Iterator[Figure]:
    """What a sweep of 200,000 files holds in memory at most, against one of 20,000."""
    many, fewer = options.scaled(ENTRIES), options.scaled(ENTRIES // 10)
    with trees.project("tmpfs", many * FILES) as project:
        for where, shapes in (
            ("files", [(many, FILES, True), (fewer, FILES, True)]),
            ("in one directory", [(1, many * FILES, False), (1, fewer * FILES, False)]),
        ):
            peaks = []
            for entries, files, nested in shapes:
                trees.forest(project, entries, files, nested=nested)
                peaks.append(call_peak(project, EXECUTE))
            what = f"peak memory of a sweep, {many * FILES:,} {where}"
            other = f"{fewer * FILES:,} {where}"
            yield Figure.of(what, peaks[:1], other, peaks[1:], 1.1, "MB")
