"""The output for Prometheus: gauges for each root, in the format OpenMetrics.

The text is also valid in Prometheus' older text format, which node_exporter reads from files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ..core.instants import seconds_of
from ..core.named_tuple import NamedTuple
from ..core.scheduled import Scheduled
from .text import plain


class Measured(NamedTuple):
    """The numbers of one root. A number is `None` if it is unknown, or if it is a limit that is not
    set. For a root that cannot be read, only `problems` is known.
    """

    project: str
    root: str
    problems: int = 0
    entries: int | None = None
    size: int | None = None
    reclaimable: int | None = None
    free: int | None = None
    capacity: int | None = None
    max_size: int | None = None
    min_free: int | None = None
    scheduled: Scheduled | None = None

    @property
    def succeeded(self) -> int | None:
        """When the last scheduled clean succeeded; 0 if none did."""
        if self.scheduled is None:
            return None
        return int(seconds_of(self.scheduled.succeeded) or 0)

    @property
    def failed(self) -> int | None:
        """How many scheduled cleans have failed since."""
        return None if self.scheduled is None else self.scheduled.failed


_Get = Callable[[Measured], int | None]
GAUGES: Final[dict[str, tuple[str, _Get]]] = {
    "tempkeep_entries": ("Entries.", lambda one: one.entries),
    "tempkeep_size_bytes": ("Bytes of all entries on disk.", lambda one: one.size),
    "tempkeep_reclaimable_bytes": (
        "Bytes that the next clean frees.",
        lambda one: one.reclaimable,
    ),
    "tempkeep_free_bytes": ("Bytes free on the filesystem.", lambda one: one.free),
    "tempkeep_capacity_bytes": ("Bytes that the filesystem has.", lambda one: one.capacity),
    "tempkeep_max_total_size_bytes": (
        "The setting max_total_size, if it is set.",
        lambda one: one.max_size,
    ),
    "tempkeep_min_free_bytes": (
        "The setting min_free_space, if it is set.",
        lambda one: one.min_free,
    ),
    "tempkeep_last_success_timestamp_seconds": (
        "Start time of the last scheduled clean that succeeded; 0 if none did.",
        lambda one: one.succeeded,
    ),
    "tempkeep_failures": (
        "Scheduled cleans that failed since the last one that succeeded.",
        lambda one: one.failed,
    ),
    "tempkeep_problems": (
        "Problems that the scan met, such as paths it could not read.",
        lambda one: one.problems,
    ),
}
"""The gauges by name, each with its meaning and a function that returns its value."""


def openmetrics(roots: Iterable[Measured]) -> str:
    """The text, without a newline at the end. A root that occurs twice is reported once."""
    known = {(one.project, one.root): one for one in roots}
    labels = {key: f'project="{_escaped(key[0])}",root="{_escaped(key[1])}"' for key in known}
    lines: list[str] = []
    for name, (means, get) in GAUGES.items():
        values = [(labels[key], get(one)) for key, one in known.items()]
        samples = [f"{name}{{{label}}} {value}" for label, value in values if value is not None]
        if samples:
            lines += [f"# HELP {name} {means}", f"# TYPE {name} gauge", *samples]
    return "\n".join([*lines, "# EOF"])


def _escaped(text: str) -> str:
    return plain(text).replace("\\", "\\\\").replace('"', '\\"')
