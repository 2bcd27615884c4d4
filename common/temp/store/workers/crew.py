"""A few workers that share the directories of a scan or of a removal.

Workers are forked processes, since threads share one interpreter lock, or threads where forking is
not safe. Each has a socket to the leader, which carries plain values and open directories: a
directory that one process opened is walked by another without resolving its path again, so
swapping a parent directory cannot redirect the walk.

The leader keeps the queue. A worker with more than one directory left checks a shared byte that
says whether another worker waits for work, and if so gives one back to the leader. A worker may die
at any time: the leader notices that its socket is closed, and its jobs are reported as lost.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ..root.forked_helpers import fork_helper, let_go_of
from .messages import Job, Kind, Message, Said, close_given, packed, receive, send

MOST: Final = 8
"""The maximum number of workers. On a slow disk, more workers than processors help."""

_AHEAD: Final = 2
"""How many jobs a worker has at a time: the current one and the next."""

_WAITING: Final = 0
_RESTS: Final = 1
"""Offsets in the shared memory: the number of waiting workers, then one flag per worker that tells
it to rest."""

_LARGEST_GIFT: Final = 16_384
"""The longest message (bytes) that comes with a directory. It must fit into a socket's buffer, or
the leader could wait for a worker that waits for the leader."""

_MOST_STARTED: Final = 64
"""How many workers are started in total: if they die at once, further ones would too."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_fork() -> bool:
    """Whether forking is safe, because the process certainly has no other threads.

    A fork copies only the calling thread: a lock that another thread holds stays locked in the
    child forever. Only `/proc` shows threads that Python did not start.
    """
    if not (hasattr(os, "fork") and hasattr(socket, "send_fds")):
        return False
    if threading.active_count() > 1:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class Link:
    """The worker's side: receives jobs, sends results and directories."""

    def __init__(self, index: int, channel: socket.socket, shared: mmap.mmap) -> None:
        self._index = index
        self._channel = channel
        self._shared = shared

    def jobs(self) -> Iterator[tuple[Message, int]]:
        """The jobs as they arrive: a message, and a descriptor (-1 for none), closed afterwards."""
        while (received := receive(self._channel)) is not None:
            try:
                yield received.message, received.descriptor
            finally:
                close_given(received.descriptor)

    def is_wanted(self) -> bool:
        """Whether another worker waits for work."""
        return self._shared[_WAITING] != 0

    def is_too_many(self) -> bool:
        """Whether this worker should rest, because fewer are wanted."""
        return self._shared[_RESTS + self._index] != 0

    def give(self, message: Message, descriptor: int) -> bool:
        """Give a directory to the leader, for another worker; return whether that was possible."""
        if len(packed(message)) > _LARGEST_GIFT:
            return False
        waiting = self._shared[_WAITING]
        if waiting:
            self._shared[_WAITING] = waiting - 1  # so that only one worker responds
        try:
            send(self._channel, Kind.GIFT, message, descriptor)
        except OSError:  # out of descriptors in flight
            return False
        return True

    def tell(self, message: Message) -> None:
        """Report progress."""
        send(self._channel, Kind.PROGRESS, message)

    def answer(self, message: Message) -> None:
        """End a job with its result."""
        send(self._channel, Kind.RESULT, message)


class _Worker:
    def __init__(
        self, index: int, channel: socket.socket, pid: int, thread: threading.Thread | None
    ) -> None:
        self.index = index
        self.channel = channel
        self.pid = pid
        self.thread = thread
        self.jobs: deque[Job] = deque()


