"""The schedulers that `temp-schedule` supports, a module for each, and their interface."""

from __future__ import annotations

from typing import Final, Protocol

from . import cron, launchd, systemd, windows
from .job import Job


class Scheduler(Protocol):
    """The interface of a module for a scheduler."""

    NAME: str
    PLATFORMS: tuple[str, ...]
    """The values of `sys.platform` on which it is the default. If empty, it is the default on other
    systems, if it can install a job there."""
    HAS_FILES: bool
    """Whether it installs files of its own, which can be found without the scheduler's program."""

    def why_not(self) -> str:
        """Why no job can be installed here; "" if one can."""

    def show(self, job: Job) -> list[tuple[str, str]]:
        """The texts that would be installed, each with its place. Raises `InvalidSettings`."""

    def install(self, job: Job) -> list[str]:
        """Install the job. Returns its places. Raises `StorageError` or `Refused`."""

    def remove(self, job: Job) -> list[str]:
        """Remove the job. Returns the places where it was. Raises `StorageError` or `Refused`."""

    def note(self) -> str:
        """A note to print after installing."""


SCHEDULERS: Final[dict[str, Scheduler]] = {
    "systemd": systemd,
    "cron": cron,
    "launchd": launchd,
    "windows": windows,
}
"""The schedulers by the words of `--as`, which `choices` lists for the help."""
