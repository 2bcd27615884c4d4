"""One comparison as a value; measures its sides in turn, each in its own process."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

from tests.support import environment

Measure: TypeAlias = Callable[[], float]
"""Measures once: seconds, or megabytes."""

IMPORTS = """
import resource, time
from pathlib import Path
from common.temp.core.policy import Policy
from common.temp.store.scanning.scan import scan
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
root, now, everything = Path({root!r}), time.time(), Policy(everything=True)
"""
_TIMED = """
started = time.perf_counter()
{call}
print(time.perf_counter() - started)
"""
# Not the process's own ru_maxrss: it counts what the benchmarks held when they started it.
_PEAK = """
{call}
own = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print((int(own.split()[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024)
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says: pairs for each figure, the trees' size, the filesystems."""

    pairs: int
    scale: float
    on: tuple[str, ...]

    def scaled(self, number: float) -> int:
        """`number` at this scale, at least 1."""
        return max(1, round(number * self.scale))


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison: medians (or minima) of ours and of the other, and the ratio wanted, if any.

    `lowest` and `highest` are the ratios of single pairs.
    """

    what: str
    compared_to: str
    ours: float
    other: float
    lowest: float
    highest: float
    wanted: float | None
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours in units of the other."""
        return self.ours / self.other

    @classmethod
    def of(
        cls,
        what: str,
        ours: Sequence[float],
        compared_to: str,
        other: Sequence[float],
        wanted: float | None,
        unit: str = "s",
        middle: Callable[[Sequence[float]], float] = median,
    ) -> Figure:
        """The figure of measures that were taken in pairs, compared by their `middle`."""
        ratios = [one / another for one, another in zip(ours, other, strict=True)]
        middles = middle(ours), middle(other)
        return cls(what, compared_to, *middles, min(ratios), max(ratios), wanted, unit)


def in_turn(pairs: int, *measures: Measure, warm_up: bool = True) -> list[list[float]]:
    """For each of `measures` its values, measured in turn (ABAB …) after a warm-up of each."""
    if warm_up:
        for measure in measures:
            measure()
    rounds = []
    for number in range(1, pairs + 1):
        say(f"  round {number} of {pairs}")
        rounds.append([measure() for measure in measures])
    return [list(values) for values in zip(*rounds, strict=True)]


def seconds(call: Callable[[], object]) -> float:
    """How long `call` takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def run(project: Path, *command: str, check: bool = True) -> str:
    """What a real process in `project` prints; with a temporary directory and state of its own, so
    that nothing of the user's is looked at or cleaned. Byte code is cached and output buffered,
    whatever is set here. Ends the run if it fails.
    """
    temporary = project / "tmp"
    temporary.mkdir(mode=0o700, exist_ok=True)
    variables = environment(TMPDIR=str(temporary), XDG_STATE_HOME=str(temporary / "state"))
    for variable in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
        variables.pop(variable, None)
    done = subprocess.run(
        command,
        cwd=project,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def inv(project: Path, *arguments: str, check: bool = True) -> float:
    """Seconds of a whole `inv` run."""
    return seconds(lambda: run(project, sys.executable, "-m", "invoke", *arguments, check=check))


def inv_cpu(project: Path, *arguments: str, check: bool = True) -> float:
    """Seconds of processor time of a whole `inv` run and its workers; waiting does not count."""
    return cpu(lambda: inv(project, *arguments, check=check))


def cpu(call: Callable[[], object]) -> float:
    """Seconds of processor time of the processes that `call` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def du(project: Path) -> float:
    """Seconds of `du -s` of the project's root."""
    return seconds(lambda: run(project, "du", "-s", ".tmp"))


def call_seconds(project: Path, call: str) -> float:
    """Seconds of `call` in a fresh process, measured in it, so without its start and imports."""
    return _in_process(project, _TIMED, call)


def call_peak(project: Path, call: str) -> float:
    """Megabytes that a fresh process holds at most while it runs `call`, plus its largest worker.

    Linux only.
    """
    return _in_process(project, _PEAK, call)


def _in_process(project: Path, template: str, call: str) -> float:
    program = IMPORTS.format(root=str(project / ".tmp")) + template.format(call=call)
    return float(run(project, sys.executable, "-c", program))


def say(line: str) -> None:
    """Progress, where it is not in the way of the data."""
    print(line, file=sys.stderr, flush=True)
