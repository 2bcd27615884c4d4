"""The processes that compute jobs.

They are processes, not threads: a computation in a thread would keep the server from answering. A
process can be stopped if its job is cancelled or takes too long, and if it dies, only its job is
lost. They are started, not forked, so that none of them holds the server's lease.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from common import temp
from common.temp import JobStorage

from .errors import BadInput, ReplayError


class Pool:
    """Processes that wait for the next job: as many as have ever computed at the same time."""

    def __init__(self) -> None:
        self._idle: list[Process] = []

    async def compute(self, job: JobStorage) -> None:
        """Have a process compute the results of `job`. If cancelled, the process is stopped.

        Raises `BadInput` for an upload that cannot be used, and `ReplayError` if the process dies.
        """
        worker = await self._worker()
        try:
            answer = await _ask(worker, job)
        except BaseException:
            await _end(worker)
            raise
        if not answer:
            code = await worker.wait()
            raise ReplayError(f"the computation ended with {code}; try again, or with less data")
        self._idle.append(worker)
        error = json.loads(answer).get("error")
        if error is not None:
            raise BadInput(error)

    async def close(self) -> None:
        """End the waiting processes."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*map(_end, idle))

    async def _worker(self) -> Process:
        while self._idle:
            worker = self._idle.pop()
            if worker.returncode is None:
                return worker
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "replay_api.worker"),
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_where_packages_are())},
        )


async def _ask(worker: Process, job: JobStorage) -> bytes:
    assert worker.stdin is not None
    assert worker.stdout is not None
    paths = json.dumps({name: str(path) for name, path in asdict(job).items()})
    with suppress(BrokenPipeError, ConnectionResetError):  # then there is no answer either
        worker.stdin.write(paths.encode() + b"\n")
        await worker.stdin.drain()
    return await worker.stdout.readline()


async def _end(worker: Process) -> None:
    with suppress(ProcessLookupError):
        worker.kill()
    await worker.wait()


def _where_packages_are() -> Iterator[str]:
    """The directories to import from: the packages need not be installed."""
    yield str(Path(__file__).resolve().parents[1])
    yield str(Path(temp.__file__).resolve().parents[2])
    if "PYTHONPATH" in os.environ:
        yield os.environ["PYTHONPATH"]
