"""The history of a root: one line of JSON for each sweep, the newest last, capped in size.

A line is appended with one write, under a lock on the file. When the file gets too large, its newer
half is written to a file beside it, which then replaces it: a kill at any instant leaves one of the
two. Readers skip a line that was cut short by a kill or a full disk, and the next write ends it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from ...core import fields
from ...core.fields import Unreadable
from ...core.history import PastSweep, Who, as_said, read_said, remembered
from ...core.layouts import HISTORY, STORE
from ...core.plan import Report
from ...errors import Refused, StorageError, reason_of
from ..project.project import check_root
from ..project.store_guard import check_store
from ..project.store_parts import make_parts
from ..system import at
from ..system.locks import has_locks, lock_file, unlock_file
from ..system.opening import opened_in
from ..system.own_files import open_own
from ..system.process_identity import host_name
from ..system.procfs import spell_command
from ..system.writing import replacing

_SCHEMA: Final = 1
_MOST_BYTES: Final = 1 << 20
"""The maximum size of the file."""

_MOST_STEPS: Final = 200
_MOST_LINE_BYTES: Final = 1 << 16
"""The most entries a line lists, and the largest such list: names have up to 512 bytes."""

_MOST_WORDS: Final = 400
"""The most characters of one reason or detail."""

_TURN_SECONDS: Final = 2.0
"""How long to wait for the lock. If a stopped process holds it longer, the line is appended anyway.
Accepted race: the line is lost if that process continues just then and shortens the file."""


def remember(
    report: Report,
    face: str,
    at: float,
    seconds: float,
    *,
    interrupted: bool = False,
    freed_bytes: int = 0,
) -> str:
    """Append the sweep in `report` to the history of its root. Returns "", or why that failed.

    `face` is the task or class that was called, `at` when the sweep began, in seconds since 1970.
    """
    who = Who(_user(), host_name(), os.getpid(), face, spell_command(sys.orig_argv))
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    sweep = remembered(
        report,
        who,
        when,
        seconds,
        interrupted=interrupted,
        freed_bytes=freed_bytes,
        most=_MOST_STEPS,
    )
    try:
        _append(Path(report.plan.root), _line(sweep))
    except OSError as error:
        return f"this sweep is not in the history: {reason_of(error)}"
    except Refused as error:
        return f"this sweep is not in the history: {error}"
    return ""


def _line(sweep: PastSweep) -> bytes:
    steps, size = [], 0
    for step in sweep.steps:
        cut = step._replace(reason=step.reason[:_MOST_WORDS], detail=step.detail[:_MOST_WORDS])
        size += len(json.dumps(cut))
        if size > _MOST_LINE_BYTES:
            break
        steps.append(cut)
    left_out = sweep.left_out + len(sweep.steps) - len(steps)
    listed = sweep._replace(steps=tuple(steps), left_out=left_out)
    return json.dumps({"schema": _SCHEMA, **as_said(listed)}).encode("ascii") + b"\n"


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_name
    except ImportError:  # Windows
        return os.environ.get("USERNAME", "")
    except KeyError:  # the user has no passwd entry, as in many containers
        return str(os.geteuid())


# -- the file -----------------------------------------------------------------------------------


def _append(root: Path, line: bytes) -> None:
    """Append `line`. Raises `OSError`, or `Refused` if something else is in the file's place."""
    check_store(root)
    path = os.path.join(root, STORE, HISTORY)
    for _ in range(100):
        with contextlib.ExitStack() as above, contextlib.ExitStack() as held:
            store = _store(above, root, make=True)
            descriptor = _opened(held, root, store, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            is_ours = _locked(held, descriptor)
            status = os.fstat(descriptor)
            if status.st_nlink == 0:
                continue  # it was shortened or removed just now
            if status.st_size + len(line) > _MOST_BYTES and is_ours:
                place = at.anchored(store, os.path.join(root, STORE))
                with _shortened(os.path.join(place, HISTORY)) as file:
                    file.write(_newer_half(descriptor, len(line)) + line)
                    if not has_locks():  # Windows
                        held.close()  # an open file cannot be replaced there
                return
            if status.st_size:
                os.lseek(descriptor, -1, os.SEEK_END)
                if os.read(descriptor, 1) != b"\n":
                    line = b"\n" + line
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return
    raise StorageError(0, f"{path} does not stop changing")


def _shortened(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    """The file that replaces the history. Its name is fixed, so kills leave at most one behind."""
    fresh = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh)
    return replacing(path, fresh, 0o644)


def _newer_half(descriptor: int, room: int) -> bytes:
    """The newest lines of the open history, up to half its maximum size minus `room` bytes."""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(room - _MOST_BYTES // 2, os.SEEK_END)
        kept = file.read(_MOST_BYTES // 2).partition(b"\n")[2]
    return kept + b"\n" if kept and not kept.endswith(b"\n") else kept


def _store(stack: contextlib.ExitStack, root: Path, *, make: bool = False) -> int:
    """The open store of the root. Raises `OSError`."""
    if make and not os.path.lexists(root / STORE):
        make_parts(root)
    return stack.enter_context(opened_in(root, STORE))


def _opened(stack: contextlib.ExitStack, root: Path, store: int, flags: int) -> int:
    """The open history in that store, if this program made it.

    Raises `OSError` or `Refused`.
    """
    descriptor = open_own(HISTORY, flags, 0o644, dir_fd=store, place=str(root / STORE))
    stack.callback(os.close, descriptor)
    return descriptor


def _locked(stack: contextlib.ExitStack, descriptor: int) -> bool:
    """Lock the file until `stack` is closed; false if that took too long: see `_TURN_SECONDS`."""
    end = time.monotonic() + _TURN_SECONDS
    while not lock_file(descriptor):
        if time.monotonic() > end:
            return False
        time.sleep(0.0005)
    # Closing is not enough: another thread's child may have inherited the descriptor.
    stack.callback(unlock_file, descriptor)
    return True


# -- reading ------------------------------------------------------------------------------------


class History(NamedTuple):
    """Some of the sweeps of a root, the newest first, and how many are `recorded`.

    `unreadable` counts the lines among them that this version cannot read.
    """

    sweeps: tuple[PastSweep, ...] = ()
    recorded: int = 0
    unreadable: int = 0


def read_history(root: Path, most: int) -> History:
    """The newest `most` sweeps of `root`. Raises `StorageError` or `Refused`."""
    if not check_root(root):
        return History()
    check_store(root)
    path = os.path.join(root, STORE, HISTORY)
    try:
        with contextlib.ExitStack() as stack:
            descriptor = _opened(stack, root, _store(stack, root), os.O_RDONLY)
            with open(descriptor, "rb", closefd=False) as file:
                size = file.seek(0, os.SEEK_END)
                start = file.seek(max(0, size - 2 * _MOST_BYTES))
                data = file.read(size - start)
    except FileNotFoundError:
        return History()
    except OSError as error:
        raise StorageError.of(f"cannot read {path}", error) from error
    # A line without a newline is still being written, or its process died while writing it.
    lines = [line for line in data.split(b"\n")[bool(start) : -1] if line]
    sweeps: list[PastSweep] = []
    unreadable = 0
    for line in reversed(lines):
        if len(sweeps) == most:
            break
        try:
            sweeps.append(_read(line))
        except Unreadable:
            unreadable += 1
    return History(tuple(sweeps), len(lines), unreadable)


def _read(line: bytes) -> PastSweep:
    said = fields.table(fields.parsed(line))
    if fields.whole(said, "schema") != _SCHEMA:
        raise Unreadable("it is of another version")
    return read_said(said)
