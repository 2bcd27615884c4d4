"""Running git with a time limit, and without running commands that a repository configures."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from typing import Final

_SECONDS: Final = 120.0
"""A git that runs longer hangs: its filesystem does, or it waits for a person."""

_HARMLESS: Final = (
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "protocol.allow=never"),  # a partial clone does not fetch what it lacks
)


def ask_git(
    directory: str | os.PathLike[str],
    *arguments: str,
    stdin: bytes = b"",
    in_hook: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """The result of running git in `directory`. Raises `OSError` if it cannot run or times out.

    The environment variables of a git hook refer to the hook's repository, which may be another
    one: they are passed on only with `in_hook`.
    """
    environment = {
        name: said
        for name, said in os.environ.items()
        if in_hook or not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    environment |= {
        "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    command = ["git", *_HARMLESS, *arguments]
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=None if os.name == "nt" else 0,
    ) as process:
        try:
            out, said = process.communicate(stdin, timeout=_SECONDS)
        except BaseException as error:
            _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                why = f"it says nothing for {_SECONDS:g} s"
                raise TimeoutError(errno.ETIMEDOUT, why) from None
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, said)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill git and the processes that it started, which may hold its output open."""
    with contextlib.suppress(OSError):
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
