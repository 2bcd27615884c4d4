"""A thread that cleans up at intervals until the object it cleans for is garbage-collected."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Protocol

_log = logging.getLogger(__name__)


_BEAT_SECONDS: Final = 0.5
"""How often the process is recorded as alive; a recovery tolerates twice that."""


class _Cleaner(Protocol):
    def _show_life(self) -> None: ...
    def _clean_periodically(self, go_on: Callable[[], bool], *, first: bool) -> None: ...


class Periodic:
    """The thread that cleans up for `cleaner`; `where` names it, in the log too."""

    def __init__(self, cleaner: _Cleaner, seconds: float, where: str) -> None:
        self.ended: Future[None] = Future()
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._where = where
        self._shown = time.monotonic()
        self._is_stopping = False
        # Reentrant, unlike an Event's lock: a signal handler or the garbage collector may call
        # `stop` while this thread is checking whether it is stopped.
        self._woken = threading.Condition(threading.RLock())
        # A thread that referred to the cleaner would keep it alive.
        self._cleaner = weakref.ref(cleaner, lambda _: self.stop())
        self._thread = threading.Thread(target=self._run, name=f"clean {where}", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it runs and is not about to end; a forked child has no such thread."""
        return self._thread.is_alive() and not self._is_stopping

    def stop(self) -> None:
        """Tell it to end, which takes moments."""
        self._is_stopping = True
        with self._woken:
            self._woken.notify_all()

    def _may_go_on(self) -> bool:
        now = time.monotonic()
        if now - self._shown >= _BEAT_SECONDS and (cleaner := self._cleaner()) is not None:
            self._shown = now
            cleaner._show_life()
        return not self._is_stopping

    def _run(self) -> None:
        self.ended.set_running_or_notify_cancel()  # it can no longer be cancelled
        try:
            self._round(first=True)
            due = time.monotonic() + self._seconds
            while not self._is_stopped_within(min(_BEAT_SECONDS, due - time.monotonic())):
                if self._may_go_on() and time.monotonic() >= due:
                    self._round()
                    due = time.monotonic() + self._seconds
        finally:
            self.ended.set_result(None)

    def _is_stopped_within(self, seconds: float) -> bool:
        with self._woken:
            return self._woken.wait_for(lambda: self._is_stopping, max(0.0, seconds))

    def _round(self, first: bool = False) -> None:
        cleaner = self._cleaner()
        if cleaner is None:
            return
        try:
            cleaner._clean_periodically(self._may_go_on, first=first)
        except Exception:
            _log.exception("the clean-up of %s failed; it is tried again", self._where)
