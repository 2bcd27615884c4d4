"""A directory for each job of a service: made when the job comes, deleted when it is done."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Generic

# Import all that a clean needs now: a signal handler may clean while a module is half loaded.
from .auto_clean import maybe_start
from .core.layouts import JOBS, check_job_id
from .core.plan import Plan
from .core.policy import Policy
from .errors import StorageError, TempError
from .report.text import plain
from .store.project.store_guard import is_gone
from .store.root import containing_entry, find_entry, history  # noqa: F401
from .store.root.allocation import allocate_named
from .store.root.arrivals import Arrivals, is_remainder
from .store.root.current_owners import own
from .store.root.leases import Leases
from .store.root.listing import list_leftovers
from .store.root.making import make_root
from .store.root.owner import owner_of, release
from .store.root.owner_file_reading import Left
from .store.root.owner_kinds import FAILED, PLAIN
from .store.settings.loading import keeping
from .store.sweep.abandoned import ABANDONED
from .store.sweep.discard import discard
from .store.sweep.prepare import prepare
from .store.sweep.sweep import execute
from .store.system.creation_time import born_at
from .store.system.user_path import users_path
from .store.workers import crew  # noqa: F401

if TYPE_CHECKING:
    from typing_extensions import TypeVar
else:
    from typing import TypeVar

_log: Final = logging.getLogger(__name__)
_FACE: Final = "StorageRoot"
_MAKES_WITHIN: Final = 1.0
"""How long (seconds) a process may take to make the directory of a job that it has recorded."""
_MANY: Final = 1000
"""The number of jobs from which to check whether other processes have released some."""


@dataclass(frozen=True, slots=True)
class JobStorage:
    """The directory of a job and the files in it, as absolute paths; the files are not created.

    `StorageRoot.allocate_job` makes the directory and `output_dir`.
    """

    root: Path
    tlog_path: Path = Path("input.tlog")
    csv_path: Path = Path("input.csv")
    video_path: Path = Path("input.mp4")
    calibration_path: Path = Path("calibration.json")
    output_dir: Path = Path("output")


if TYPE_CHECKING:
    Job = TypeVar("Job", default=JobStorage)
else:
    Job = TypeVar("Job")


class StorageRoot(Generic[Job]):
    """A directory in which each job has its own, `<root>/<job_id>`; made if missing.

    A job is in use while the process that allocated it lives. Threads may allocate and release at
    the same time, and several services may share a root. For files other than those of
    `JobStorage`, give a `job_type`: a frozen dataclass with a field `root`, and for each file a
    field whose default is its name. The values are paths in the job's directory; an `output_dir` is
    made with it:

        @dataclass(frozen=True, slots=True)
        class Scan:
            root: Path
            image_path: Path = Path("scan.tiff")
            output_dir: Path = Path("pages")

        scans = StorageRoot(Path("var/scans"), job_type=Scan)
        scans.allocate_job("a").image_path  # …/var/scans/a/scan.tiff

    All directories in the root are jobs, but only what a process recorded is ever recovered. Raises
    `TypeError` for another type, `Refused` for a directory that holds more than jobs (a project,
    the home directory), or `StorageError`.
    """

    def __init__(self, root: Path, job_type: type[Job] = JobStorage) -> None:  # type: ignore[assignment]
        self._files = _files_of(job_type)
        self._make: Callable[..., Job] = job_type
        try:
            self._root = Path(os.path.abspath(users_path(root)))
        except FileNotFoundError as error:
            raise StorageError.of(
                "the working directory is gone", error, "give an absolute path"
            ) from error
        self._many = _MANY
        make_root(str(self._root), JOBS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._root)!r})"

    @property
    def root(self) -> Path:
        """The absolute directory of all jobs."""
        return self._root

    def allocate_job(self, job_id: str) -> Job:
        """Make the directory of a new job and its output directory, and return its paths.

        Raises `InvalidName` (a `ValueError`) for an id that is not one safe path component,
        `FileExistsError` if that name exists, `Refused` or `StorageError`. If it raises, nothing
        was made.
        """
        job_id = check_job_id(job_id)
        path = self._root / job_id
        self._forget_released()
        job = self._make(root=path, **{name: path / file for name, file in self._files.items()})
        output = _output_of(job, path)
        with _turn(path):
            try:
                allocate_named(str(self._root), job_id, JOBS)
            except FileExistsError:
                raise FileExistsError(
                    errno.EEXIST,
                    f"job {job_id!r} exists already; release it first, or choose another id",
                    str(path),
                ) from None
            maybe_start(str(self._root))
            if output is None:
                return job
            try:
                os.makedirs(output, exist_ok=True)
            except BaseException as error:
                self._discard(job_id)
                if isinstance(error, OSError):
                    raise StorageError.of(f"cannot make {output}", error) from error
                raise
        return job

    def release_job(self, job_id: str) -> None:
        """Delete the directory of a job, whichever process made it; an unknown id is no error.

        What cannot be deleted is logged as a warning, and goes with the next `cleanup_all` or
        sweep. What another process holds (`hold`, `lease_fds`) is logged and stays, and so does the
        job of another process if it is pinned. Raises `InvalidName` (a `ValueError`) for an id that
        is not one safe path component.
        """
        job_id = check_job_id(job_id)
        path = self._root / job_id
        with _turn(path):
            problem = self._discard(job_id)
        if problem:
            _log.warning("cannot release %s: %s", plain(str(path)), plain(problem))

    def cleanup_all(self) -> int:
        """Delete every job's directory that no other process uses, and return how many went.

        Those of this process go as well, even if in use here, unless a process forked from it is
        still running. What no process has recorded as its job stays, and so do pinned jobs and
        what the project's `keep_files` or `exclude` matches. What cannot be deleted is logged as a
        warning.
        """
        return self._clean(Policy(everything=True, spare_work=False))

    def recover(self) -> int:
        """Delete the jobs that dead processes left, when a service starts; return how many went.

        Those of live processes stay, this one's included, and so does what is pinned, what no
        process has recorded as its job, or another made later under that name, and what the
        project's `keep_files` or `exclude` matches. What cannot be deleted is logged as a warning.
        """
        # What a killed clean had only moved aside is put back by the first, and goes with the next.
        rounds = 2 if list_leftovers(self._root) else 1
        return sum(self._clean(ABANDONED) for _ in range(rounds))

    def _discard(self, job_id: str) -> str:
        """Delete one job's directory; "" or why it is still there."""
        root = str(self._root)
        owner = own(root)
        # If the root was replaced, this process did not make what has that name now.
        if owner is not None and job_id in owner.live and owner.is_current():
            problem = discard(root, job_id, JOBS)
            if problem:
                # So `recover` recognises it as a job, although no process owns it any more.
                with contextlib.suppress(TempError, OSError):
                    failed = owner_of(root, FAILED)
                    failed.record(job_id)
                    failed.record_made(job_id)
            return problem
        if is_gone(os.path.join(root, job_id)):
            release(root, job_id)
            return ""
        return self._discard_of_others(job_id)

    def _discard_of_others(self, job_id: str) -> str:
        try:
            plan = self._plan(ABANDONED)
            for kept in plan.kept:
                if kept.entry.path != job_id:
                    continue
                use, owner = kept.entry.use, own(str(self._root))
                # If the root was replaced, this is not the job that this process made.
                was_ours = owner is not None and job_id in owner.live
                if use is None or use.how != "owner" or was_ours:
                    return str(kept.reason)
                return discard(str(self._root), job_id, JOBS, whoever_made_it=True)
            steps = tuple(step for step in plan.steps if step.entry.path == job_id)
            for outcome in execute(plan._replace(steps=steps), face=_FACE).outcomes:
                if outcome.status != "done" and not is_gone(str(self._root / job_id)):
                    return outcome.detail
        except (TempError, OSError) as error:
            return str(error)
        return ""

    def _forget_released(self) -> None:
        """Forget jobs of this process that others have released, so that the list stays short."""
        root = str(self._root)
        owner = own(root)
        if owner is None or len(owner.live) < self._many:
            return
        for job_id in tuple(owner.live):
            with _turn(self._root / job_id):
                if is_gone(os.path.join(root, job_id)):
                    release(root, job_id)
        self._many = max(_MANY, 2 * len(owner.live))

    def _clean(self, policy: Policy) -> int:
        try:
            plan = self._plan(keeping(self._root, policy))
            others = self._made_later()
            jobs = (step for step in plan.steps if step.entry.made_by is not None)
            jobs = (step for step in jobs if step.entry.path not in others)
            jobs = (step for step in jobs if not is_remainder(self._root, step.entry.path))
            plan = plan._replace(steps=tuple(jobs))
            report = execute(plan, face=_FACE)
        except (TempError, OSError) as error:
            _log.warning("cannot clean %s: %s", self._root, error)
            return 0
        gone = {outcome.step.entry.path for outcome in report.done if not outcome.stays}
        for job_id in gone:
            release(str(self._root), job_id, FAILED)
        for outcome in report.outcomes:
            if outcome.status == "failed":
                path = self._root / outcome.step.entry.path
                _log.warning("cannot delete %s: %s", plain(str(path)), plain(outcome.detail))
        for problem in report.problems:
            if problem.blocking and problem.path not in gone:
                where = plain(str(self._root / problem.path))
                _log.warning("cannot clean %s: %s", where, plain(problem.what))
        return len(gone)

    def _made_later(self) -> frozenset[str]:
        """Directories with the name of a dead process's job that are not that job: another inode,
        or made or moved there after the process last recorded one. Raises `TempError`.
        """
        leases = Leases(self._root)
        leases.refresh()
        left = (*leases.left_in(PLAIN), *leases.left_in(FAILED))
        arrivals = Arrivals(self._root)
        own = {one.path for one in left if self._is_still(one, arrivals)}
        return frozenset(one.path for one in left if one.path not in own)

    def _is_still(self, left: Left, arrivals: Arrivals) -> bool:
        """Whether what is there now may be the directory that the process made."""
        path = self._root / left.path
        with contextlib.suppress(OSError):
            if left.inode not in (None, os.lstat(path).st_ino):
                return False
        return _came_at(str(path), left.path, arrivals) <= left.alive_at + _MAKES_WITHIN

    def _plan(self, policy: Policy) -> Plan:
        return prepare(self._root, policy, time.time(), layout=JOBS, sizes=False)


