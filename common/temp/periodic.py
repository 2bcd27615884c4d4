"""A thread that cleans up every so often, as long as what it cleans for is there."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

_log = logging.getLogger(__name__)


class _Cleaner(Protocol):
    def _clean_periodically(self, go_on: Callable[[], bool], *, first: bool) -> None: ...


class Periodic:
    """The thread that cleans up for `cleaner`; `where` names it, in the log too."""

    def __init__(self, cleaner: _Cleaner, seconds: float, where: str) -> None:
        self.ended: Future[None] = Future()
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._where = where
        self._stopping = threading.Event()
        # A thread that referred to the cleaner would keep it alive.
        self._cleaner = weakref.ref(cleaner, lambda _: self._stopping.set())
        self._thread = threading.Thread(target=self._run, name=f"clean {where}", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it runs and is not about to end; a forked child has no such thread."""
        return self._thread.is_alive() and self._may_go_on()

    def stop(self) -> None:
        """Tell it to end, which takes moments."""
        self._stopping.set()

    def _may_go_on(self) -> bool:
        return not self._stopping.is_set()

    def _run(self) -> None:
        self.ended.set_running_or_notify_cancel()  # from here on nobody can cancel it
        try:
            self._round(first=True)
            while not self._stopping.wait(self._seconds):
                self._round()
        finally:
            self.ended.set_result(None)

    def _round(self, first: bool = False) -> None:
        cleaner = self._cleaner()
        if cleaner is None:
            return
        try:
            cleaner._clean_periodically(self._may_go_on, first=first)
        except Exception:
            _log.exception("the clean-up of %s failed; it is tried again", self._where)
