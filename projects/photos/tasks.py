"""The tasks of this project: the shared ones, and its own."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from common.temp.tasks import *  # noqa: F403 - __all__ there has the tasks and nothing else

PROJECT = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT / "src"))  # the package need not be installed

_FOLDER = "A folder of photos; without, those that scikit-image ships."


@task(help={"folder": _FOLDER, "size": "Longest side in pixels (256)."})
def thumbs(c: Context, folder: str | None = None, size: str = "256") -> None:
    """Make thumbnails, in a cache entry."""
    from photos import commands

    _end(commands.thumbnails([f"--size={size}", *_given(folder)]))


@task(
    help={
        "output": "The sheet to write, .jpg or .png.",
        "folder": _FOLDER,
        "count": "How many photos (12).",
        "seed": "Which photos (0).",
    }
)
def sample(
    c: Context, output: str, folder: str | None = None, count: str = "12", seed: str = "0"
) -> None:
    """Make a contact sheet of some photos; its working directory is deleted afterwards."""
    from photos import commands

    options = [f"--output={output}", f"--count={count}", f"--seed={seed}"]
    _end(commands.contact_sheet([*options, *_given(folder)]))


@task(help={"folder": _FOLDER})
def inspect(c: Context, folder: str | None = None) -> None:
    """Report on each photo, in a debug entry, and list near-duplicates."""
    from photos import commands

    _end(commands.inspect(_given(folder)))


@task
def demo(c: Context) -> None:
    """Show all three on the photos that scikit-image ships."""
    from photos import commands

    _end(commands.thumbnails(["--size=128"]))
    _end(commands.contact_sheet(["--output=sheet.jpg", "--count=6"]))
    _end(commands.inspect([]))


@task
def build(c: Context) -> None:
    """Build the wheel into dist/."""
    with c.cd(PROJECT):
        c.run(f"{shlex.quote(sys.executable)} -m pip wheel --no-deps --wheel-dir dist .")


def _given(folder: str | None) -> list[str]:
    return [] if folder is None else ["--", folder]


def _end(code: int) -> None:
    """Exit if the exit code is not 0; otherwise later tasks on the command line run."""
    if code:
        raise Exit(code=code)
