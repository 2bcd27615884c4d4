"""The jobs of one server: each has a directory from its upload until its results are fetched."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from common.temp import JobStorage, StorageRoot

from .emissions import RESULTS
from .errors import Refusal, ReplayError, raise_if_full
from .pool import Pool
from .settings import Settings

_log = logging.getLogger(__name__)


class State(StrEnum):
    """The state of a job. `DONE` and those after it are final."""

    UPLOADING = "uploading"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class Job:
    """One job of this server."""

    id: str
    storage: JobStorage
    state: State = State.UPLOADING
    error: str | None = None
    ended: float | None = None
    """When it reached a final state, by the monotonic clock."""
    unfetched: set[str] = field(default_factory=lambda: set(RESULTS))
    task: asyncio.Task[None] | None = None
    releasing: asyncio.Future[None] | None = None

    @property
    def place(self) -> str:
        """The path at which clients ask for the job."""
        return f"/jobs/{quote(self.id, safe='')}"

    def document(self) -> dict[str, Any]:
        """The JSON document for clients."""
        is_there = self.state is State.DONE and self.releasing is None
        return {
            "job_id": self.id,
            "state": self.state,
            "error": self.error,
            "results": {
                name: f"{self.place}/results/{name}" for name in sorted(self.unfetched) if is_there
            },
        }


class Service:
    """Accepts jobs, computes a few at a time, and releases their directories."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = StorageRoot(settings.storage_root)
        self.jobs: dict[str, Job] = {}
        self._slots = asyncio.Semaphore(settings.workers)
        self._pool = Pool()
        self._opening = 0
        self._reaper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Clean what killed servers left, now and later again: a worker may still be ending."""
        await asyncio.to_thread(self.storage.recover)
        self._reaper = asyncio.create_task(self._reap())

    async def stop(self) -> None:
        """Stop all computations, and delete the directories of all jobs of this server."""
        tasks = [job.task for job in self.jobs.values() if job.task is not None]
        if self._reaper is not None:
            tasks.append(self._reaper)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close()
        await asyncio.to_thread(self.storage.cleanup_all)

    async def open(self, job_id: str | None) -> Job:
        """Make a new job and its directory. Raises `Refusal`."""
        kept = self._opening + sum(job.releasing is None for job in self.jobs.values())
        if kept >= self.settings.max_jobs:
            raise Refusal(503, f"there are {kept} jobs already; try again later")
        if job_id is None:
            job_id = uuid.uuid4().hex
        self._opening += 1
        try:
            storage = await asyncio.to_thread(self.storage.allocate_job, job_id)
        except ValueError as error:
            raise Refusal(400, str(error)) from None
        except FileExistsError:
            raise Refusal(409, f"there is a job {job_id!r} already; choose another id") from None
        except OSError as error:
            raise_if_full(error)
            raise
        finally:
            self._opening -= 1
        job = self.jobs[job_id] = Job(job_id, storage)
        return job

    def find(self, job_id: str) -> Job:
        """The job with that id. Raises `Refusal`."""
        job = self.jobs.get(job_id)
        if job is None:
            raise Refusal(404, f"there is no job {job_id[:80]!r}; it was never here, or is over")
        return job

    def submit(self, job: Job) -> None:
        """Start the computation of a job whose upload is complete."""
        job.state = State.QUEUED
        job.task = asyncio.create_task(self._compute(job))

    async def abandon(self, job: Job) -> None:
        """Drop a job whose upload failed."""
        self._forget(job)
        await self.release(job)

    async def end(self, job: Job) -> None:
        """Cancel a job, or discard its results, and delete its directory. Raises `Refusal`."""
        if job.task is None:
            raise Refusal(409, "the job is being uploaded; close that connection to cancel it")
        job.task.cancel()
        await asyncio.wait({job.task})
        await self.release(job)

    async def fetched(self, job: Job, name: str) -> None:
        """Record that a result was fetched. After the last one, the directory is deleted."""
        job.unfetched.discard(name)
        if not job.unfetched:
            await self.release(job)

    async def release(self, job: Job) -> None:
        """Delete the directory of a job, once: later, another job may have its id."""
        if job.releasing is None:
            job.releasing = asyncio.ensure_future(
                asyncio.to_thread(self.storage.release_job, job.id)
            )
        await asyncio.shield(job.releasing)

    async def _compute(self, job: Job) -> None:
        try:
            async with self._slots:
                job.state = State.RUNNING
                async with asyncio.timeout(self.settings.compute_seconds):
                    await self._pool.compute(job.storage)
            job.state = State.DONE
        except asyncio.CancelledError:
            job.state = State.CANCELLED
        except ReplayError as error:
            job.state, job.error = State.FAILED, str(error)
        except TimeoutError:
            most = self.settings.compute_seconds
            job.state, job.error = State.FAILED, f"it took longer than {most:g} s; send less"
        except Exception:
            _log.exception("job %s", job.id)
            job.state, job.error = State.FAILED, "an error of the server's; try again"
        job.ended = time.monotonic()
        if job.state is not State.DONE:
            await self.release(job)

    async def _reap(self) -> None:
        retention = self.settings.retention_seconds
        while True:
            await asyncio.sleep(min(60.0, retention / 4))
            over = time.monotonic() - retention
            try:
                for job in tuple(self.jobs.values()):
                    if job.ended is not None and job.ended < over:
                        self._forget(job)
                        await self.release(job)
                await asyncio.to_thread(self.storage.recover)
            except Exception:
                _log.exception("cannot clean %s now", self.storage.root)

    def _forget(self, job: Job) -> None:
        if self.jobs.get(job.id) is job:
            del self.jobs[job.id]
