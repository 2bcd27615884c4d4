"""The tasks of this project: the shared ones, and its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from common.temp.tasks import *  # noqa: F403 - __all__ there has the tasks and nothing else

PROJECT = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT / "src"))  # the package need not be installed

_NARRATE = [sys.executable, str(PROJECT / "scripts" / "narrate.py")]
_CLEANUP = str(PROJECT / "scripts" / "cleanup_artifacts.sh")


@task(help={"text": "A text file; without, the essay that Python's email package ships."})
def narrate(c: Context, text: str | None = None) -> None:
    """Make a script, tones, a table and a plot of a text, in a run of its own."""
    from pipeline import commands

    _end(commands.narrate([] if text is None else ["--", text]))


@task
def demo(c: Context) -> None:
    """Make runs, two at a time, kill one, and show which of them a clean removes."""
    _say("A run of its own for the essay that Python's email package ships.")
    _run(*_NARRATE)
    with _unfinished("lives on") as alive, _unfinished("is killed") as killed:
        _say("Two more, at the same time, that wait for the rest of their text.")
        _inv("temp-status", "--category", "pipeline")
        killed.process.kill()
        killed.process.wait()
        _say(
            "One was killed just now (SIGKILL). Its run goes with the next clean, whatever its age;"
        )
        _say("the newest good run and that of the live process stay.")
        _inv("temp-clean", "--max-age-hours", "0", "--category", "pipeline")
        _check(alive.run.is_dir(), f"the run of a live process is gone: {alive.run}")
        _check(not killed.run.exists(), f"the run of a killed process is still there: {killed.run}")
    _check(alive.process.returncode == 0, f"the live one ended with {alive.process.returncode}")
    _check((alive.run / "research.svg").is_file(), f"{alive.run} is not whole")
    _say("It has had its text, and is whole. Six more: the policy keeps the newest five.")
    for _ in range(6):
        _run(*_NARRATE, "-", text="One more run. It is a short one.\n")
    _check(not alive.run.exists(), f"{alive.run} is still there, and six are newer")
    _say("What cron would run each night has nothing left to do, and says so in its log.")
    _run(_CLEANUP, PYTHON=sys.executable)
    print((PROJECT / "artifacts" / "cleanup.log").read_text(), end="", flush=True)
    _inv("temp-clean", "--everything", "--yes", "--category", "pipeline")


class _unfinished:  # noqa: N801 - a context manager
    """A process in the middle of a run, which gets the rest of its text when the block ends."""

    def __init__(self, fate: str) -> None:
        self._fate = fate

    def __enter__(self) -> _unfinished:
        self.process = subprocess.Popen(
            [*_NARRATE, "-"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.run = Path(self.process.stdout.readline().strip().removeprefix("run "))
        self.process.stdin.write(f"This one {self._fate}.\n\n")
        self.process.stdin.flush()
        return self

    def __exit__(self, *raised: object) -> None:
        if any(raised):
            self.process.kill()
        self.process.communicate("That was the rest.\n" if self.process.poll() is None else None)


def _inv(*arguments: str) -> None:
    print(f"pipeline$ inv {' '.join(arguments)}", flush=True)
    _run(sys.executable, "-m", "invoke", *arguments)


def _run(*command: str, text: str | None = None, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **environment},
        input=text,
        text=True,
        check=False,
    )
    _end(done.returncode)


def _say(sentence: str) -> None:
    print(f"--- {sentence}", flush=True)


def _check(is_so: bool, problem: str) -> None:
    if not is_so:
        raise Exit(f"error: {problem}", code=1)


def _end(code: int) -> None:
    """Exit if the exit code is not 0; otherwise later tasks on the command line run."""
    if code:
        raise Exit(code=code)
