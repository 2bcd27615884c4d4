"""The errors that `common.temp` raises; each says what, where and what to do."""

from __future__ import annotations

import errno
from typing import ClassVar, Final

_OWNER: Final = "change its permissions (chmod), or have its owner do it"
_ROOM: Final = "free some space or inodes (df -h, df -i), for example with `temp-clean`"
_SERVER: Final = "mount it again, once its server answers"

REMEDIES: Final[dict[int, str]] = {
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EROFS: "remount that filesystem writable, or work elsewhere",
    errno.EBUSY: "end what uses it (see fuser -v), or unmount it, and clean again",
    errno.ETXTBSY: "end the program that runs from it, and clean again",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: "free some of your quota (quota -s), for example with `temp-clean`",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or close some",
    errno.ENFILE: "the whole system has too many files open: end what holds them, and try again",
    errno.ENOMEM: "end what takes the memory, and try again",
    errno.EAGAIN: "try again, or raise the limit of processes (ulimit -u)",
    errno.ENAMETOOLONG: "choose a shorter name, or a project nearer to /",
    errno.ENOTDIR: "something else is in the place of a directory: move it away",
    errno.ELOOP: "a symlink is in its place: remove that",
    errno.ESTALE: _SERVER,
    errno.ENOTCONN: _SERVER,
    errno.ETIMEDOUT: _SERVER,
    errno.EHOSTDOWN: _SERVER,
    errno.EIO: "the disk may be failing: see dmesg, and save what you need",
    errno.ENOLCK: "mount that filesystem with locks (on NFS, run its lock service)",
}
"""What to do for each error of the disk: one clause that fits any operation."""

OVER_BUDGET: Final = 4
"""The exit code of `temp-check` if there is more scratch than a budget allows."""


def reason_of(error: OSError) -> str:
    """The system's message for the error, and what to do if that is known."""
    why = error.strerror or str(error)
    remedy = "" if isinstance(error, TempError) else REMEDIES.get(error.errno or 0, "")
    return f"{why}; {remedy}" if remedy else why


def in_place(reason: str, where: str) -> str:
    """A `reason_of` with the place, if any, before what to do."""
    why, semicolon, remedy = reason.partition("; ")
    return f"{why}{f' in {where}' if where else ''}{semicolon}{remedy}"


def without_remedy(reason: str) -> str:
    """A `reason_of` without what to do, where there is no room for it."""
    return reason.partition("; ")[0]


EXIT_CODES: Final[dict[int, str]] = {
    0: "done, or nothing to do",
    1: "some entry failed or could not be read, or a check found something",
    2: "a bad argument or setting; nothing was touched",
    3: "refused or declined; nothing was done",
    OVER_BUDGET: "more scratch than a budget allows (`temp-check`)",
    130: "interrupted (Ctrl-C)",
    141: "the reader of the output has gone (a closed pipe)",
}
"""The exit codes of the commands."""


class TempError(Exception):
    """An error whose message says what to do; commands end with its `exit_code`."""

    exit_code: ClassVar[int] = 1


class InvalidName(TempError, ValueError):
    """A label, category, suffix or job id that is not one safe path component."""

    exit_code = 2


class InvalidSettings(TempError, ValueError):
    """A setting or argument that cannot be used; nothing was touched."""

    exit_code = 2


class StorageError(TempError, OSError):
    """An error of the disk: full, read-only, not permitted, not a directory."""

    @classmethod
    def of(cls, what: str, error: OSError, remedy: str = "") -> StorageError:
        """The error for `what` (which includes the path), with the errno of `error`.

        A given `remedy` replaces the one in `REMEDIES`.
        """
        why = reason_of(error)
        if remedy:
            why = f"{without_remedy(why)}; {remedy}"
        return cls(error.errno or 0, f"{what}: {why}")

    def __str__(self) -> str:
        return str(self.args[1]) if len(self.args) > 1 else super().__str__()


class Refused(TempError):
    """Refused because it looks unsafe (for example a planted directory); nothing was done."""

    exit_code = 3


class Declined(Refused):
    """The answer was no, or there was none, so nothing was done; not an error."""
