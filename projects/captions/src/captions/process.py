"""A server in a process of its own, for the demo and the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CaptionsError


class Server(subprocess.Popen[str]):
    """A server that listens at its `url`, and keeps its uploads in `storage`."""

    url: str
    storage: Path

    def uploads(self) -> list[str]:
        """The names of the files that it works on, or that it has left."""
        return sorted(name for name in os.listdir(self.storage) if name.endswith(".wav"))


@contextmanager
def serving(storage: Path, *, stderr: int | None = None, **environment: str) -> Iterator[Server]:
    """A server that listens; killed at the end of the block. Raises `CaptionsError` if it ends."""
    started = Server(
        [sys.executable, "-m", "captions", "--port", "0", "--storage", str(storage)],
        # What can be imported here can be there, whatever is installed.
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
