"""Account of files with a time to live, and what deletes them: in plain calls, from any thread."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypedDict

from .core.layout import FILES, is_inside
from .core.plan import Report, Step
from .core.retention import Policy
from .core.units import HOUR, read_number
from .errors import InvalidName, InvalidSettings, Refused, TempError
from .report.text import plain
from .store.claiming.named import (
    GoOn,
    Kind,
    NamedOutcome,
    NamedRemover,
    delete_elsewhere,
    remove_empty,
)
from .store.project.project import system_temp
from .store.root.allocation import adopt, make_root
from .store.root.owner import own, release
from .store.sweep.prepare import prepare
from .store.sweep.sweep import execute
from .store.system import at
from .store.system.at import DIRECTORY_FLAGS
from .store.trees.walk import measure

AnyPath: TypeAlias = str | os.PathLike[str]

_MIB = 1 << 20
_log = logging.getLogger(__name__)
_FACE = "FileCleanupManager"


class Cleaned(TypedDict):
    """What one clean-up did. `errors` is how many could not be deleted or looked at.

    `removed_count` is files and directories that went for their age, and `removed_size_bytes` what
    was freed, as measured: on disk, at a file's last name. That is with what a killed clean-up had
    left; directories that were empty count for neither.
    """

    removed_count: int
    removed_size_bytes: int
    removed_size_mb: float
    errors: int
    tracked_files_remaining: int


class Stats(TypedDict):
    """How things are. The size is what the tracked files and directories take on disk now."""

    tracked_files: int
    total_size_bytes: int
    total_size_mb: float
    periodic_cleanup_running: bool
    default_ttl_hours: float
    cleanup_interval_minutes: float


class _Place(NamedTuple):
    """Where something lies: its absolute path, and the one below the root if it is in there.

    `refusal` says why it can't be any business of a manager.
    """

    path: str
    relative: str | None = None
    refusal: str = ""

    @property
    def entry(self) -> str:
        """The entry of the root that it is, or lies in; "" elsewhere."""
        return (self.relative or "").partition("/")[0]


class _Mark:
    """That a path is tracked; another one each time that it is, so that the two can be told."""

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since = time.monotonic()


class Ledger:
    """Keeps account of files, and deletes them. To track and to untrack takes no time that grows
    with their number, and all of it can be called from any thread.
    """

    def __init__(
        self,
        base_temp_dir: AnyPath,
        default_ttl_hours: float = 24,
        cleanup_interval_minutes: float = 30,
    ) -> None:
        read_number(default_ttl_hours, "default_ttl_hours", "number of hours")
        if not read_number(cleanup_interval_minutes, "cleanup_interval_minutes"):
            raise InvalidSettings("cleanup_interval_minutes: expected more than 0, got 0")
        self.base_temp_dir = Path(base_temp_dir).absolute()
        self.default_ttl_hours = default_ttl_hours
        self.cleanup_interval_minutes = cleanup_interval_minutes
        spelled = os.path.abspath(self.base_temp_dir)
        make_root(spelled, FILES)
        self._root = os.path.realpath(spelled)
        self._spellings = (spelled, self._root)
        home, temporary = os.path.expanduser("~"), str(system_temp())
        self._sacred = {
            *self._spellings,
            home,
            temporary,
            *map(os.path.realpath, (home, temporary)),
        }
        self._start_afresh()
        _managers.add(self)

    def _start_afresh(self) -> None:
        """Track nothing; also in a forked child, for what is tracked is its parent's."""
        self._lock = threading.Lock()
        self._tracked: dict[str, _Mark] = {}
        self._inside: dict[str, set[str]] = {}
        """The tracked paths by the entry that they lie in, "" for those that are elsewhere."""
        self._periodic: _Periodic | None = None

    # -- keeping account --------------------------------------------------------------------

    def track_file(self, path: AnyPath) -> None:
        """Have the file (or directory) at `path` deleted when it is old; it need not be there yet.

        In `base_temp_dir` the entry that it lies in is in use from now on, so that no clean of
        another process takes it: best track a file before it is made. That costs a look and a line
        appended to an open file. Raises `Refused` for what can't be tracked (`base_temp_dir`
        itself, its store, what holds it), `InvalidName` or `StorageError`.
        """
        place = self._place(path)
        if place.refusal:
            raise Refused(f"{path} {place.refusal}")
        if "\n" in place.entry:
            raise InvalidName(f"{place.entry!r} cannot be recorded; use a name without a newline")
        with self._lock:
            if place.entry:
                self._lease(place.entry)
            self._inside.setdefault(place.entry, set()).add(place.path)
            self._tracked[place.path] = _Mark()

    def untrack_file(self, path: AnyPath) -> None:
        """Let go of the file at `path`, as when it has been moved or handed over; it stays."""
        place = self._place(path)
        mark = self._tracked.get(place.path)
        if mark is not None:
            self._forget({place.path: mark})

    def get_stats(self) -> Stats:
        """What is tracked, how large it is, and what is configured.

        Looks at each tracked file, so that many are better asked for in a thread.
        """
        with self._lock:
            known = list(self._tracked)
        size = sum(map(_size_of, known))
        return {
            "tracked_files": len(known),
            "total_size_bytes": size,
            "total_size_mb": round(size / _MIB, 2),
            "periodic_cleanup_running": self._is_running(),
            "default_ttl_hours": self.default_ttl_hours,
            "cleanup_interval_minutes": self.cleanup_interval_minutes,
        }

    def _lease(self, entry: str) -> None:
        owner = own(self._root)
        if entry not in self._inside or owner is None or entry not in owner.live:
            adopt(self._root, entry, FILES)
        elif not owner.is_current():
            # Somebody removed the store, or the root: make the leases again, each as often as
            # before.
            adopt(self._root, entry, FILES)
            release(self._root, entry)

    def _place(self, path: AnyPath) -> _Place:
        given = Path(path)
        if "\0" in str(given):
            raise InvalidName(f"{str(given)!r} contains NUL; no file has such a name")
        spelled = os.path.abspath(given)
        if os.pardir in given.parts:
            # What lies above a link is not what is written before it.
            whole = given.absolute()
            spelled = os.path.join(os.path.realpath(whole.parent), whole.name)
            if whole.name == os.pardir:
                spelled = os.path.realpath(whole)
        for root in self._spellings:
            if spelled.startswith(root + os.sep):
                relative = spelled[len(root) + 1 :].replace(os.sep, "/")
                entry = relative.partition("/")[0]
                own_file = not FILES.holds(entry, is_directory=True)
                refusal = f"is no scratch: {entry} is a part of {root} itself" if own_file else ""
                return _Place(os.path.join(self._root, relative), relative, refusal)
        for kept in self._sacred:
            if is_inside(kept, spelled) or spelled == os.path.dirname(spelled):
                verb = "is" if spelled == kept else "holds"
                return _Place(spelled, None, f"is no scratch: it {verb} {kept}")
        return _Place(spelled)

    def _forget(self, marks: dict[str, _Mark]) -> None:
        """Untrack paths; not those that were tracked anew since they had the given mark."""
        with self._lock:
            for path, mark in marks.items():
                if self._tracked.get(path) is not mark:
                    continue
                del self._tracked[path]
                entry = self._place(path).entry
                inside = self._inside[entry]
                inside.discard(path)
                if not inside:
                    del self._inside[entry]
                    if entry:
                        release(self._root, entry)

    def _marks_inside(self, place: _Place) -> dict[str, _Mark]:
        """What is tracked in the directory at `place`, itself included."""
        with self._lock:
            return {
                path: self._tracked[path]
                for path in self._inside.get(place.entry, ())
                if is_inside(path, place.path)
            }

    # -- deleting ---------------------------------------------------------------------------

    def _cleanup_file(self, path: AnyPath) -> bool:
        place = self._place(path)
        mark = self._tracked.get(place.path)
        outcome = self._delete(place, "file", mark)
        if mark is not None and outcome.is_over:
            self._forget({place.path: mark})
        tell(place.path, outcome)
        return outcome.status == "done"

    def _cleanup_directory(self, path: AnyPath, recursive: bool = True) -> bool:
        place = self._place(path)
        inside = self._marks_inside(place)
        kind: Kind = "directory" if recursive else "empty"
        outcome = self._delete(place, kind, inside.get(place.path))
        if outcome.is_over:
            self._forget(inside)
        tell(place.path, outcome)
        return outcome.is_over

    def _cleanup_all_tracked(self) -> int:
        with self._lock:
            known = list(self._tracked.items())
        removed = 0
        for path, mark in known:
            place = self._place(path)
            outcome = self._delete(place, "either", mark)
            if outcome.is_over:
                self._forget({path: mark})
            tell(path, outcome)
            removed += outcome.status == "done"
        return removed

    def _delete(self, place: _Place, kind: Kind, mark: _Mark | None) -> NamedOutcome:
        """Delete what was asked for by name."""
        if place.refusal or (place.relative is None and mark is None):
            if not os.path.lexists(place.path):
                return NamedOutcome("missing")
            why = place.refusal or f"lies outside {self._root} and was never tracked"
            return NamedOutcome("skipped", why)
        if place.relative is None:
            return delete_elsewhere(place.path, kind)
        with closing(NamedRemover(Path(self._root))) as remover:
            return remover.delete(place.relative, kind, ours=mark is not None)

    def _cleanup_old_files(
        self, max_age_hours: float | None = None, go_on: GoOn | None = None
    ) -> Cleaned:
        hours = self.default_ttl_hours if max_age_hours is None else max_age_hours
        max_age = read_number(hours, "max_age_hours", "number of hours", HOUR)
        now = time.time()
        done = _Sum()
        # As a policy has it: a limit of zero is older than nothing.
        before = now - max_age if max_age else None
        root = Path(self._root)
        with closing(NamedRemover(root, before=before, policy=True, go_on=go_on)) as remover:
            self._clean_tracked(remover, max_age, before, done, go_on)
            try:
                done.add_report(self._sweep(Policy(max_age=max_age), now, _is_directory, go_on))
                remove_empty(root, FILES, lambda path: self._spares(remover, path), go_on)
            except (_Stopped, FileNotFoundError):  # or the root has been removed
                pass
            except (TempError, OSError) as error:
                done.errors += 1
                _log.warning("cannot clean %s: %s", self._root, error)
        return {
            "removed_count": done.count,
            "removed_size_bytes": done.freed_bytes,
            "removed_size_mb": round(done.freed_bytes / _MIB, 2),
            "errors": done.errors,
            "tracked_files_remaining": len(self._tracked),
        }

    def _clean_tracked(
        self,
        remover: NamedRemover,
        max_age: float,
        before: float | None,
        done: _Sum,
        go_on: GoOn | None,
    ) -> None:
        with self._lock:
            known = list(self._tracked.items())
        for path, mark in known:
            if go_on is not None and not go_on():
                return
            place = self._place(path)
            if place.relative is None:
                outcome = delete_elsewhere(path, "either", before=before, policy=True, go_on=go_on)
            else:
                outcome = remover.delete(place.relative, "either", ours=True)
            if outcome.status == "failed":
                tell(path, outcome)
            done.add(outcome)
            # What was tracked before it was made is waited for as long as it may live.
            expected = outcome.status == "missing" and time.monotonic() - mark.since < max_age
            if outcome.is_over and not expected:
                self._forget({path: mark})

    def _recover(self, go_on: GoOn | None = None) -> int:
        try:
            # No age at all, and so nothing that this process tracks, at whatever instant.
            report = self._sweep(Policy(max_age=0.0), time.time(), _is_orphan, go_on)
        except _Stopped:
            return 0
        except (TempError, OSError) as error:
            _log.warning("cannot clean %s: %s", self._root, error)
            return 0
        return len(report.done)

    def _sweep(
        self,
        policy: Policy,
        now: float,
        wanted: Callable[[Step], bool],
        go_on: GoOn | None,
    ) -> Report:
        """Sweep the root by `policy`, but only for the steps that are `wanted`.

        Raises `_Stopped` when it is not to go on; what is half-deleted is left to the next sweep.
        """

        def look_up(*_: object) -> None:
            if go_on is not None and not go_on():
                raise _Stopped

        look_up()
        plan = prepare(
            Path(self._root), policy, now, layout=FILES, sizes=False, workers=1, progress=look_up
        )
        plan = plan._replace(steps=tuple(filter(wanted, plan.steps)))
        report = execute(plan, on_outcome=look_up, on_freed=look_up, workers=1, face=_FACE)
        for outcome in report.outcomes:
            if outcome.status == "failed":
                path = os.path.join(self._root, outcome.step.entry.path)
                _log.warning("cannot delete %s: %s", plain(str(path)), plain(outcome.detail))
        for problem in report.problems:
            if problem.blocking:
                path = os.path.join(self._root, problem.path)
                where = plain(str(path))
                _log.warning("cannot look at all of %s: %s", where, plain(problem.what))
        return report

    def _spares(self, remover: NamedRemover, path: str) -> bool:
        """Whether the empty directory at `path` stays, as tracked files may be about to come."""
        entry = path.partition("/")[0]
        absolute = os.path.join(self._root, path)
        with self._lock:
            if any(is_inside(known, absolute) for known in self._inside.get(entry, ())):
                return True
        return bool(remover.objection(entry))

    # -- every so often ---------------------------------------------------------------------

    def start_periodic_cleanup(self) -> None:
        """Clean up every `cleanup_interval_minutes`, in a thread; started twice is once.

        What a killed run left is cleaned at once. The thread ends with `stop_periodic_cleanup`,
        with the process, or when nobody has the manager any more; no loop need run for it.
        """
        with self._lock:
            if not self._is_running():
                self._periodic = _Periodic(self, self.cleanup_interval_minutes * 60)

    def _is_running(self) -> bool:
        periodic = self._periodic
        return periodic is not None and periodic.is_running

    def _end_periodic(self) -> Future[None] | None:
        """Tell the thread to end; what is done when it has, in moments. `None` if there is none."""
        periodic = self._periodic
        if periodic is None:
            return None
        periodic.stop()
        return periodic.ended


