"""The tasks of this project: the shared ones, and its own."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from common.temp.tasks import *  # noqa: F403 - __all__ there has the tasks and nothing else

PROJECT = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT / "src"))  # the package need not be installed


@task(
    help={
        "draws": "How many draws from the posterior (1000).",
        "seed": "Which draws (0).",
        "ridge": "Shrinks the coefficients (0).",
        "memory": "For samples, in MiB (32).",
        "output_dir": "Where the samples stay; without, they go when this ends.",
    }
)
def measure(
    c: Context,
    draws: str = "1000",
    seed: str = "0",
    ridge: str = "0",
    memory: str = "32",
    output_dir: str | None = None,
) -> None:
    """Sample how each insurance plan affects visits to the doctor."""
    from impact import commands

    options = [f"--draws={draws}", f"--seed={seed}", f"--ridge={ridge}", f"--memory={memory}"]
    _end(commands.measure([*options, *([f"--output-dir={output_dir}"] if output_dir else [])]))


@task
def demo(c: Context) -> None:
    """Show it twice: with samples that are deleted with the process, and with samples that stay."""
    from impact import commands

    _end(commands.measure(["--draws=300", "--memory=8"]))
    _end(commands.measure(["--draws=60", "--memory=8", "--output-dir=samples"]))


def _end(code: int) -> None:
    """Exit if the exit code is not 0; otherwise later tasks on the command line run."""
    if code:
        raise Exit(code=code)
