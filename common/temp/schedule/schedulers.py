"""The schedulers that `temp-schedule` knows: a module for each, and what such a module has."""

from __future__ import annotations

from typing import Final, Protocol

from . import cron, launchd, systemd, windows
from .job import Job


class Scheduler(Protocol):
    """What a module for a scheduler has."""

    NAME: str
    PLATFORMS: tuple[str, ...]
    """The values of `sys.platform` for which it is the default; if none, it is one where no other
    is and if it can install."""
    HAS_FILES: bool
    """Whether what it installed is files of its own, to be found without its program."""

    def why_not(self) -> str:
        """Why nothing can be installed here; "" if it can."""

    def show(self, job: Job) -> list[tuple[str, str]]:
        """What would be installed: each place with its text. Raises `InvalidSettings`."""

    def install(self, job: Job) -> list[str]:
        """Install the job; where it is now. Raises `StorageError` or `Refused`."""

    def remove(self, job: Job) -> list[str]:
        """Remove the job; where it was. Raises `StorageError` or `Refused`."""

    def note(self) -> str:
        """What somebody who has installed it should know."""


SCHEDULERS: Final[dict[str, Scheduler]] = {
    "systemd": systemd,
    "cron": cron,
    "launchd": launchd,
    "windows": windows,
}
"""By the words of `--as`, which `choices` lists for the help."""