class Crew:
    """The leader's side. Each worker runs `work`. Must be closed."""

    def __init__(self, work: Callable[[Link], None], *, fork: bool) -> None:
        self._work = work
        self._fork = fork
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self._workers: dict[int, _Worker] = {}
        self._poll = select.poll()
        self._queue: deque[Job] = deque()
        self._started = 0
        self._level = 1

    def __len__(self) -> int:
        return len(self._workers)

    def set_level(self, count: int, locks: Sequence[int] = ()) -> None:
        """Let `count` workers work, starting new ones if needed.

        A forked worker closes the descriptors `locks`, so it holds none of their locks.
        """
        while len(self._workers) < count and self._started < _MOST_STARTED:
            try:
                self._start(locks)
            except OSError:
                break  # out of processes or descriptors: continue with the existing workers
        self._level = count
        for position, worker in enumerate(self._workers.values()):
            self._shared[_RESTS + worker.index] = position >= count

    def _start(self, locks: Sequence[int]) -> None:
        ours, theirs = socket.socketpair()
        index = self._started
        link = Link(index, theirs, self._shared)
        thread = None
        pid = 0
        try:
            if self._fork:
                pid = fork_helper(lambda: self._run_child(ours, link, locks))
                theirs.close()
            else:
                thread = threading.Thread(
                    target=_run_thread, args=(self._work, link, theirs), daemon=True
                )
                thread.start()
        except (OSError, RuntimeError) as error:
            ours.close()
            theirs.close()
            if pid:
                _wait_for(_Worker(index, ours, pid, None))
            raise OSError(str(error)) from error
        self._started += 1
        self._workers[ours.fileno()] = _Worker(index, ours, pid, thread)
        self._poll.register(ours.fileno(), select.POLLIN)

    def _run_child(self, ours: socket.socket, link: Link, locks: Sequence[int]) -> None:
        gc.disable()  # a collection would close files inherited from the parent
        channels = [worker.channel.fileno() for worker in self._workers.values()]
        jobs = [job.descriptor for job in self._queue if job.descriptor >= 0]
        let_go_of([*locks, *channels, *jobs, ours.fileno()])
        with contextlib.suppress(OSError):  # the leader is gone and does not need this any more
            self._work(link)

    @property
    def is_busy(self) -> bool:
        """Whether any job is queued or unfinished."""
        return bool(self._queue) or any(worker.jobs for worker in self._workers.values())

    @property
    def room(self) -> int:
        """How many more jobs the workers can take."""
        taken = sum(len(worker.jobs) for worker in self._at_work()) + len(self._queue)
        return _AHEAD * len(self._at_work()) - taken

    def _at_work(self) -> list[_Worker]:
        return list(self._workers.values())[: self._level]

    def has(self, key: int) -> bool:
        """Whether a job with that key is queued or unfinished."""
        return any(job.key == key for job in self._queue) or any(
            job.key == key for worker in self._workers.values() for job in worker.jobs
        )

    def put(self, job: Job) -> None:
        """Queue a job."""
        self._queue.append(job)

    def listen(self, seconds: float) -> Iterator[Said]:
        """Hand out queued jobs, wait up to `seconds`, and yield the workers' messages."""
        if not self._workers:  # all have died
            while self._queue:
                job = self._queue.popleft()
                try:
                    yield Said(Kind.DEATH, job)
                finally:
                    close_given(job.descriptor)
            return
        self._hand_out()
        for descriptor, _ in self._poll.poll(seconds * 1000):
            worker = self._workers[descriptor]
            try:
                received = receive(worker.channel)
            except OSError:
                received = None
            if received is None:
                yield from self._bury(worker)
                continue
            job = worker.jobs[0]
            if received.kind is Kind.GIFT:
                self._queue.appendleft(Job(job.key, received.message, received.descriptor))
            elif received.kind is Kind.PROGRESS:
                yield Said(received.kind, job, received.message)
            else:
                worker.jobs.popleft()
                self._hand_out()
                try:
                    yield Said(received.kind, job, received.message)
                finally:
                    close_given(job.descriptor)

    def _hand_out(self) -> None:
        at_work = self._at_work()
        for ahead in range(_AHEAD):
            for worker in at_work:
                if self._queue and len(worker.jobs) <= ahead:
                    self._give(worker, self._queue.popleft())
        self._shared[_WAITING] = (
            0 if self._queue else min(255, sum(not worker.jobs for worker in at_work))
        )

    def _give(self, worker: _Worker, job: Job) -> None:
        worker.jobs.append(job)
        try:
            send(worker.channel, Kind.JOB, job.message, job.descriptor)
        except OSError:
            # It died, or received only part of this: the next `listen` buries it.
            with contextlib.suppress(OSError):
                worker.channel.shutdown(socket.SHUT_RDWR)

    def _bury(self, worker: _Worker) -> Iterator[Said]:
        descriptor = worker.channel.fileno()
        self._poll.unregister(descriptor)
        del self._workers[descriptor]
        worker.channel.close()
        _wait_for(worker)
        try:
            for job in worker.jobs:
                yield Said(Kind.DEATH, job)
        finally:
            for job in worker.jobs:
                close_given(job.descriptor)

    def close(self, *, now: bool = False) -> None:
        """End the workers: busy ones finish their jobs first, or are killed if `now`.

        Killing one is safe: only the tree that it is working on is left half-done.
        """
        for worker in self._workers.values():
            if now and worker.pid:
                os.kill(worker.pid, signal.SIGKILL)
            worker.channel.close()
        for worker in self._workers.values():
            _wait_for(worker)
            for job in worker.jobs:
                close_given(job.descriptor)
        for job in self._queue:
            close_given(job.descriptor)
        self._workers.clear()
        self._queue.clear()


def _wait_for(worker: _Worker) -> None:
    if worker.thread is not None:
        worker.thread.join()
    else:
        with contextlib.suppress(ChildProcessError):  # other code has reaped all children
            os.waitpid(worker.pid, 0)


def _run_thread(work: Callable[[Link], None], link: Link, channel: socket.socket) -> None:
    try:
        work(link)
    except OSError:
        pass  # the leader has closed the socket
    finally:
        channel.close()
