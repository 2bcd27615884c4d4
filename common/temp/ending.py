"""How a command ends: its exit code, and one line on stderr for an error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from invoke.exceptions import Exit


def run_command(command: Callable[[], int]) -> None:
    """Run `command`, and raise `Exit` with its exit code and the line for an error, if any."""
    from .errors import Declined, StorageError, TempError

    try:
        _prepare_streams()
        code = command()
        sys.stdout.flush()
    except Declined as answer:
        raise Exit(_shown(one_line(answer)), code=answer.exit_code) from None
    except TempError as error:
        raise Exit(_shown(f"error: {one_line(error)}"), code=error.exit_code) from error
    except BrokenPipeError:
        _let_go_of_stdout()
        raise Exit(code=141) from None  # 128 + 13, like a program that SIGPIPE ended
    except ModuleNotFoundError as error:
        from .needs import missing

        remedy = missing(error)
        if remedy is None:
            raise
        raise Exit(f"error: {remedy}", code=2) from error
    except OSError as error:
        _let_go_of_stdout()
        what = f"cannot use {error.filename}" if error.filename else "cannot write"
        line = f"error: {one_line(StorageError.of(what, error))}"
        raise Exit(_shown(line), code=1) from error
    except KeyboardInterrupt:
        raise Exit(code=130) from None
    if code:
        raise Exit(code=code)


def one_line(error: Exception) -> str:
    """The message of an error, as one line that is safe to print."""
    from .report.text import plain

    return plain(" ".join(str(error).split("\n")))


def _shown(line: str) -> str:
    """`line`, which goes to stderr; on a terminal it is broken at words."""
    from .commands.printing import fitted

    return fitted(line, sys.stderr)


def _prepare_streams() -> None:
    """Make sure that printing cannot stop a sweep.

    Characters that the encoding of stdout lacks are escaped, as Python does on stderr. A stream
    that was closed before we started is opened on the null device.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _let_go_of_stdout() -> None:
    """Keep the interpreter from complaining, when it exits, about output that it cannot write."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
