"""A few workers that share the directories of a scan or of a removal.

Workers are forked processes, since threads share one interpreter lock; threads where forking is
not safe. Each has a socket to the one who leads, over which plain values and open directories go:
a directory that was opened by one process is walked by another without its path being looked up
again, so nothing that is swapped on the way leads anywhere else.

The leader keeps the queue. Workers that have more than one directory before them look at one
shared byte, which says whether anybody waits for some, and give one back to the leader if so. A
worker may die at any instant: the leader sees the end of its socket, and who gave it the work
gets it back as lost.
"""

from __future__ import annotations

import array
import contextlib
import gc
import marshal
import mmap
import os
import select
import signal
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from ..root.helper import fork_helper, let_go_of
from ..system import at

Message: TypeAlias = tuple[Any, ...]

MOST: Final = 8
"""How many workers there may be. More than there are processors help a disk that one waits for."""

_AHEAD: Final = 2
"""How many jobs a worker has at a time: the one it is at, and the next."""

_CLOEXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_HEADER: Final = struct.Struct("=cI")
_WAITING: Final = 0
_RESTS: Final = 1
"""The bytes of the shared memory: how many workers wait; then for each whether it is to rest."""

_LARGEST_GIFT: Final = 16_384
"""The longest message (bytes) that comes with a directory: it has to fit into a socket's buffer,
or the leader could wait for a worker that waits for the leader."""

_MOST_STARTED: Final = 64
"""How many workers are started in all: where they die at once, more would die too."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_fork() -> bool:
    """Whether forking is safe: in a process of which it can be told that it has no other threads.

    A fork copies only the thread that calls it; what another thread held locked stays locked in
    the child for ever. Threads that were not started by Python are seen in `/proc` alone.
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
        """The jobs as they come: a message, and a descriptor (-1 for none) that is closed after."""
        while (received := _receive(self._channel)) is not None:
            _, message, descriptor = received
            try:
                yield message, descriptor
            finally:
                if descriptor >= 0:
                    at.close(descriptor)

    def is_wanted(self) -> bool:
        """Whether somebody waits for a part of this worker's work."""
        return self._shared[_WAITING] != 0

    def is_too_many(self) -> bool:
        """Whether fewer workers are to work, and this is not one of them."""
        return self._shared[_RESTS + self._index] != 0

    def give(self, message: Message, descriptor: int) -> bool:
        """Give a directory back to the leader, for somebody else; whether that was possible."""
        if len(marshal.dumps(message)) > _LARGEST_GIFT:
            return False
        waiting = self._shared[_WAITING]
        if waiting:
            self._shared[_WAITING] = waiting - 1  # so that not everybody answers one call
        try:
            _send(self._channel, b"+", message, descriptor)
        except OSError:  # out of descriptors in flight
            return False
        return True

    def tell(self, message: Message) -> None:
        """Say how far it has come."""
        _send(self._channel, b".", message)

    def answer(self, message: Message) -> None:
        """End a job with its result."""
        _send(self._channel, b"=", message)


class Job(NamedTuple):
    """A part of the work: whose it is, what the worker is told, and the directory (-1 for none).

    The descriptor belongs to the crew, which closes it.
    """

    key: int
    message: Message
    descriptor: int = -1


