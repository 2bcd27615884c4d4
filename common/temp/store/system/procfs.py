"""Reading `/proc` for one process: its command line, environment, threads and open files."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Sequence
from typing import Final

from ...errors import TempError, reason_of
from .at import O_NOFOLLOW, PASSING_FLAGS, ROOT_FLAGS

_PARENT, _FLAGS, _START = 1, 6, 19
"""Indexes of fields in `/proc/PID/stat`, counted after the name: see proc(5)."""

_FORKED: Final = 0x40
"""The kernel's flag `PF_FORKNOEXEC`."""

_helpers: dict[str, bytes] = {}
"""Forked children of this process by pid, with their start times, since pids are reused."""

_COMMAND_LENGTH: Final = 60

_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def check_seen(error: OSError) -> None:
    """Raise `TempError` if `error` only means that this process or the system is out of descriptors
    or memory: such an error says nothing about the file that was to be opened.
    """
    if error.errno in _SHORT:
        raise TempError(f"cannot look for processes: {reason_of(error)}") from error


def note_helper(pid: int) -> None:
    """Treat a forked child of this process as this process: it has the same files open."""
    with contextlib.suppress(OSError, TempError, IndexError):
        _helpers[str(pid)] = _facts(str(pid))[_START]


def pids() -> Iterator[str]:
    """The pids of this user's processes; for root, all of them."""
    me = os.geteuid()
    for name in _listed("/proc"):
        if name.isdigit():
            try:
                mine = me == 0 or os.stat(f"/proc/{name}").st_uid == me
            except OSError:
                continue
            if mine:
                yield name


def _listed(directory: str | int) -> list[str]:
    """The names in a directory of `/proc`; none if it is gone, or not shown."""
    try:
        return os.listdir(directory)
    except OSError as error:
        check_seen(error)
        return []


def hides(pid: str) -> bool:
    """Whether the kernel shows only its command line, as for a process that is not dumpable."""
    try:
        os.readlink(f"/proc/{pid}/cwd")
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def read(path: str, most: int = 0) -> bytes:
    """The content of a file in `/proc`: one read of at most `most` bytes, or all of it for 0.

    Raises `OSError`, or as `check_seen`. A look at all processes spends its time here: `open`
    makes many more calls.
    """
    file = open_now(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if most:
            return os.read(file, most)
        chunks = []
        while chunk := os.read(file, 1 << 16):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(file)


def open_now(path: str | bytes, flags: int) -> int:
    """As `os.open`; raises as `check_seen` as well."""
    try:
        return os.open(path, flags)
    except OSError as error:
        check_seen(error)
        raise


def threads_of(pid: str) -> list[str]:
    """The paths of a process's threads, relative to `/proc`; the first also shows its open files.

    The path of the process itself shows nothing once its main thread has ended, although other
    threads may still run.
    """
    with contextlib.suppress(OSError):
        if os.stat(f"/proc/{pid}/task").st_nlink > 3:
            names = [name for name in _listed(f"/proc/{pid}/task") if name != pid]
            others = [f"{pid}/task/{name}" for name in names]
            return others if lacks(f"/proc/{pid}/cwd") and others else [pid, *others]
    return [pid]


def lacks(link: str) -> bool:
    """Whether that symlink in `/proc` does not exist; false if it is only hidden."""
    try:
        os.readlink(link)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def command_of(pid: str) -> list[bytes]:
    """The words of the command line; none for a kernel thread or a process that is gone."""
    try:
        return [word for word in read(f"/proc/{pid}/cmdline").split(b"\0") if word]
    except OSError:
        return []


def spell_command(words: Sequence[str]) -> str:
    """A command line for display: no directory, no `-c` code, at most 60 characters."""
    said = [os.path.basename(words[0]), *words[1:]] if words else []
    if "-c" in said:
        said = [*said[: said.index("-c") + 1], "…"]
    text = " ".join(" ".join(said).split())
    return text if len(text) <= _COMMAND_LENGTH else f"{text[: _COMMAND_LENGTH - 1]}…"


def environment_of(pid: str, *names: bytes) -> list[bytes]:
    """The values of these variables when the process was started; b"" for an unknown one."""
    try:
        said = b"\0" + read(f"/proc/{pid}/environ")  # at most 6 MiB, which is a limit of Linux
    except OSError:
        said = b""
    return [said.partition(b"\0%s=" % name)[2].partition(b"\0")[0] for name in names]


def is_helper(pid: str) -> bool:
    """Whether it is a child that this process forked for part of its own work."""
    if pid not in _helpers:
        return False
    with contextlib.suppress(OSError, IndexError, ValueError):
        said = _facts(pid)
        is_same = said[_START] == _helpers[pid] and bool(int(said[_FLAGS]) & _FORKED)
        if is_same and said[_PARENT] == b"%d" % os.getpid():
            return True
    _helpers.pop(pid, None)
    return False


def started_at(pid: str) -> float:
    """When the process was started, in seconds since 1970; 0.0 if unknown."""
    try:
        ticks = int(_facts(pid)[_START])
    except (OSError, IndexError, ValueError):
        return 0.0
    running = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - running


def _facts(pid: str) -> list[bytes]:
    return read(f"/proc/{pid}/stat", 4096).rpartition(b")")[2].split()


def children() -> list[str]:
    """The children of all threads of this process; none where the kernel does not list them."""
    found: list[bytes] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            found += read(f"/proc/self/task/{thread}/children").split()
    return [os.fsdecode(pid) for pid in found]


def open_files(pid: str) -> Iterator[tuple[str, bytes]]:
    """The file descriptors of a process, each with the path that `place_of` returns for it."""
    try:
        base = open_now(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for name in _listed(base):
            try:
                place = place_of(name, dir_fd=base)
            except OSError as error:
                check_seen(error)
                continue
            yield name, place
    finally:
        os.close(base)


def place_of(link: str, *, dir_fd: int | None = None) -> bytes:
    """The target of a symlink in `/proc`; for a directory whose path would be too long, its nearest
    parent with a short enough path. Raises `OSError`.
    """
    try:
        return os.readlink(link.encode(), dir_fd=dir_fd)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
    current = _open_to_look(link, dir_fd)
    try:
        while True:
            try:
                return os.readlink(f"/proc/self/fd/{current}".encode())
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
            above = _open_to_look("..", current)
            os.close(current)
            current = above
    finally:
        os.close(current)


@contextlib.contextmanager
def looking_into(directory: bytes) -> Iterator[Iterator[tuple[bytes, os.DirEntry[str]]]]:
    """The path and `os.DirEntry` of each item in a directory; raises `OSError`.

    The open flags tell other processes of this program that the directory is only looked at.
    """
    descriptor, begin = open_now(directory, ROOT_FLAGS), os.path.join(directory, b"")
    try:
        with os.scandir(descriptor) as items:
            yield ((begin + os.fsencode(item.name), item) for item in items)
    finally:
        os.close(descriptor)


def _open_to_look(name: str, dir_fd: int | None) -> int:
    """Open the directory, following symlinks, with flags that mark it as only looked at.

    One that cannot be read is opened with `O_PATH`, which cannot carry that mark.
    """
    try:
        return os.open(name, ROOT_FLAGS, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, PASSING_FLAGS & ~O_NOFOLLOW, dir_fd=dir_fd)
