"""The command, for both the script and the tasks: parse, call, print, return the exit code.

0 means done, 1 an error of the disk, 2 an argument that cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from common.temp import TempError

from .errors import ImpactError

if TYPE_CHECKING:
    from .regression import Floats

_BASE = "as_it_was"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with one line; argparse would print the usage before it."""
        self.exit(2, f"{self.prog}: {_plain(message)}\n")


def measure(arguments: Sequence[str] | None = None) -> int:
    """Sample how each plan affects visits, and print the differences. Returns the exit code."""
    parser = _Parser(
        description="Sample what each insurance plan does to visits to the doctor.",
        allow_abbrev=False,
    )
    parser.add_argument("--draws", type=_count, default=1000, help="from the posterior (1000)")
    parser.add_argument("--seed", type=_seed, default=0, help="which draws (0)")
    parser.add_argument("--ridge", type=float, default=0.0, help="shrinks the coefficients (0)")
    parser.add_argument("--memory", type=_count, default=32, help="for samples, in MiB (32)")
    parser.add_argument(
        "--output-dir", type=Path, help="where samples stay; without, they go when this ends"
    )
    args = parser.parse_args(arguments)
    try:
        _measure(args)
    except ImpactError as error:
        _say(f"{parser.prog}: {error}", error=True)
        return 2
    except TempError as error:
        _say(f"{parser.prog}: {error}", error=True)
        return error.exit_code
    except OSError as error:
        where = error.filename or "the disk"
        _say(f"{parser.prog}: {error.strerror or error}: {where}", error=True)
        return 1
    return 0


def _measure(args: argparse.Namespace) -> None:
    from .regression import fit
    from .sampling import sample
    from .sources import SCENARIOS, shipped_trial

    trial = shipped_trial()
    tree = sample(
        fit(trial.design, trial.response, args.ridge),
        {name: trial.under(plan) for name, plan in SCENARIOS.items()},
        draws=args.draws,
        seed=args.seed,
        memory=args.memory << 20,
        output_dir=args.output_dir,
    )
    size = sum(group.dataset["samples"].nbytes for group in tree.children.values())
    _say(
        f"{size / (1 << 20):.1f} MiB of samples ({len(tree.children)} plans, {args.draws} draws, "
        f"{len(trial.response)} people), made in {args.memory} MiB of memory"
    )
    _say(f"{'plan':14}{'log(1 + visits)':24}{f'against {_BASE}':27}samples")
    base = tree.children[_BASE].dataset["expected"].values
    for name, group in tree.children.items():
        expected = group.dataset["expected"].values
        against = "" if name == _BASE else _spell(expected - base, "+")
        run = Path(group.attrs["output_dir"]).name
        _say(f"{name:14}{_spell(expected):24}{against:27}{run}")
    ends = (
        "" if args.output_dir else ", which goes when this ends (--output-dir names one that stays)"
    )
    _say(f"in {tree.attrs['output_dir']}{ends}")


def _spell(draws: Floats, sign: str = "") -> str:
    """The mean and the interval that holds 95 % of the draws."""
    import numpy as np

    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{draws.mean():{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _say(text: str, error: bool = False) -> None:
    print(_plain(text), file=sys.stderr if error else sys.stdout)


def _plain(text: str) -> str:
    """The text, printable and on one line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _count(text: str) -> int:
    return _whole(text, 1, 10**6)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return number
