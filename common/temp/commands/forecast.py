"""A forecast of the next `temp-clean` without arguments, for status, check and explain."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.entry import Inventory
from ..core.layouts import STORE, UNDO
from ..core.named_tuple import NamedTuple
from ..core.reasons import Reason, Verdict
from ..core.retention import explain, judge, without_space_in_vain
from ..report.progress import ProgressLine
from ..store.scanning.scan import scan
from .collecting import collector_at_rest
from .places import Place


class Forecast(NamedTuple):
    """The content of a place, and what the next clean would do with it, judged at `now`."""

    place: Place
    now: float
    inventory: Inventory
    coming: int
    """The bytes that undoable entries and archives free before any entry goes."""

    @property
    def in_vain(self) -> bool:
        """Whether entries are archived on the same disk, which frees no space."""
        inventory = self.inventory
        if self.place.policy().wanted_free(inventory.free, inventory.capacity) is None:
            return False
        from ..store.sweep.prepare import archives_in_vain

        return archives_in_vain(self.place.disposal, self.place.archive, self.place.root)

    def verdicts(self, category: str | None = None) -> list[Verdict]:
        """Return the decision on each entry, or on each entry of a category."""
        with collector_at_rest():
            verdicts = judge(
                self.inventory.entries,
                self.place.policy(),
                self.now,
                free=self.inventory.free,
                capacity=self.inventory.capacity,
                coming=self.coming,
            )
        return self._as_carried_out(
            one for one in verdicts if category in (None, one.entry.category)
        )

    def explain(self, path: str) -> tuple[Verdict, tuple[Reason, ...]]:
        """Return the decision on entry `path`, and what each rule says. Raises `LookupError`."""
        verdict, reasons = explain(
            self.inventory.entries,
            self.place.policy(),
            self.now,
            path,
            free=self.inventory.free,
            capacity=self.inventory.capacity,
            coming=self.coming,
        )
        return self._as_carried_out([verdict])[0], tuple(reasons)

    def _as_carried_out(self, verdicts: Iterable[Verdict]) -> list[Verdict]:
        """Return the verdicts, adjusted for archives that free no space and for files that stay."""
        if self.in_vain:
            verdicts = without_space_in_vain(verdicts)
        place, policy = self.place, self.place.policy()
        if not policy.keeps_files:
            return list(verdicts)
        from ..store.sweep.kept_files import verdict_by_files

        return [verdict_by_files(place.root, policy, one, place.disposal)[0] for one in verdicts]


def look(place: Place, now: float) -> Forecast:
    """Return the forecast for `place`; nothing is written. Raises `StorageError` or `Refused`."""
    line = ProgressLine("scanning:")
    try:
        inventory = scan(
            place.root,
            now,
            layout=place.layout(),
            progress=line,
            workers=place.settings.workers,
        )
    finally:
        line.clear()
    return _with_what_goes_first(Forecast(place, now, inventory, 0))


def _with_what_goes_first(forecast: Forecast) -> Forecast:
    """Return the forecast with undoable entries, and with the space freed before any entry goes."""
    place, inventory = forecast.place, forecast.inventory
    holds_some = (place.root / STORE / UNDO).is_dir()
    wants_space = place.policy().wanted_free(inventory.free, inventory.capacity) is not None
    if not (holds_some or wants_space):
        return forecast
    from ..store.sweep.prepare import goes_first

    first = goes_first(
        inventory,
        place.policy(),
        forecast.now,
        disposal=place.disposal,
        archive=place.archive,
        ask_far=False,
    )
    if holds_some:
        from ..store.shelf.undo import undoable

        names = {entry.path for entry, _ in first.forgotten}
        held = undoable(place.root)
        marked = tuple(one._replace(goes=one.name in names) for one in held)
        inventory = inventory._replace(undoable=marked)
    return forecast._replace(inventory=inventory, coming=first.coming)
