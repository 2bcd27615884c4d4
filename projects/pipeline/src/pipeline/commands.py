"""The command, for both the script and the task: parse, call, print, return the exit code.

0 means done, 1 an error of the disk or an older run that could not be cleaned, 2 an argument or a
text that cannot be used.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from common.temp import TempError
from common.temp.pipeline import cleanup_after_pipeline_run

from .errors import PipelineError
from .runs import default_base, make_run
from .script import shipped_text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with one line; argparse would print the usage before it."""
        self.exit(2, f"{self.prog}: {_plain(message)}\n")


def narrate(arguments: Sequence[str] | None = None) -> int:
    """Make one run, and clean older runs by the policy. Returns the exit code."""
    parser = _Parser(
        description="Make a script, a tone track, a table and a plot of a text, in a run of its "
        "own; then clean the runs that the project's policy lets go.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "text", nargs="?", help="a file, or - for standard input; else one that Python ships"
    )
    parser.add_argument("--base", type=Path, help="where the runs are (artifacts in the project)")
    args = parser.parse_args(arguments)
    # Runs that could not be cleaned are logged.
    logging.basicConfig(format=f"{parser.prog}: %(message)s")
    try:
        with _opened(args.text) as text:
            run = make_run(text, args.base or default_base(), lambda path: _say(f"run {path}"))
        _say(f"{run.lines} lines, {run.seconds:.0f} s of tones")
        done = cleanup_after_pipeline_run("narrate")
    except PipelineError as error:
        _say(f"{parser.prog}: {error}", error=True)
        return 2
    except TempError as error:
        _say(f"{parser.prog}: {error}", error=True)
        return error.exit_code
    except OSError as error:
        _say(f"{parser.prog}: {error.strerror or error}: {error.filename or 'disk'}", error=True)
        return 1
    except KeyboardInterrupt:
        return 130
    went = done["directories_deleted"] + done["directories_archived"]
    if went:
        _say(f"{went} of {done['directories_found']} runs cleaned")
    return 1 if done["errors"] else 0


def _opened(text: str | None) -> TextIO:
    if text is None:
        return shipped_text()
    try:
        source = sys.stdin.fileno() if text == "-" else text
        return open(source, encoding="utf-8", errors="replace", closefd=text != "-")
    except OSError as error:
        raise PipelineError(f"cannot read {text}: {error.strerror}; give a text file") from error


def _say(text: str, error: bool = False) -> None:
    print(_plain(text), file=sys.stderr if error else sys.stdout, flush=True)


def _plain(text: str) -> str:
    """The text, printable and on one line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