class Said(NamedTuple):
    """What a worker said of a job: `kind` is "." underway, "=" done, or "!" died over it."""

    kind: str
    job: Job
    message: Message = ()


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
    """The leader's side. `work` is what each worker runs; to be closed, whatever happens."""

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
        """Have `count` workers at work; those that are missing are started.

        A forked one keeps none of the `locks` that are held by those descriptors.
        """
        while len(self._workers) < count and self._started < _MOST_STARTED:
            try:
                self._start(locks)
            except OSError:
                break  # no process or descriptor to be had: those that are there have to do
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
        """Whether there is anything that a worker has not answered yet, or has not got."""
        return bool(self._queue) or any(worker.jobs for worker in self._workers.values())

    @property
    def room(self) -> int:
        """How many more jobs the workers could be given."""
        taken = sum(len(worker.jobs) for worker in self._at_work()) + len(self._queue)
        return _AHEAD * len(self._at_work()) - taken

    def _at_work(self) -> list[_Worker]:
        return list(self._workers.values())[: self._level]

    def has(self, key: int) -> bool:
        """Whether a job of that key is queued or not yet answered."""
        return any(job.key == key for job in self._queue) or any(
            job.key == key for worker in self._workers.values() for job in worker.jobs
        )

    def put(self, job: Job) -> None:
        """Queue a job."""
        self._queue.append(job)

    def listen(self, seconds: float) -> Iterator[Said]:
        """Hand out what is queued, wait for up to `seconds`, and yield what workers said."""
        if not self._workers:  # all have died
            while self._queue:
                job = self._queue.popleft()
                try:
                    yield Said("!", job)
                finally:
                    _close(job.descriptor)
            return
        self._hand_out()
        for descriptor, _ in self._poll.poll(seconds * 1000):
            worker = self._workers[descriptor]
            try:
                received = _receive(worker.channel)
            except OSError:
                received = None
            if received is None:
                yield from self._bury(worker)
                continue
            kind, message, given = received
            job = worker.jobs[0]
            if kind == b"+":
                self._queue.appendleft(Job(job.key, message, given))
            elif kind == b".":
                yield Said(".", job, message)
            else:
                worker.jobs.popleft()
                self._hand_out()
                try:
                    yield Said("=", job, message)
                finally:
                    _close(job.descriptor)

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
            _send(worker.channel, b"-", job.message, job.descriptor)
        except OSError:
            # It died, or nobody knows how much of this it has got: the next `listen` buries it.
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
                yield Said("!", job)
        finally:
            for job in worker.jobs:
                _close(job.descriptor)

    def close(self, *, now: bool = False) -> None:
        """End the workers: those that are at work finish their job first, or are killed `now`.

        To kill one is safe: it has nothing half-done but the tree that it is at.
        """
        for worker in self._workers.values():
            if now and worker.pid:
                os.kill(worker.pid, signal.SIGKILL)
            worker.channel.close()
        for worker in self._workers.values():
            _wait_for(worker)
            for job in worker.jobs:
                _close(job.descriptor)
        for job in self._queue:
            _close(job.descriptor)
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


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        at.close(descriptor)


def _send(channel: socket.socket, kind: bytes, message: Message, descriptor: int = -1) -> None:
    data = marshal.dumps(message)
    head = _HEADER.pack(kind, len(data))
    if descriptor >= 0:
        # A stream may take a part of it; the descriptor goes with the first byte.
        sent = channel.sendmsg(
            [head, data],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))],
        )
        data, head = (head + data)[sent:], b""
    channel.sendall(head + data)


def _receive(channel: socket.socket) -> tuple[bytes, Message, int] | None:
    """A kind, a message and a descriptor or -1; `None` at the end."""
    head, descriptors, _, _ = socket.recv_fds(channel, _HEADER.size, 1, _CLOEXEC)
    if not head:
        return None
    try:
        while len(head) < _HEADER.size:
            head += _more(channel, _HEADER.size - len(head))
        kind, size = _HEADER.unpack(head)
        data = bytearray()
        while len(data) < size:
            data += _more(channel, size - len(data))
    except BaseException:  # it died in the middle of it
        for descriptor in descriptors:
            _close(descriptor)
        raise
    # From our own fork, over a socket that nobody else has.
    return kind, marshal.loads(data), descriptors[0] if descriptors else -1  # noqa: S302


def _more(channel: socket.socket, size: int) -> bytes:
    data = channel.recv(min(size, 1 << 20))
    if not data:
        raise ConnectionResetError
    return data
