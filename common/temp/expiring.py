"""Deletes tracked files: by name, by age, or because a killed run left them."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Final, TypedDict

from .companions import changed_since, delete_whole
from .core.layouts import FILES, directories_above
from .core.links import once
from .core.plan import Plan, Report
from .core.policy import Policy, policy_of_age
from .core.protections import excluding
from .core.units import HOUR, read_number
from .errors import InvalidSettings, TempError
from .ledger import AnyPath, Ledger, Mark, Place
from .periodic import Periodic
from .report.text import plain
from .store.claiming.named_removal import GoOn, Kind, NamedOutcome, NamedRemover, delete_elsewhere
from .store.project.store_guard import folds_case
from .store.root.arrivals import is_remainder
from .store.root.leases import Leases
from .store.root.owner_file import strike
from .store.root.owner_file_reading import Left
from .store.root.owner_kinds import TRACKED
from .store.settings.loading import keeping
from .store.sweep.kept_files import is_kept
from .store.sweep.sweep import execute
from .store.trees.measured import Measured
from .store.trees.measured_path import measure_at

_MIB = 1 << 20
_log = logging.getLogger(__name__)
_FACE = "FileCleanupManager"

_ALLOWED_SECONDS: Final = 1.0
"""How long (seconds) after it was last seen alive a process may have made a tracked file. A newer
file was made by another process, and stays.
"""


class Cleaned(TypedDict):
    """What one clean-up did. `errors` counts what could not be deleted or read.

    `removed_count` counts the files and directories that were deleted for their age, and
    `removed_size_bytes` is the length of those files and of the files in the directories.
    `removed_disk_bytes` is what was freed, measured on disk; a hard-linked file counts when its
    last name goes, and what a killed clean-up left is included.
    """

    removed_count: int
    removed_size_bytes: int
    removed_size_mb: float
    removed_disk_bytes: int
    errors: int
    tracked_files_remaining: int


class Stats(TypedDict):
    """The present state. `total_size_bytes` is the length of the tracked files and of the files in
    tracked directories, `total_disk_bytes` what all of that takes on disk.
    """

    tracked_files: int
    total_size_bytes: int
    total_size_mb: float
    total_disk_bytes: int
    periodic_cleanup_running: bool
    default_ttl_hours: float
    cleanup_interval_minutes: float


class ExpiringFiles(Ledger):
    """Deletes the files that it tracks, by plain calls from any thread."""

    def __init__(
        self,
        base_temp_dir: AnyPath,
        default_ttl_hours: float = 24,
        cleanup_interval_minutes: float = 30,
    ) -> None:
        read_number(default_ttl_hours, "default_ttl_hours", "number of hours")
        if not read_number(cleanup_interval_minutes, "cleanup_interval_minutes"):
            raise InvalidSettings("cleanup_interval_minutes: expected more than 0, got 0")
        self.default_ttl_hours = default_ttl_hours
        self.cleanup_interval_minutes = cleanup_interval_minutes
        super().__init__(base_temp_dir)

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self._periodic: Periodic | None = None

    def get_stats(self) -> Stats:
        """What is tracked, how large, and what is configured; with many files, call it in a thread:
        it reads the size of each.
        """
        known = self._known()
        found = [_measure(path) for path, _ in known]
        length = sum(one.length for one in found)
        return {
            "tracked_files": len(known),
            "total_size_bytes": length,
            "total_size_mb": round(length / _MIB, 2),
            "total_disk_bytes": sum(once(found)),
            "periodic_cleanup_running": self._is_running(),
            "default_ttl_hours": self.default_ttl_hours,
            "cleanup_interval_minutes": self.cleanup_interval_minutes,
        }

    def _known(self) -> list[tuple[str, Mark]]:
        with self._lock:
            return list(self._tracked.items())

    def start_periodic_cleanup(self) -> None:
        """Clean up every `cleanup_interval_minutes`, in a thread; a second call does nothing.

        What a killed run left is cleaned at once. The thread ends with `stop_periodic_cleanup`,
        with the process, or when the manager is garbage collected; it needs no event loop.
        """
        with self._lock:
            if self._is_running():
                return
            seconds = self.cleanup_interval_minutes * 60
            periodic = Periodic(self, seconds, str(self.base_temp_dir))
            if self._is_running():  # a signal's handler has started one meanwhile
                periodic.stop()
            else:
                self._periodic = periodic

    def _is_running(self) -> bool:
        periodic = self._periodic
        return periodic is not None and periodic.is_running

    def _end_periodic(self) -> Future[None] | None:
        """A future that is done when the thread ends, which is soon; `None` without a thread."""
        periodic = self._periodic
        if periodic is None:
            return None
        periodic.stop()
        return periodic.ended

    def _clean_periodically(self, go_on: GoOn, *, first: bool) -> None:
        self._recover(go_on)
        if not first and go_on():
            self._cleanup_old_files(go_on=go_on)

    # -- deleting ---------------------------------------------------------------------------

    def _cleanup_file(self, file_path: AnyPath) -> bool:
        place = self._place(file_path)
        mark = self._tracked.get(place.path)
        outcome = self._delete(place, "file", mark)
        if mark is not None and outcome.is_over:
            self._forget({place.path: mark})
        tell(place.path, outcome)
        return outcome.status == "done"

    def _cleanup_directory(self, directory: AnyPath, recursive: bool = True) -> bool:
        place = self._place(directory)
        inside = self._marks_inside(place)
        kind: Kind = "directory" if recursive else "empty"
        outcome = self._delete(place, kind, inside.get(place.path))
        if outcome.is_over:
            self._forget(inside)
        tell(place.path, outcome)
        return outcome.is_over

    def _cleanup_all_tracked(self) -> int:
        removed = 0
        for path, mark in self._known():
            place = self._place(path)
            outcome = NamedOutcome("skipped", "another manager tracks something in it")
            if not self._is_anothers(place):
                outcome = self._delete(place, "either", mark, policy=True)
            if outcome.is_over:
                self._forget({path: mark})
            tell(path, outcome)
            removed += outcome.status == "done"
        return removed

    def _delete(
        self, place: Place, kind: Kind, mark: Mark | None, *, policy: bool = False
    ) -> NamedOutcome:
        """Delete what the caller named; by a `policy`, what is pinned or in use stays."""
        if place.refusal or (place.relative is None and mark is None):
            if not os.path.lexists(place.path):
                return NamedOutcome("missing")
            why = place.refusal or f"is outside {self._root} and was never tracked"
            return NamedOutcome("skipped", why)
        if place.relative is None:
            return delete_whole(
                place.path, lambda path: delete_elsewhere(path, kind, policy=policy)
            )
        with closing(NamedRemover(Path(self._root), policy=policy)) as remover:
            return delete_whole(
                place.path,
                lambda path: remover.delete(self._below(path), kind, ours=mark is not None),
            )

    def _below(self, path: str) -> str:
        """The path below the root of one that lies in it."""
        return path[len(self._root) + 1 :].replace(os.sep, "/")

    def _cleanup_old_files(
        self, max_age_hours: float | None = None, go_on: GoOn | None = None
    ) -> Cleaned:
        hours = self.default_ttl_hours if max_age_hours is None else max_age_hours
        policy = policy_of_age(hours, "max_age_hours")
        max_age = policy.max_age or 0.0
        now = time.time()
        done = _Sum()
        # As in a policy: with a limit of zero, everything is older.
        before = now - max_age if max_age else None
        root = Path(self._root)
        with closing(NamedRemover(root, before=before, policy=True, go_on=go_on)) as remover:
            self._clean_tracked(remover, max_age, before, done, go_on)
        try:
            done.freed_bytes += self._finish_killed(go_on).freed_bytes
        except (_Stopped, FileNotFoundError):  # or the root has been removed
            pass
        except (TempError, OSError) as error:
            done.errors += 1
            _log.warning("cannot clean %s: %s", self._root, error)
        return {
            "removed_count": done.count,
            "removed_size_bytes": done.length,
            "removed_size_mb": round(done.length / _MIB, 2),
            "removed_disk_bytes": done.freed_bytes,
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
        base = self._base()
        for path, mark in self._known():
            if go_on is not None and not go_on():
                return
            place = self._place(path)
            limit = before
            if before is not None and mark.tried is not None:
                limit = max(before, mark.tried)
            if limit is not None and changed_since(path, limit):
                continue
            # Skip also if another directory has replaced the one in which it was tracked.
            if self._is_anothers(place) or (place.relative is not None and mark.base != base):
                continue
            if place.relative is None:

                def delete(path: str, limit: float | None = limit) -> NamedOutcome:
                    return delete_elsewhere(path, "either", before=limit, policy=True, go_on=go_on)

            else:

                def delete(path: str, limit: float | None = limit) -> NamedOutcome:
                    return remover.delete(self._below(path), "either", ours=True, before=limit)

            outcome = delete_whole(path, delete)
            if outcome.status == "failed":
                tell(path, outcome)
                # A partial removal changes a directory, but does not make it newer.
                mark.tried = time.time()
            done.add(outcome)
            # A path tracked before it was made stays tracked for the maximum age.
            expected = not mark.was_there and time.monotonic() - mark.since < max_age
            mark.was_there |= outcome.status != "missing"
            if outcome.is_over and not (outcome.status == "missing" and expected):
                self._forget({path: mark})

    def _recover(self, go_on: GoOn | None = None) -> int:
        root, recovered = Path(self._root), 0
        try:
            policy = keeping(root, Policy()).of(FILES.category)
            leases = Leases(root)
            leases.refresh()
            now, lives_for = time.time(), self.default_ttl_hours * HOUR
            groups: dict[float | None, list[Left]] = {}
            for one in leases.left_in(TRACKED):
                # What was not killed has told nobody that its files are of no more use.
                limits = [now - lives_for] if one.has_left else []
                limits += [] if one.is_certain else [now - leases.foreign_for]
                groups.setdefault(min(limits, default=None), []).append(one)
            for limit, left in groups.items():
                recovered += self._delete_left(left, policy, limit, go_on)
            self._finish_killed(go_on)
        except _Stopped:
            pass
        except FileNotFoundError:  # the root has been removed
            pass
        except (TempError, OSError) as error:
            _log.warning("cannot clean %s: %s", self._root, error)
        return recovered

    def _delete_left(
        self, left: list[Left], policy: Policy, before: float | None, go_on: GoOn | None
    ) -> int:
        """Delete what others tracked, unless its entry is in use; return how many went."""
        went, root = 0, Path(self._root)
        with closing(
            NamedRemover(root, before=before, policy=True, spare_own=True, go_on=go_on)
        ) as remover:
            for one in left:
                if go_on is not None and not go_on():
                    break
                place = self._place(os.path.join(root, one.path))
                if place.refusal or place.relative != one.path:
                    continue  # such a path cannot be tracked, even if it was recorded
                if self._stays(one.path, policy):
                    continue
                by = one.alive_at + _ALLOWED_SECONDS

                def delete(path: str, by: float = by) -> NamedOutcome | None:
                    return remover.delete_made(self._below(path), by)

                if before is not None and changed_since(place.path, before, also_status=True):
                    continue
                outcome = None
                if not changed_since(place.path, by, also_status=True):
                    outcome = delete_whole(place.path, delete)
                if outcome is not None and outcome.status == "failed":
                    tell(place.path, outcome)
                is_another = one.is_certain if outcome is None else outcome.is_over
                if is_another or place.path in self._tracked:
                    # A file made there later is not the one that the dead process tracked.
                    strike(one.file, one.identity, one.path)
                went += outcome is not None and outcome.status == "done"
        return went

    def _stays(self, path: str, policy: Policy) -> bool:
        """Whether what a dead process tracked was kept on purpose, or the settings keep it."""
        root = Path(self._root)
        for part in (path, *directories_above(path)):
            if is_remainder(root, part) or excluding(
                part, FILES.category, policy.exclude, any_case=folds_case(root)
            ):
                return True
        try:
            return bool(policy.keep_files) and is_kept(root, path, policy.keep_files)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # until it can be read

    def _finish_killed(self, go_on: GoOn | None) -> Report:
        """Finish what a killed clean-up left half-done, and forget ended owners with nothing left.

        Raises `_Stopped` when it is told to stop; what is half-deleted is left to the next one.
        """

        def look_up(*_: object) -> None:
            if go_on is not None and not go_on():
                raise _Stopped

        look_up()
        plan = Plan(self._root, Policy(), time.time())  # removes nothing that was not tracked
        return execute(plan, on_freed=look_up, workers=1, face=_FACE)


class _Stopped(Exception):
    """A sweep was stopped because the periodic clean-up ends."""


class _Sum:
    """What a clean-up has done so far."""

    def __init__(self) -> None:
        self.count = 0
        self.length = 0
        self.freed_bytes = 0
        self.errors = 0

    def add(self, outcome: NamedOutcome) -> None:
        self.count += outcome.status == "done"
        self.errors += outcome.status == "failed"
        self.length += outcome.length
        self.freed_bytes += outcome.freed_bytes


def _measure(path: str) -> Measured:
    try:
        return measure_at(None, path)
    except OSError:
        return Measured()


def tell(path: str | Path, outcome: NamedOutcome) -> None:
    """Log why `path` was not deleted, if it was not."""
    if outcome.status in ("skipped", "failed"):
        _log.warning("cannot delete %s: %s", plain(str(path)), plain(outcome.detail))
