"""The pipeline runs that this process has started, and which thread or task may give each up."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from .core.layouts import PIPELINE
from .store.root.owner import release
from .store.root.run_ends import give_up as record_given_up


class _Who(NamedTuple):
    """A process, and a thread and a task in it."""

    process: int = 0
    thread: int = 0
    task: int = 0


_mine: ContextVar[Path | None] = ContextVar("_mine", default=None)
"""The last run started by this thread or task."""

_last: Path | None = None
"""The last run started by this process."""

_leased: dict[Path, _Who] = {}
"""The runs that are still leased, each with the thread and task that started it."""

_blocks: set[Path] = set()
"""The runs whose block has not ended."""


def add(run: Path, *, in_block: bool) -> None:
    """Record that the caller has started and leased `run`, for a block or its whole life."""
    global _last
    _last = run
    _leased[run] = _caller()
    if in_block:
        _blocks.add(run)
    _mine.set(run)


def last() -> Path | None:
    """Return the last run started by this thread or task, else by this process."""
    return _mine.get() or _last


def let_go(run: Path) -> None:
    """End, only once, the lease that this process took to start the run; there may be others."""
    _blocks.discard(run)
    if _leased.pop(run, _Who()).process == os.getpid():
        release(str(run.parent), run.name)


def give_up(run: Path) -> None:
    """Let the limits decide on the run; it does not count as a good one, unless it still ends well.

    Does nothing if the run may still be in use elsewhere: in the block of another thread or task,
    or in a thread unrelated to this one.
    """
    starter, caller = _leased.get(run, _Who()), _caller()
    is_ours = starter == caller
    if run not in _blocks:
        is_related = _mine.get() == run or starter.thread == caller.thread
        is_ours = starter.process == caller.process and is_related
    if is_ours:
        record_given_up(str(run.parent), run.name, PIPELINE)
        let_go(run)


def _caller() -> _Who:
    task = 0
    if "asyncio" in sys.modules:
        import asyncio

        with contextlib.suppress(RuntimeError):  # no loop runs in this thread
            task = id(asyncio.current_task())
    return _Who(os.getpid(), threading.get_ident(), task)
