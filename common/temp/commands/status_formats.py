"""The formats of `temp-status`: for each, a sink that turns the roots into one text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..core.entry import Inventory
from ..core.layouts import HISTORY, STORE
from ..core.named_tuple import NamedTuple
from ..core.reasons import Verdict
from ..errors import InvalidSettings
from .places import Place
from .printing import screen

if TYPE_CHECKING:  # defining a protocol takes longer than everything else here
    from typing import Protocol

    from ..core.history import PastSweep
    from ..report.markup import Shown
    from ..report.openmetrics import Measured

    class Sink(Protocol):
        """Takes the roots one by one, and makes one text of them."""

        all_roots: bool
        """Whether empty projects of a monorepo are reported one by one too."""

        def add(self, root: RootStatus) -> None:
            """Take a root."""

        def text(self, empty: int) -> str:
            """Return the text; `empty` is the number of projects left out."""


class StatusArguments(NamedTuple):
    """The arguments of `temp-status` as they were typed."""

    category: str | None = None
    sort: str = "name"
    limit: str | None = None
    output: str = "table"
    all_projects: bool = False
    file: str | None = None
    history: bool = False


class RootStatus(NamedTuple):
    """One root with its entries and, if requested, its past sweeps; if it is unreadable, `failed`
    is the exit code.
    """

    place: Place
    inventory: Inventory
    verdicts: Sequence[Verdict]
    shown: Sequence[Verdict]
    failed: int = 0
    sweeps: Sequence[PastSweep] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report."""
        seen = self.inventory
        return not (self.verdicts or seen.leftovers or seen.problems or seen.undoable)


_OFFER: Final = (
    'hint: with `auto_clean = "1d"` in [tool.tempkeep], this clean starts by itself once a day'
)


def _may_want_auto_clean(root: RootStatus) -> bool:
    """Return whether entries exceed a configured limit in a root that was never cleaned."""
    settings = root.place.settings
    return (
        settings.auto_clean is None
        and settings.policy.has_limit
        and not (root.place.is_extra or root.place.is_configured)
        and any(not verdict.keep for verdict in root.verdicts)
        and not (root.place.root / STORE / HISTORY).exists()
    )


class _Table:
    """A table for each root, as text or in GitHub's Markdown."""

    all_roots = False

    def __init__(self, given: StatusArguments, now: float) -> None:
        self._given = given
        self._now = now
        self._blocks: list[str] = []

    def add(self, root: RootStatus) -> None:
        if root.failed:
            return  # its problem says why
        from ..report.status_table import status_text

        title = f"{root.place.title} ({root.place.located()})"
        is_github = self._given.output == "github"
        columns = None if is_github or self._given.file is not None else screen()
        self._blocks.append(
            status_text(
                title,
                root.inventory,
                root.verdicts,
                root.shown,
                self._now,
                "github" if is_github else "table",
                columns,
                root.place.disposal,
            )
        )
        if not is_github and columns is not None and _may_want_auto_clean(root):
            self._blocks.append(_OFFER)

    def text(self, empty: int) -> str:
        from ..report.text import counted

        if empty:
            self._blocks.append(f"{counted(empty, 'project', 'projects')} without entries")
        return "\n\n".join(self._blocks)


class _Json:
    """One JSON document for programs."""

    all_roots = True

    def __init__(self, given: StatusArguments, now: float) -> None:
        self._now = now
        self._documents: list[dict[str, Any]] = []

    def add(self, root: RootStatus) -> None:
        from ..report.json import status_project
        from ..store.root.schedule_log import scheduled_cleans
        from ..store.system.process_identity import view_of

        to = root.place.leads_to()
        self._documents.append(
            status_project(
                root.place.title,
                root.inventory,
                root.verdicts,
                root.shown,
                self._now,
                None if to is None else str(to),
                view_of(root.place.root),
                scheduled_cleans(root.place.root),
            )
        )

    def text(self, empty: int) -> str:
        from .. import __version__
        from ..report.json import document
        from ..store.project.place import reported_host
        from ..store.system.process_identity import boot

        here = {"host": reported_host(), "boot": boot() or None, "version": __version__}
        return document("status", self._now, self._documents, **here)


class _Csv:
    """A row for each entry, for spreadsheets."""

    all_roots = False

    def __init__(self, given: StatusArguments, now: float) -> None:
        self._now = now
        self._listed: list[tuple[str, Sequence[Verdict]]] = []

    def add(self, root: RootStatus) -> None:
        self._listed.append((root.place.title, root.shown))

    def text(self, empty: int) -> str:
        from ..report.csv import status_csv

        return status_csv(self._listed, self._now)


class _Html:
    """One self-contained page."""

    all_roots = False

    def __init__(self, given: StatusArguments, now: float) -> None:
        self._all_projects = given.all_projects
        self._now = now
        self._roots: list[Shown] = []

    def add(self, root: RootStatus) -> None:
        from ..report.markup import Shown
        from ..report.text import located

        place = root.place
        title = located(place.title, place.leads_to())
        self._roots.append(
            Shown(title, root.inventory, root.verdicts, root.shown, place.disposal, root.sweeps)
        )

    def text(self, empty: int) -> str:
        from ..report.html import page
        from ..store.project.place import standing_project
        from ..store.project.project import find_monorepo

        project = standing_project()
        title = find_monorepo(project).name if self._all_projects else project.name
        return page(title, self._roots, self._now, empty)


class _OpenMetrics:
    """Gauges for Prometheus."""

    all_roots = True

    def __init__(self, given: StatusArguments, now: float) -> None:
        if given.category is not None:
            raise InvalidSettings("--format openmetrics takes no --category; leave it out")
        self._roots: list[Measured] = []

    def add(self, root: RootStatus) -> None:
        from .metrics import measured, unreadable

        seen = root.place, root.inventory, root.verdicts
        self._roots.append(unreadable(root.place) if root.failed else measured(*seen))

    def text(self, empty: int) -> str:
        from ..report.openmetrics import openmetrics

        return openmetrics(self._roots)


FORMATS: Final[dict[str, Callable[[StatusArguments, float], Sink]]] = {
    "table": _Table,
    "json": _Json,
    "csv": _Csv,
    "github": _Table,
    "html": _Html,
    "openmetrics": _OpenMetrics,
}
"""The sinks by value of `--format`; `choices` lists these values for the help."""
