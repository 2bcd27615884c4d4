"""Measure what users wait for, as ratios to what they know: `python3 -m tests.benchmarks`.

The sides of each figure are run in turn (ABAB …) and compared by their medians, so that a busy
machine slows both; `start` by the minima of processor time. Prints a table, or with `--json` one
JSON document; progress goes to stderr. Everything is made in temporary directories, which are
deleted even if the run fails.
"""

from __future__ import annotations

import argparse
import compileall
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

import pytest
from tabulate import tabulate

from tests.benchmarks import archiving, deciding, migrating, removing, scanning, start
from tests.benchmarks.figures import Figure, Options, say
from tests.support import REPOSITORY

FIGURES: dict[str, Callable[[Options], Iterator[Figure]]] = {
    "start": start.start_up,
    "creation": start.creation,
    "judging": deciding.judging,
    "scanning": scanning.scanning,
    "unchanged": scanning.unchanged,
    "chains": scanning.chains,
    "few": scanning.few,
    "cleaning": removing.cleaning,
    "wide": removing.wide,
    "tiny": removing.tiny,
    "first-byte": removing.first_byte,
    "memory": removing.memory,
    "migrating": migrating.migrating,
    "archiving": archiving.archiving,
}


def main() -> None:
    """Take the figures that are asked for and print them."""
    arguments = _parse()
    options = Options(arguments.pairs, arguments.scale, tuple(arguments.on))
    # As Ctrl-C does, so that what was made and mounted goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # What an installed package has, and an editable one after its first import.
    compileall.compile_dir(REPOSITORY / "common", quiet=1)
    figures = [figure for name in arguments.names or FIGURES for figure in _take(name, options)]
    if arguments.json:
        print(json.dumps([{**asdict(figure), "ratio": figure.ratio} for figure in figures]))
        return
    headers = ("what", "takes", "compared to", "takes", "ratio", "wanted", "each pair")
    print(tabulate([_row(figure) for figure in figures], headers, disable_numparse=True))


def _parse() -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python3 -m tests.benchmarks", description=summary)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(FIGURES))
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the trees; 5: 1,000,000 files")
    on = parser.add_argument("--on", nargs="+", choices=removing.WANTED, default=removing.WANTED)
    on.help = "where `cleaning` cleans (all three)"
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(FIGURES):
        parser.error(f"no such figures: {', '.join(sorted(unknown))}")
    return arguments


def _take(name: str, options: Options) -> Iterator[Figure]:
    say(f"{name}: {' '.join((FIGURES[name].__doc__ or '').split())}")
    try:
        for figure in FIGURES[name](options):
            say("  " + "  ".join(_row(figure)))
            yield figure
    except pytest.skip.Exception as skipped:
        say(f"  left out: {skipped}")


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.what,
        _spell(figure.ours, figure.unit),
        figure.compared_to,
        _spell(figure.other, figure.unit),
        f"{figure.ratio:.2f}",
        "" if figure.wanted is None else f"≤ {figure.wanted}",
        f"{figure.lowest:.2f} – {figure.highest:.2f}",
    )


def _spell(value: float, unit: str) -> str:
    if unit == "MB":
        return f"{value:.1f} MB"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3f} ms"


if __name__ == "__main__":
    main()
