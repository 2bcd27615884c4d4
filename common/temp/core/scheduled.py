"""How the scheduled cleans of a root ended, according to its log."""

from __future__ import annotations

import re
from typing import Final

from .named_tuple import NamedTuple

ANOTHER: Final = "another scheduled clean is active, so this one exits"
"""The end of the log line of a run that left the work to another run."""

_RUN: Final = re.compile(
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z) "
    r"(?:exit ([0-9]{1,3})|killed): (.*)$",
    re.MULTILINE,
)


class Scheduled(NamedTuple):
    """When the last successful scheduled clean began, in ISO 8601 and UTC ("" if none is known),
    and the number of failures since.
    """

    succeeded: str = ""
    failed: int = 0


def read_log(text: str) -> Scheduled:
    """Read the lines of a log, oldest first."""
    succeeded, failed = "", 0
    for began, code, what in _RUN.findall(text):
        if what == ANOTHER:
            continue
        if code == "0":
            succeeded, failed = began, 0
        else:
            failed += 1
    return Scheduled(succeeded, failed)
