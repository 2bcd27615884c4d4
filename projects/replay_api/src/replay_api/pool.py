"""The processes in which jobs are computed.

Processes and not threads: computing in Python would keep the server from answering, and a process
can be stopped when a job is cancelled or takes too long, and may die with nothing but its job.
They are started afresh, not forked, so that none holds the server's lease.
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
    """Processes that wait for the next job; there are as many as ever computed side by side."""

    def __init__(self) -> None:
        self._idle: list[Process] = []

    async def compute(self, job: JobStorage) -> None:
        """Have the results of `job` computed. If this is cancelled, nobody is at it any more.

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
        """End the processes that wait."""
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
    with suppress(BrokenPipeError, ConnectionResetError):  # then there is no answer, either
        worker.stdin.write(paths.encode() + b"\n")
        await worker.stdin.drain()
    return await worker.stdout.readline()


async def _end(worker: Process) -> None:
    with suppress(ProcessLookupError):
        worker.kill()
    await worker.wait()


def _where_packages_are() -> Iterator[str]:
    """The directories to import from, since the packages need not be installed."""
    yield str(Path(__file__).resolve().parents[1])
    yield str(Path(temp.__file__).resolve().parents[2])
    if "PYTHONPATH" in os.environ:
        yield os.environ["PYTHONPATH"]
