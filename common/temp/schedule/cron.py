"""cron: a line between two marks in the user's crontab; the rest of the crontab is unchanged."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import Final

from ..errors import InvalidSettings, Refused, StorageError
from .job import HOUR_OF_DAY, Job, by_the_clock, demand, run

NAME = "cron"
PLATFORMS: tuple[str, ...] = ()
HAS_FILES = False
_MOST_BYTES: Final = 998
"""The length in bytes of the longest command that Vixie cron and its successors accept."""


def why_not() -> str:
    """Why no job can be installed here; "" if one can."""
    if not shutil.which("crontab"):
        return "there is no crontab"
    try:
        _read()
    except StorageError as error:
        return str(error)
    return ""


def show(job: Job) -> list[tuple[str, str]]:
    """The lines that would be written to the crontab."""
    return [("crontab -e", "\n".join(_block(job)) + "\n")]


def line(job: Job) -> str:
    """The line of the crontab. Raises `InvalidSettings` if cron cannot express it."""
    by_the_clock(job, "cron")
    # The log has a line for each run, so cron needs to mail only errors.
    command = f"cd {_quoted(job.project)} && {' '.join(map(_quoted, job.command))} >/dev/null"
    if len(os.fsencode(command)) > _MOST_BYTES:
        raise InvalidSettings(
            f"{job.project}: the command is too long for cron; install tempkeep in an environment "
            "with a shorter path, or choose another scheduler with --as"
        )
    return f"{_when(job)} {command}"


def _when(job: Job) -> str:
    hours, minutes = divmod(job.every, 60)
    if not hours:
        return f"{job.minute % minutes}-59/{minutes} * * * *" if minutes > 1 else "* * * * *"
    if hours < 24:
        return f"{job.minute} {f'*/{hours}' if hours > 1 else '*'} * * *"
    return f"{job.minute} {HOUR_OF_DAY} * * {0 if hours > 24 else '*'}"


def _quoted(word: str) -> str:
    """`word` quoted for the shell and for cron, for which an unescaped `%` ends the command.

    Cron removes one backslash before a `%`, but not a second one.
    """
    return shlex.quote(word).replace("\\%", "\\''%").replace("%", "\\%")


def _block(job: Job) -> list[str]:
    begin, end = _marks(job)
    return [f"{begin} `inv temp-schedule --remove` in the project removes it", line(job), end]


def _marks(job: Job) -> tuple[str, str]:
    return f"# begin {job.name}:", f"# end {job.name}"


def replaced(crontab: bytes, job: Job, lines: list[str]) -> bytes:
    """`crontab` with `lines` in place of those of `job`, or at its end; the rest is unchanged.

    Raises `Refused` unless each of the two marks occurs once, in order, or neither does.
    """
    begin, end = (os.fsencode(mark) for mark in _marks(job))
    said = crontab.split(b"\n")
    begins = [index for index, text in enumerate(said) if text.startswith(begin)]
    ends = [index for index, text in enumerate(said) if text.rstrip() == end]
    block = [os.fsencode(text) for text in lines]
    if not begins and not ends:
        if not block:
            return crontab
        rest = crontab if crontab.endswith(b"\n") or not crontab else crontab + b"\n"
        return rest + b"\n".join(block) + b"\n"
    if len(begins) != 1 or len(ends) != 1 or begins > ends:
        raise Refused(
            f"the crontab needs one line `{os.fsdecode(begin)}…` and after it one line "
            f"`{os.fsdecode(end)}`; repair it with `crontab -e`"
        )
    return b"\n".join([*said[: begins[0]], *block, *said[ends[0] + 1 :]])


def install(job: Job) -> list[str]:
    """Write the line to the crontab, and return the crontab's name.

    Raises `StorageError` or `Refused`.
    """
    _write(job, _block(job))
    return ["crontab"]


def remove(job: Job) -> list[str]:
    """Remove the line from the crontab. Returns the crontab's name if the line was there.

    Raises the same errors as `install`.
    """
    return ["crontab"] if _write(job, []) else []


def note() -> str:
    """A note to print after installing."""
    return "`crontab -l` shows it; it runs only while the cron daemon runs"


def _write(job: Job, lines: list[str]) -> bool:
    """Write the crontab if it differs. Returns whether it did.

    An edit made by somebody else at the same instant is lost, as with two `crontab -e`.
    """
    before = _read()
    after = replaced(before, job, lines)
    if after == before:
        return False
    if after:
        demand(["crontab", "-"], after)
    else:
        demand(["crontab", "-r"])
    return True


def _read() -> bytes:
    """The text of the crontab; "" if there is none. Raises `StorageError`."""
    code, content, said = run(["crontab", "-l"])
    if not code:
        return content
    if "no crontab" not in said and "No such file" not in said:  # the message of busybox
        raise StorageError(0, f"cannot read the crontab: {said}")
    return b""
