"""A few workers that share the directories of a scan or of a removal.

Workers are forked processes, since threads share one interpreter lock, or threads where forking is
not safe. Each has a socket to the leader, which carries plain values and open directories: a
directory that one process opened is walked by another without another look at its path, so no
swap on the way leads elsewhere.

The leader keeps the queue. A worker with more than one directory left looks at a shared byte that
says whether anybody waits for work, and then gives one back to the leader. A worker may die at any
time: the leader sees the end of its socket, and its jobs come back as lost.
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

from ..root.helper import fork_helper, let_go_of
from .messages import Job, Kind, Message, Said, close_given, packed, receive, send

MOST: Final = 8
"""How many workers there may be. On a slow disk, more workers than processors help."""

_AHEAD: Final = 2
"""How many jobs a worker has at a time: the one it is at, and the next."""

_WAITING: Final = 0
_RESTS: Final = 1
"""The bytes of the shared memory: how many workers wait, then for each whether it rests."""

_LARGEST_GIFT: Final = 16_384
"""The longest message (bytes) that comes with a directory. It must fit into a socket's buffer, or
the leader could wait for a worker that waits for the leader."""

_MOST_STARTED: Final = 64
"""How many workers are started in all: if they die at once, so would more of them."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_fork() -> bool:
    """Whether forking is safe: the process certainly has no other threads.

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
    """A worker's side: jobs come in, answers and directories go out."""

    def __init__(self, index: int, channel: socket.socket, shared: mmap.mmap) -> None:
        self._index = index
        self._channel = channel
        self._shared = shared

    def jobs(self) -> Iterator[tuple[Message, int]]:
        """The jobs as they come: a message, and a descriptor (-1 for none), closed afterwards."""
        while (received := receive(self._channel)) is not None:
            try:
                yield received.message, received.descriptor
            finally:
                close_given(received.descriptor)

    def is_wanted(self) -> bool:
        """Whether somebody waits for work."""
        return self._shared[_WAITING] != 0

    def is_too_many(self) -> bool:
        """Whether this worker is to rest, since fewer are wanted."""
        return self._shared[_RESTS + self._index] != 0

    def give(self, message: Message, descriptor: int) -> bool:
        """Give a directory to the leader, for another worker; whether that was possible."""
        if len(packed(message)) > _LARGEST_GIFT:
            return False
        waiting = self._shared[_WAITING]
        if waiting:
            self._shared[_WAITING] = waiting - 1  # so that not everybody answers one call
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
    """The leader's side. Each worker runs `work`. Close it in any case."""

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
        """Have `count` workers at work, and start those that are missing.

        A forked worker closes the descriptors `locks`, and so holds none of their locks.
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
        gc.disable()  # a collection would close files that the parent left to it
        channels = [worker.channel.fileno() for worker in self._workers.values()]
        jobs = [job.descriptor for job in self._queue if job.descriptor >= 0]
        let_go_of([*locks, *channels, *jobs, ours.fileno()])
        with contextlib.suppress(OSError):  # the leader is gone, and has no more use for this
            self._work(link)

    @property
    def is_busy(self) -> bool:
        """Whether any job is queued or not answered yet."""
        return bool(self._queue) or any(worker.jobs for worker in self._workers.values())

    @property
    def room(self) -> int:
        """How many more jobs the workers can take."""
        taken = sum(len(worker.jobs) for worker in self._at_work()) + len(self._queue)
        return _AHEAD * len(self._at_work()) - taken

    def _at_work(self) -> list[_Worker]:
        return list(self._workers.values())[: self._level]

    def has(self, key: int) -> bool:
        """Whether a job with that key is queued or not answered yet."""
        return any(job.key == key for job in self._queue) or any(
            job.key == key for worker in self._workers.values() for job in worker.jobs
        )

    def put(self, job: Job) -> None:
        """Queue a job."""
        self._queue.append(job)

    def listen(self, seconds: float) -> Iterator[Said]:
        """Hand out what is queued, wait up to `seconds`, and yield what the workers said."""
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
            # It died, or got only a part of this: the next `listen` buries it.
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
        """End the workers: those at work finish their job first, or are killed if `now`.

        Killing one is safe: nothing is half-done but the tree it is working on.
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
        with contextlib.suppress(ChildProcessError):  # somebody else waits for all children
            os.waitpid(worker.pid, 0)


def _run_thread(work: Callable[[Link], None], link: Link, channel: socket.socket) -> None:
    try:
        work(link)
    except OSError:
        pass  # the leader has ended it
    finally:
        channel.close()
