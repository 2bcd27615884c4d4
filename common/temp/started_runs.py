"""The runs of pipelines that this process has started, and who in it may give each up."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

from .core.layouts import PIPELINE
from .store.root.ends import give_up as record_given_up
from .store.root.owner import release


class _Who(NamedTuple):
    """A process, and a thread and a task in it."""

    process: int = 0
    thread: int = 0
    task: int = 0


_mine: ContextVar[Path | None] = ContextVar("_mine", default=None)
"""The last run that this thread or task has started."""

_last: Path | None = None
"""The last run that this process has started."""

_leased: dict[Path, _Who] = {}
"""The runs that are still leased, and who started each."""

_blocks: set[Path] = set()
"""Those whose block has not ended."""


def add(run: Path, *, in_block: bool) -> None:
    """Note that the caller has started `run` and leased it, for a block or until it ends."""
    global _last
    _last = run
    _leased[run] = _caller()
    if in_block:
        _blocks.add(run)
    _mine.set(run)


def last() -> Path | None:
    """The last run that this thread or task has started, else this process."""
    return _mine.get() or _last


def let_go(run: Path) -> None:
    """End the lease that this process took to start the run; once, since others may exist."""
    _blocks.discard(run)
    if _leased.pop(run, _Who()).process == os.getpid():
        release(str(run.parent), run.name)


def give_up(run: Path) -> None:
    """Let the limits decide on the run: it counts as no good one, unless it still ends well.

    Not if it may still be at work elsewhere: in the block of another thread or task, or in a thread
    that has nothing to do with this one.
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