def _came_at(path: str, relative: str, arrivals: Arrivals) -> float:
    """When the directory at `path` was made, or moved there if that is known to be later.

    A move sets only the change time, a write in the directory the modification time as well. If
    this program put it back, its earlier arrival is on record.
    """
    try:
        top = os.lstat(path)
    except OSError:
        return 0.0
    known = arrivals.of(relative, top.st_ino, top.st_ctime_ns)
    changed = top.st_ctime_ns / 1e9 if known is None else known.arrived
    moved = changed if changed > top.st_mtime_ns / 1e9 else 0.0
    return max(born_at(path) or 0.0, moved)


# -- the names of a job's files -----------------------------------------------------------------


def _files_of(job_type: type[Any]) -> dict[str, PurePath]:
    """The names of the files that `job_type` declares, by field. Raises `TypeError`."""
    if not (isinstance(job_type, type) and is_dataclass(job_type)):
        raise TypeError(f"job_type {job_type!r} is not a dataclass; declare a frozen one")
    what = f"job_type {job_type.__qualname__}"
    if not job_type.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"{what} is not frozen; declare it with @dataclass(frozen=True)")
    declared = {field.name: field for field in fields(job_type) if field.init}
    if declared.pop("root", None) is None:
        raise TypeError(f"{what} has no field `root`, which is the job's directory; add it")
    files: dict[str, PurePath] = {}
    for name, field in declared.items():
        named = field.default
        if isinstance(named, PurePath):
            if named.is_absolute() or not named.parts or ".." in named.parts:
                raise TypeError(f"{what}: field `{name}` names {named}, which is not in the job")
            files[name] = named
        elif named is MISSING and field.default_factory is MISSING:
            raise TypeError(
                f'{what}: field `{name}` names no file; give it a default such as Path("input.csv")'
            )
    return files


def _output_of(job: object, path: Path) -> Path | None:
    """The output directory of `job`, a field or a property. Raises `TypeError`."""
    output = getattr(job, "output_dir", None)
    if output is None:
        return None
    below = os.path.normpath(output)
    if not Path(below).is_relative_to(path):
        raise TypeError(f"{type(job).__qualname__}.output_dir is {output}, which is not in {path}")
    return Path(below)


# -- one thread at a time for each job ----------------------------------------------------------


class _Turn:
    """The lock of one job, and how many threads want it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.wanted = 0


_turns: dict[Path, _Turn] = {}
_turns_lock = threading.RLock()  # reentrant: a signal handler may release jobs, too


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Wait until no other thread makes or deletes the directory at `path`.

    Without this, if two threads release a job, the later one could end the lease of a new job
    that a third thread has just made there.
    """
    with _turns_lock:
        turn = _turns.setdefault(path, _Turn())
        turn.wanted += 1
    try:
        with turn.lock:
            yield
    finally:
        with _turns_lock:
            turn.wanted -= 1
            if not turn.wanted:
                _turns.pop(path, None)


def _forget_after_fork() -> None:
    global _turns_lock
    _turns_lock = threading.RLock()
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
