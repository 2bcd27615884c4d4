"""Records of how runs end: a run begins as "running", and its end replaces that.

A kill leaves "running" behind. Once the owner is known to be dead, that run died. If the record is
unreadable or about another directory, the ending is unknown, and the run may be good. The same is
true of a run whose process was replaced by another program (`exec`).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ...core import fields
from ...core.entry import Ending, Entry
from ...core.fields import Unreadable
from ...core.layouts import ENDS, STORE, Layout
from ...errors import TempError
from ..system.opening import opened_in
from ..system.own_files import open_own
from .leases import Leases
from .records import Record, read_records, record_name, record_names, remove_record, write_record

_RECORDED: Final[dict[str, Ending]] = {
    "running": "running",
    "success": "success",
    "failed": "failed",
    "given up": "given up",
    "died": "died",
}


_RUNNING: Final = b'"running"'
_LARGEST: Final = 1 << 16

_begun: dict[tuple[str, str], tuple[int, int, Layout]] = {}
"""The runs whose end this process records: process id, inode, and layout of the root."""


_is_listening = False
_failed_in = 0
"""The id of the process that is ending because of an uncaught exception; 0 if none is."""


def begin(root: str, relative: str, layout: Layout) -> None:
    """Record that this process is making the entry at `relative`."""
    if not _begun:
        _listen()
        atexit.unregister(_note_failures)
        atexit.register(_note_failures)
    with contextlib.suppress(OSError):  # it may have been removed already
        inode = os.lstat(os.path.join(root, relative)).st_ino
        _begun[root, relative] = os.getpid(), inode, layout
        _write(root, relative, inode, "running", layout)


def end(root: str, relative: str, ending: Ending, layout: Layout) -> None:
    """Record how the entry ended, if this process began it; a call in a forked child is ignored."""
    pid, inode, _ = _begun.pop((root, relative), (0, 0, layout))
    if pid == os.getpid():
        _write(root, relative, inode, ending, layout)


def give_up(root: str, relative: str, layout: Layout) -> None:
    """Record that this process gives the entry up: it is not a good run, unless `end` says so."""
    with contextlib.suppress(OSError):
        inode = os.lstat(os.path.join(root, relative)).st_ino
        _write(root, relative, inode, "given up", layout)


def note_ending(root: str, relative: str, ending: str, layout: Layout) -> None:
    """Record how an entry restored from an archive had ended, if that is known. Raises `OSError` if
    the entry is gone.
    """
    known = _RECORDED.get(ending)
    if known is not None and known != "running":
        inode = os.lstat(os.path.join(root, relative)).st_ino
        _write(root, relative, inode, known, layout)


def _note_failures() -> None:
    """If an uncaught exception is ending this process, record its runs as failed."""
    if _failed_in == os.getpid():
        for (root, relative), (_, _, layout) in tuple(_begun.items()):
            end(root, relative, "failed", layout)


def _listen() -> None:
    global _is_listening
    if not _is_listening:  # an audit hook cannot be removed, so add only one
        _is_listening = True
        sys.addaudithook(_hear)


def _hear(event: str, _: tuple[Any, ...]) -> None:
    if event not in ("os.exec", "sys.excepthook"):
        return
    with contextlib.suppress(Exception):  # it would be raised in the user's program
        if event == "os.exec":
            _note_program()
        else:
            _note_error()


def _note_program() -> None:
    """Record that this process is replaced by another program (`exec`), which may end well."""
    for (root, relative), (pid, inode, layout) in tuple(_begun.items()):
        if pid == os.getpid():
            _write(root, relative, inode, "unknown", layout)


def _note_error() -> None:
    """Note that an uncaught exception ends this program.

    Exceptions at a prompt do not count, nor do those that running code prints with
    `sys.excepthook`: `sys.last_type` would not tell these apart.
    """
    global _failed_in
    at_prompt = sys.flags.interactive or sys.flags.inspect or hasattr(sys, "ps1")
    try:
        sys._getframe(2)  # the caller of `_hear`, if code is still running
    except ValueError:
        _failed_in = 0 if at_prompt else os.getpid()


def _write(root: str, relative: str, inode: int, ending: Ending, layout: Layout) -> None:
    """Record the ending, if the entry still has that `inode`.

    If this fails, the earlier record is removed, since "running" would make the run look dead. If
    the run failed, it stays.
    """
    try:
        status = os.lstat(os.path.join(root, relative))
        if status.st_ino != inode:
            return
    except OSError:
        return  # the entry is gone
    says = {"end": ending, "inode": inode, "mtime": int(status.st_mtime)}
    sync = ending != "running"
    try:
        write_record(Path(root), ENDS, relative, says, layout, sync=sync)
    except (OSError, TempError):  # the disk is full, for example
        if not _overwrite(root, relative, ending) and ending != "failed":
            with contextlib.suppress(OSError):
                for record in read_records(Path(root), ENDS, [record_name(relative)]):
                    remove_record(root, ENDS, record)


def _overwrite(root: str, relative: str, ending: Ending) -> bool:
    """Write the ending over "running", which needs no disk space; false if this failed."""
    try:
        with opened_in(root, STORE, ENDS) as directory:
            place = os.path.join(root, STORE, ENDS)
            file = open_own(record_name(relative), os.O_RDWR, dir_fd=directory, place=place)
            try:
                said = os.read(file, _LARGEST)
                ends = said.replace(_RUNNING, f'"{ending}"'.encode().ljust(len(_RUNNING)), 1)
                if ends == said or len(ends) != len(said):
                    return False
                os.lseek(file, 0, os.SEEK_SET)
                return os.write(file, ends) == len(ends)
            finally:
                os.close(file)
    except (OSError, TempError):
        return False


def with_endings(root: Path, entries: Iterable[Entry], leases: Leases) -> tuple[Entry, ...]:
    """The entries, each with how it ended. `leases` were read after the entries were listed.

    Raises `StorageError`, or `Refused` if the records are behind a symlink.
    """
    records = {record.path: record for record in read_records(root, ENDS, record_names(root, ENDS))}
    return tuple(
        entry._replace(ending=_ending(root, records.get(entry.path), entry, leases))
        for entry in entries
    )


def _is_copy(root: Path, record: Record, entry: Entry) -> bool:
    """Whether the entry seems to be a copy of the recorded one, made along with its root by
    `cp -a`, rsync or a backup. These keep the directory's mtime, some only to the second.
    """
    if "mtime" not in record.says:
        return False  # an older version wrote it
    recorded = fields.whole(record.says, "mtime")
    try:
        return recorded == int(os.lstat(root / entry.path).st_mtime)
    except OSError:
        return False


def _ending(root: Path, record: Record | None, entry: Entry, leases: Leases) -> Ending:
    if record is None:
        return "unknown"
    try:
        if fields.whole(record.says, "inode") != entry.inode and not _is_copy(root, record, entry):
            return "unknown"
        ending = _RECORDED.get(fields.text(record.says, "end"), "unknown")
    except Unreadable:
        return "unknown"
    if ending != "running" or entry.use is not None:
        return ending
    return "died" if leases.has_died(entry.path) else "unknown"
