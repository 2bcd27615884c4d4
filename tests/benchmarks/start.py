"""What every user waits for: starting a command and making an entry."""

from __future__ import annotations

import compileall
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import common.temp
from common.temp.store.root.allocation import allocate
from tests.benchmarks.figures import Figure, Options, in_turn, inv_cpu, seconds
from tests.benchmarks.trees import SHM
from tests.support import make_entry, make_project

CREATIONS = 2_000
LEAST_STARTS = 20
"""So short that more pairs cost little, and of fewer the minima vary."""


def start_up(options: Options) -> Iterator[Figure]:
    """Processor time of `inv temp-status` on 20 small entries against `inv --list` of no tasks."""
    # Invoke caches no byte code, and what is installed has some.
    compileall.compile_dir(os.path.dirname(common.temp.__file__), quiet=1)
    with tempfile.TemporaryDirectory() as directory:
        empty = Path(directory, "empty")
        empty.mkdir()
        (empty / "tasks.py").write_text("from invoke import Collection\nns = Collection()\n")
        project = make_project(Path(directory, "project"))
        for number in range(20):
            make_entry(project / ".tmp", f"debug/demo_16963488{number:02}", files=5)
        # That there are no tasks is an error to invoke.
        ours, other = in_turn(
            max(LEAST_STARTS, 3 * options.pairs),
            partial(inv_cpu, project, "temp-status"),
            partial(inv_cpu, empty, "--list", check=False),
        )
    # How many processes there are is a part of it: a status looks at each that it may look at.
    processes = sum(name.isdigit() for name in os.listdir("/proc")) if os.path.isdir("/proc") else 0
    what = f"inv temp-status, 20 entries, {processes} processes"
    yield Figure.of(what, ours, "inv --list, no tasks", other, 1.15, middle=min)


def creation(options: Options) -> Iterator[Figure]:
    """An entry with its record against `tempfile.mkdtemp` in the same directory, for one call."""
    for name, where in (("tmpfs", SHM), ("disk", None)):
        if where is not None and not os.access(where, os.W_OK):
            continue
        with tempfile.TemporaryDirectory(dir=where) as directory:
            root = f"{directory}/.tmp"
            allocate(root, "debug", "demo")
            ours, other = in_turn(
                options.pairs,
                partial(_each, partial(allocate, root, "debug", "demo")),
                partial(_each, partial(tempfile.mkdtemp, dir=f"{root}/debug")),
            )
        what = f"an entry with its record, {name}"
        yield Figure.of(what, ours, "tempfile.mkdtemp", other, 2.5)


def _each(call: Callable[[], object]) -> float:
    def repeat() -> None:
        for _ in range(CREATIONS):
            call()

    return seconds(repeat) / CREATIONS
