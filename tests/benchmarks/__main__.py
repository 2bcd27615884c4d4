"""Measure what users wait for, as ratios to what they know: `python3 -m tests.benchmarks`.

Each pair is run in turn (ABAB …) and compared by its medians, so that a busy machine slows both.
Prints a table, or with `--json` one JSON document. Everything is made in a temporary directory.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from tabulate import tabulate

from common.temp.core.retention import Policy, judge
from common.temp.store.allocation import allocate
from tests.support import NOW, REPOSITORY, entry, environment, make_entry, make_project

PAIRS = 15
CREATIONS = 2_000
JUDGED = 100_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison: seconds of ours and of the other, medians, and the ratio that is wanted."""

    what: str
    compared_to: str
    ours: float
    other: float
    wanted: float

    @property
    def ratio(self) -> float:
        """Ours in units of the other."""
        return self.ours / self.other


def main() -> None:
    """Run all comparisons and print them."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    as_json = parser.parse_args().json
    # What an installed package has, and an editable one after its first import.
    compileall.compile_dir(REPOSITORY / "common", quiet=1)
    figures = [start_up(), *creation(), judging()]
    if as_json:
        print(json.dumps([{**asdict(figure), "ratio": figure.ratio} for figure in figures]))
        return
    rows = [
        (
            figure.what,
            f"{figure.ours * 1e3:.3f} ms",
            figure.compared_to,
            f"{figure.other * 1e3:.3f} ms",
            f"{figure.ratio:.2f}",
            f"≤ {figure.wanted}",
        )
        for figure in figures
    ]
    headers = ("what", "takes", "compared to", "takes", "ratio", "wanted")
    print(tabulate(rows, headers, disable_numparse=True))


def start_up() -> Figure:
    """`inv temp-status` on 20 small entries against `inv --list` of an empty collection."""
    with tempfile.TemporaryDirectory() as directory:
        empty = Path(directory, "empty")
        empty.mkdir()
        (empty / "tasks.py").write_text("from invoke import Collection\nns = Collection()\n")
        project = make_project(Path(directory, "project"))
        for number in range(20):
            make_entry(project / ".tmp", f"debug/demo_16963488{number:02}", files=5)
        ours, other = _in_turn(
            lambda: _inv(project, "temp-status"), lambda: _inv(empty, "--list"), PAIRS
        )
    return Figure("inv temp-status, 20 entries", "inv --list, no tasks", ours, other, 1.3)


def creation() -> list[Figure]:
    """An entry with its record against `tempfile.mkdtemp` in the same directory, for one call."""
    figures = []
    for name, where in (("tmpfs", "/dev/shm"), ("disk", None)):
        if where is not None and not os.access(where, os.W_OK):
            continue
        directory = tempfile.mkdtemp(dir=where)
        try:
            root = f"{directory}/.tmp"
            allocate(root, "debug", "demo")
            ours, other = _in_turn(
                lambda root=root: _repeat(lambda: allocate(root, "debug", "demo")),  # type: ignore[misc]
                lambda root=root: _repeat(lambda: tempfile.mkdtemp(dir=f"{root}/debug")),  # type: ignore[misc]
                5,
            )
        finally:
            shutil.rmtree(directory)
        figures.append(
            Figure(
                f"an entry with its record, {name}",
                "tempfile.mkdtemp",
                ours / CREATIONS,
                other / CREATIONS,
                2.5,
            )
        )
    return figures


def judging() -> Figure:
    """The decision on 100,000 entries against one second."""
    entries = [
        entry(path=f"debug/demo{n % 500}_{n}", label=f"demo{n % 500}", changed=NOW - n)
        for n in range(JUDGED)
    ]
    policy = Policy(max_age=40_000, max_count=50, max_total_size=10**8, exclude=("keep*",))
    times = [_time(lambda: judge(entries, policy, NOW, free=10**9)) for _ in range(5)]
    return Figure("judge, 100,000 entries", "one second", median(times), 1.0, 1.0)


def _inv(directory: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=directory,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _repeat(call: Callable[[], object]) -> None:
    for _ in range(CREATIONS):
        call()


def _in_turn(
    ours: Callable[[], object], other: Callable[[], object], pairs: int
) -> tuple[float, float]:
    """The median seconds of both, run in turn after one warm-up each."""
    ours(), other()
    times = [(_time(ours), _time(other)) for _ in range(pairs)]
    return median(time for time, _ in times), median(time for _, time in times)


def _time(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
