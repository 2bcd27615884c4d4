"""The errors that users of `common.temp` meet; each says what, where and what to do."""

from __future__ import annotations

from typing import ClassVar, Final

OVER_BUDGET: Final = 4
"""What `temp-check` ends with when there is more scratch than a budget allows. The other exit codes
are 0 (done, or nothing to do), 1 (some entry failed, or something was found), 2 (a bad argument or
setting), 3 (refused or declined) and 130 (interrupted)."""


def reason_of(error: OSError) -> str:
    """Why the disk said no, in its own words."""
    return error.strerror or str(error)


class TempError(Exception):
    """An error with a remedy in its text; `exit_code` is what a command ends with."""

    exit_code: ClassVar[int] = 1


class InvalidName(TempError, ValueError):
    """A label, category, suffix or job id that is not one safe path component."""

    exit_code = 2


class InvalidSettings(TempError, ValueError):
    """A setting or argument that cannot be used; nothing was touched."""

    exit_code = 2


class StorageError(TempError, OSError):
    """The disk said no: full, read-only, not permitted, not a directory."""

    @classmethod
    def of(cls, what: str, error: OSError, remedy: str = "") -> StorageError:
        """The error for `what` (which names the path), keeping the errno of `error`."""
        text = f"{what}: {reason_of(error)}" + (f"; {remedy}" if remedy else "")
        return cls(error.errno or 0, text)

    def __str__(self) -> str:
        return str(self.args[1]) if len(self.args) > 1 else super().__str__()


class Refused(TempError):
    """Something that looks unsafe, so nothing was done (a planted directory, a "no")."""

    exit_code = 3
