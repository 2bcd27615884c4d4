"""Runs the program `tempkeep` while `strace` makes one of its system calls fail, or kills it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import environment
from tests.warm import Started

CODE = """
import os, posix, sys
from common.temp.__main__ import main
os.fsync = posix.fsync  # a warm interpreter has replaced it
print("ready", flush=True)
sys.stdin.readline()
{does}
"""


def traced(
    call: str, inject: str, *arguments: str, cwd: Path, does: str = "main()"
) -> subprocess.CompletedProcess[str]:
    """The result of `tempkeep` while strace does `inject` at `call`, such as `signal=KILL:when=2`.
    Skips the test where strace may not trace. `does` is code to run instead of `main`.

    strace is attached once all modules are loaded, which would take ten times as long under it.
    """
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    options = ["-f", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{inject}"]
    with Started(
        [sys.executable, "-c", CODE.format(does=does), *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        command = ["strace", *options, "-p", str(started.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            heard = tracer.stderr.readline()
            out, error = started.communicate("go\n", timeout=120)
    if "attached" not in heard:
        pytest.skip(f"cannot trace: {heard.strip()}")
    return subprocess.CompletedProcess(arguments, started.returncode, out, error)
