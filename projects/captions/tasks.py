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
STORAGE = PROJECT / "var" / "uploads"
sys.path.insert(0, str(PROJECT / "src"))  # the package need not be installed


@task(help={"host": "Where to listen (127.0.0.1).", "port": "0 is any that is free (8000)."})
def serve(c: Context, host: str = "127.0.0.1", port: str = "8000") -> None:
    """Serve POST /captions until Ctrl-C; uploads are kept in var/uploads meanwhile."""
    from captions import commands

    _end(commands.serve([f"--host={host}", f"--port={port}", f"--storage={STORAGE}"]))


@task
def demo(c: Context) -> None:
    """Caption spoken sentences, hang up midway, kill the server midway: no file is left."""
    from captions.demo import show

    _end(show(STORAGE))


@task
def build(c: Context) -> None:
    """Build the wheel into dist/."""
    with c.cd(PROJECT):
        c.run(f"{shlex.quote(sys.executable)} -m pip wheel --no-deps --wheel-dir dist .")


def _end(code: int) -> None:
    """Exit if the exit code is not 0; otherwise later tasks on the command line run."""
    if code:
        raise Exit(code=code)
