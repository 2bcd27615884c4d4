"""A server in a separate process, for the demo and the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CaptionsError


class Server(subprocess.Popen[str]):
    """A server that listens at `url`, and keeps its uploads in `storage`."""

    url: str
    storage: Path

    def uploads(self) -> list[str]:
        """The names of the files that it is working on, or has left behind."""
        return sorted(name for name in os.listdir(self.storage) if name.endswith(".wav"))


@contextmanager
def serving(storage: Path, *, stderr: int | None = None, **environment: str) -> Iterator[Server]:
    """A listening server, killed at the end of the block.

    Raises `CaptionsError` if the server exits by itself.
    """
    started = Server(
        [sys.executable, "-m", "captions", "--port", "0", "--storage", str(storage)],
        # The server can import what this process can, whatever is installed.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            raise CaptionsError(f"the server has ended with {started.wait()}")
        started.url = line.split()[-1]
        started.storage = storage
        yield started
    finally:
        started.kill()
        started.communicate()
