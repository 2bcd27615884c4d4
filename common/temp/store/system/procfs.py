"""What `/proc` says of one process: its command line, its environment, its threads, its files."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from typing import Final

from ...errors import TempError, reason_of
from .at import O_NOFOLLOW, PASSING_FLAGS, ROOT_FLAGS

_PARENT, _FLAGS, _START = 1, 6, 19
"""What counts in `/proc/PID/stat`, after the name: see proc(5)."""

_FORKED: Final = 0x40
"""The kernel's flag `PF_FORKNOEXEC`."""

_helpers: dict[str, bytes] = {}
"""Forked children of this process, with when they started: an id is used again."""

_COMMAND_LENGTH: Final = 60

_SHORT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def check_seen(error: OSError) -> None:
    """Raise `TempError` if `error` says nothing of what was asked for, as this process, or the
    system, cannot open anything at the moment.
    """
    if error.errno in _SHORT:
        raise TempError(f"cannot look for processes: {reason_of(error)}") from error


def note_helper(pid: int) -> None:
    """Have a forked child of this process count as this one: it has the same files open."""
    with contextlib.suppress(OSError, TempError, IndexError):
        _helpers[str(pid)] = _facts(str(pid))[_START]


def pids() -> Iterator[str]:
    """The processes of this user, for root all of them."""
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
    """Whether the kernel shows nothing but its command line, as of one that is not dumpable."""
    try:
        os.readlink(f"/proc/{pid}/cwd")
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def read(path: str, most: int = 0) -> bytes:
    """What a file in `/proc` says, by one read of at most `most` bytes; without, all of it.

    Raises `OSError`, or as `check_seen`. A look at all processes spends its time here: `open` asks
    for much more.
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
    """By which paths in `/proc` the threads of a process are seen; what it has, by the first.

    Its own shows nothing any more once the main thread has ended, while others may go on.
    """
    with contextlib.suppress(OSError):
        if os.stat(f"/proc/{pid}/task").st_nlink > 3:
            names = [name for name in _listed(f"/proc/{pid}/task") if name != pid]
            others = [f"{pid}/task/{name}" for name in names]
            return others if lacks(f"/proc/{pid}/cwd") and others else [pid, *others]
    return [pid]


def lacks(link: str) -> bool:
    """Whether a process does not have that link in `/proc`; not where it is only hidden."""
    try:
        os.readlink(link)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def command_of(pid: str) -> list[bytes]:
    """The words of the command line; none for a thread of the kernel, or one that is gone."""
    try:
        return [word for word in read(f"/proc/{pid}/cmdline").split(b"\0") if word]
    except OSError:
        return []


def spell_command(words: Sequence[str]) -> str:
    """A command line as a person would name it: without folder or code, at most 60 long."""
    said = [os.path.basename(words[0]), *words[1:]] if words else []
    if "-c" in said:
        said = [*said[: said.index("-c") + 1], "…"]
    text = " ".join(" ".join(said).split())
    return text if len(text) <= _COMMAND_LENGTH else f"{text[: _COMMAND_LENGTH - 1]}…"


def environment_of(pid: str, *names: bytes) -> list[bytes]:
    """What these variables were when the process was started; b"" for what cannot be told."""
    try:
        said = b"\0" + read(f"/proc/{pid}/environ")  # at most 6 MiB: Linux starts nothing with more
    except OSError:
        said = b""
    return [said.partition(b"\0%s=" % name)[2].partition(b"\0")[0] for name in names]


def is_helper(pid: str) -> bool:
    """Whether it is a child that this process has forked for a part of its own work."""
    if pid not in _helpers:
        return False
    with contextlib.suppress(OSError, IndexError, ValueError):
        said = _facts(pid)
        is_same = said[_START] == _helpers[pid] and bool(int(said[_FLAGS]) & _FORKED)
        if is_same and said[_PARENT] == b"%d" % os.getpid():
            return True
    _helpers.pop(pid, None)
    return False


def _facts(pid: str) -> list[bytes]:
    return read(f"/proc/{pid}/stat", 4096).rpartition(b")")[2].split()


def children() -> list[str]:
    """The children of this process, of whichever thread; none where the kernel does not tell."""
    found: list[bytes] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            found += read(f"/proc/self/task/{thread}/children").split()
    return [os.fsdecode(pid) for pid in found]


def open_files(pid: str) -> Iterator[tuple[str, bytes]]:
    """The numbers of the descriptors of a process, and where they lead as `place_of` tells it."""
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
    """Where a link in `/proc` leads; of a directory that is deeper than a path can be long, the
    lowest directory above it that a path leads to. Raises `OSError`.
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
    """The paths of what lies in a directory, each with its entry there; raises `OSError`.

    Others who look see that the directory is only looked at.
    """
    descriptor, begin = open_now(directory, ROOT_FLAGS), os.path.join(directory, b"")
    try:
        with os.scandir(descriptor) as items:
            yield ((begin + os.fsencode(item.name), item) for item in items)
    finally:
        os.close(descriptor)


def _open_to_look(name: str, dir_fd: int | None) -> int:
    """The directory, also through a link, so that others who look see that it is only looked at.

    One that cannot be read is only passed through, and that they cannot see.
    """
    try:
        return os.open(name, ROOT_FLAGS, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, PASSING_FLAGS & ~O_NOFOLLOW, dir_fd=dir_fd)