class _Periodic:
    """The thread that cleans up for a manager, as long as there is one."""

    def __init__(self, manager: Ledger, seconds: float) -> None:
        self.ended: Future[None] = Future()
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._stopping = threading.Event()
        self._manager = weakref.ref(manager, lambda _: self._stopping.set())
        self._thread = threading.Thread(
            target=self._run, name=f"clean {manager.base_temp_dir}", daemon=True
        )
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it is, and goes on; not in a forked child, which has but one thread."""
        return self._thread.is_alive() and self._may_go_on()

    def stop(self) -> None:
        """Have it end, which takes moments."""
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
        manager = self._manager()
        if manager is None:
            return
        try:
            manager._recover(self._may_go_on)
            if not first and self._may_go_on():
                manager._cleanup_old_files(go_on=self._may_go_on)
        except Exception:
            _log.exception("the clean-up of %s failed; it is tried again", manager.base_temp_dir)


class _Stopped(Exception):
    """A sweep was stopped because the periodic clean-up is to end."""


class _Sum:
    """What a clean-up did so far."""

    def __init__(self) -> None:
        self.count = 0
        self.freed_bytes = 0
        self.errors = 0

    def add(self, outcome: NamedOutcome) -> None:
        self.count += outcome.status == "done"
        self.errors += outcome.status == "failed"
        self.freed_bytes += outcome.freed_bytes

    def add_report(self, report: Report) -> None:
        self.count += len(report.done)
        self.errors += sum(outcome.status == "failed" for outcome in report.outcomes)
        self.errors += sum(problem.blocking for problem in report.problems)
        self.freed_bytes += report.freed_bytes


def _is_directory(step: Step) -> bool:
    return step.entry.kind == "directory"


def _is_orphan(step: Step) -> bool:
    """Whether some process had a lease on the entry; it is dead, or the entry would stay."""
    return step.entry.made_by is not None


def _size_of(path: str) -> int:
    try:
        status = at.stat(path, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return status.st_blocks * 512
        descriptor = at.open(path, DIRECTORY_FLAGS)
        try:
            return measure(descriptor).size
        finally:
            at.close(descriptor)
    except OSError:
        return 0


def tell(path: str | Path, outcome: NamedOutcome) -> None:
    """Log why it was not deleted, if it was not."""
    if outcome.status in ("skipped", "failed"):
        _log.warning("cannot delete %s: %s", plain(str(path)), plain(outcome.detail))


_managers: weakref.WeakSet[Ledger] = weakref.WeakSet()


def _forget_after_fork() -> None:
    for manager in tuple(_managers):
        manager._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
