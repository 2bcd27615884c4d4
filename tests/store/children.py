"""Processes that a test forks, and their own children."""

from __future__ import annotations

import os
import pickle
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds after which what a test waits for counts as never coming."""


def in_child(work: Callable[[], T]) -> T:
    """What `work` returns in a forked process, which has one thread whatever this one has."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            try:
                said = pickle.dumps((work(), ""))
            except BaseException:
                said = pickle.dumps((None, traceback.format_exc()))
            with open(writing, "wb") as pipe:
                pipe.write(len(said).to_bytes(8, "big") + said)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with open(reading, "rb") as pipe:
            # Not to the end of it: what the child has left behind may hold the other side.
            result, error = pickle.loads(pipe.read(int.from_bytes(pipe.read(8), "big")))
    finally:
        os.waitpid(child, 0)
    assert not error, error
    return result  # type: ignore[no-any-return]


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait for a condition; fails if it does not come."""
    end, pause = time.monotonic() + DEADLINE, 0.002
    while not is_so():
        assert time.monotonic() < end, f"{what}: not within {DEADLINE:g} s"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.05)


def children_of(pid: int) -> list[int]:
    """The processes that the process `pid` has started and not yet waited for."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def state_of(pid: int) -> str:
    """The state of a process: "T" if it is stopped, "" if it has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state in "ZX" else state


def has_children() -> bool:
    """Whether this process has any child, be it dead and not yet waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def descriptors() -> list[str]:
    """The descriptors that this process has open."""
    return sorted(os.listdir("/proc/self/fd"))
