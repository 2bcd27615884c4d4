"""Identifying the process and system that wrote a record, and whether that process is alive.

Where a lock is visible, it is conclusive. These facts help if the lock is gone but its process
still runs (it closed the descriptor, or runs another program), and they tell whether a lock that
seems free would be visible to this process at all.
"""

from __future__ import annotations

import functools
import os
import time
from typing import Final

from ...core.named_tuple import NamedTuple

_LOCAL: Final = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "jfs", "ntfs3"}
    | {"overlay", "ramfs", "reiserfs", "tmpfs", "vfat", "xfs", "zfs"}
)
"""Filesystems that only one kernel at a time can use: after a reboot no other machine has one."""

_FORKED: Final = 0x40
"""The kernel's flag `PF_FORKNOEXEC`."""

_LOADED_IN: Final = os.getpid()


class Presence(NamedTuple):
    """A process and its environment; 0 or "" for a fact that the system does not tell.

    `start` is when the process started, in ticks since the boot. Together `pid`, `start`, `boot`
    and `namespace` (the pid namespace) identify one process, even after it executes another
    program. `view` is the filesystem as the process sees it.
    """

    pid: int = 0
    start: int = 0
    boot: str = ""
    namespace: str = ""
    machine: str = ""
    view: str = ""


def presence_here(descriptor: int) -> Presence:
    """The calling process, with its view of the filesystem on which `descriptor` is open."""
    return Presence(os.getpid(), own_start(), boot(), own_namespace(), _machine(), view(descriptor))


def own_start() -> int:
    """When this process started, in ticks since the boot; 0 if unknown."""
    try:
        status = _status("self")
    except PermissionError:
        status = None
    return status[1] if status is not None else 0


def lives(pid: int, start: int) -> bool | None:
    """Whether process `pid`, started at `start`, still runs; `None` if that is hidden from us.

    Both numbers are those of this pid namespace. A zombie (ended, but not waited for) does not
    run, unless one of its threads still does.
    """
    if pid <= 0:
        return False
    try:
        status = _status(pid)
    except PermissionError:
        return None
    if status is None:
        # `/proc` may be mounted so that it hides other users' processes.
        return None if exists(pid) else False
    state, started = status
    if started != start:
        return False
    if state not in "ZX":
        return True
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def _status(pid: int | str) -> tuple[str, int] | None:
    """The state of a process and when it started; `None` if no such process is visible."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except PermissionError:
        raise
    except (OSError, IndexError, ValueError):
        return None


def exists(pid: int) -> bool:
    """Whether any process has that pid; also true if that cannot be found out."""
    if pid <= 0:
        return False
    if not hasattr(os, "fork"):
        return True  # Windows, where `os.kill` would end it
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def is_fork() -> bool:
    """Whether this process was forked and has not executed a program since.

    Without `/proc`, only a fork of a process that had loaded this module is noticed.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            return bool(int(file.read().rpartition(b")")[2].split()[6]) & _FORKED)
    except (OSError, IndexError, ValueError):
        return os.getpid() != _LOADED_IN


def namespace() -> str:
    """The pid namespace of this process and of `/proc`; "" if there is none, or if `/proc` belongs
    to another namespace, which numbers processes differently.
    """
    try:
        return own_namespace() if os.readlink("/proc/self") == str(os.getpid()) else ""
    except OSError:
        return ""


def own_namespace() -> str:
    """The pid namespace of this process, with its time namespace; "" if unknown.

    The time namespace is included because start times are measured by its clock.
    """
    try:
        return "{} {}".format(*(_link(f"/proc/self/ns/{kind}") for kind in ("pid", "time")))
    except OSError:
        return ""


def differ_in_time(one: str, other: str) -> bool:
    """Whether two namespaces differ only in their clock, so that pids can be compared but start
    times cannot.
    """
    return one != other and one != "" and one.partition(" ")[0] == other.partition(" ")[0]


_seen: dict[str, tuple[float, frozenset[tuple[int, int]]]] = {}


def seen_in(namespace: str, since: float) -> frozenset[tuple[int, int]]:
    """The pids (as numbered there) and start times of the processes in another `namespace` that are
    visible from here, as a container's are from the host. Cached, but never from before `since`.
    """
    asked_at, found = _seen.get(namespace, (float("-inf"), frozenset()))
    if asked_at <= since + 1:
        asked_at, wanted = time.time(), namespace.partition(" ")[0]
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
        found = frozenset(filter(None, (_number_in(wanted, pid) for pid in pids)))
        _seen[namespace] = asked_at, found
    return found


def _number_in(namespace: str, pid: str) -> tuple[int, int] | None:
    try:
        if os.readlink(f"/proc/{pid}/ns/pid") != namespace:
            return None
        status = _status(int(pid))
        with open(f"/proc/{pid}/status", "rb") as file:
            number = file.read().partition(b"\nNSpid:")[2].partition(b"\n")[0].split()[-1]
    except (OSError, IndexError):
        return None
    return None if status is None or status[0] in "ZX" else (int(number), status[1])


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:  # a kernel without time namespaces
        return ""


def host_name() -> str:
    """The name of this machine."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


@functools.cache
def boot() -> str:
    """An id of this boot of the kernel, the same in all its containers; "" if unknown."""
    return _line_of("/proc/sys/kernel/random/boot_id")


def uptime() -> float:
    """The seconds since the boot, by a clock that cannot be set; 0 if unknown."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if clock is None else time.clock_gettime(clock)


@functools.cache
def _machine() -> str:
    """A checksum of the machine id, which is itself confidential; "" if there is none."""
    said = _line_of("/etc/machine-id") or _line_of("/var/lib/dbus/machine-id")
    if not said:
        return ""
    from zlib import crc32

    return f"{crc32(said.encode()):08x}"


def _line_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(200).decode("ascii", "replace").strip()
    except OSError:
        return ""


def view(descriptor: int) -> str:
    """The device number and type of the filesystem on which `descriptor` is open.

    Within one kernel, a device number stands for one mounted filesystem: two containers that
    bind-mount one directory see the same number, and each other's locks. Over sshfs, NFS or FUSE
    the same directory has another number, and numbers from different boots cannot be compared:
    then the type says whether another kernel could be using the filesystem.
    """
    try:
        device = os.fstat(descriptor).st_dev
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
            said = dict(line.split(b":", 1) for line in file if b":" in line)
        mount = said[b"mnt_id"].strip()
        with open("/proc/self/mountinfo", "rb") as file:
            for line in file:
                if line.split(b" ", 1)[0] == mount:
                    kind = line.partition(b" - ")[2].split(b" ", 1)[0]
                    return f"{device:x} {kind.decode('ascii', 'replace')}"
    except (OSError, KeyError):
        pass
    return ""


def view_of(path: str | os.PathLike[str]) -> str:
    """As `view`, for the directory at `path`; "" if it cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return ""
    try:
        return view(descriptor)
    finally:
        os.close(descriptor)


def outlived(before: Presence, now: Presence) -> bool:
    """Whether this same machine was rebooted in between, which ends every process.

    True only if no other kernel can use the filesystem: otherwise the owner may run elsewhere.
    """
    return bool(
        before.boot
        and now.boot
        and before.boot != now.boot
        and before.machine
        and before.machine == now.machine
        and {_kind(before.view), _kind(now.view)} <= _LOCAL
    )


def locks_reach_all(descriptor: int) -> bool:
    """Whether a lock on it is visible to every user of its filesystem, as far as can be told."""
    seen = view(descriptor)
    return not seen or _kind(seen) in _LOCAL


def _kind(view: str) -> str:
    return view.rpartition(" ")[2]
