"""What may have changed in a root since the plan was drawn, looked up again before each step."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from ...core.disposal import DISPOSALS
from ...core.entry import Entry, Use
from ...core.plan import Plan, Step
from ...core.policy import Policy
from ...errors import reason_of
from ..claiming.above import Above
from ..claiming.area import HoldingArea
from ..claiming.claim import NotClaimed
from ..claiming.inner import Within
from ..claiming.scan import busy_entries
from ..root.journal import OWN, Book
from ..root.lastuse import last_use
from ..root.leases import Leases
from ..root.owner import own, release
from ..root.pinning import Pins
from ..system.space import free_bytes
from ..trees.inside import look_at, look_inside
from ..trees.measured import Inside

_PROCESS_CHECK_SECONDS: Final = 1.0
"""How old the last look at `/proc` may be when an entry is taken. Accepted race: a process that
starts to work in an entry without a lease within this time is not seen."""


class Facts:
    """The present leases, pins, changes and users of a root's entries. To be closed."""

    def __init__(self, plan: Plan, *, batch: bool = False) -> None:
        self.root = Path(plan.root)
        self.policy = plan.policy
        self.leases = Leases(self.root, plan.policy.foreign_for)
        self.pins = Pins(self.root)
        self._above = Above(self.root, self.leases)
        self._wanted_free = plan.wanted_free
        self._batch = batch
        self._owned: dict[str, Book] = {}
        """Entries of the steps that this process owned when they were taken, by their book. An
        entry that another thread makes later under such a name keeps its lease."""
        self._area: HoldingArea | None = None
        self._inside: dict[str, Inside] = {}
        """What the last look saw inside entries that may protect them."""
        self._hints: dict[str, str] = {}
        """What to do once they are gone."""
        self._busy: dict[str, Use] = {}
        self._looked_at = float("-inf")

    @property
    def area(self) -> HoldingArea:
        """The holding area, opened at first use."""
        if self._area is None:
            self._area = HoldingArea(self.root, batch=self._batch)
        return self._area

    def close(self) -> None:
        """Close what is open."""
        if self._area is not None:
            self._area.close()

    def rules(self, entry: Entry) -> Policy:
        """The policy for the category of `entry`."""
        return self.policy.of(entry.category)

    def is_low(self) -> bool:
        """Whether less space is free now than the policy wants."""
        free, wanted = free_bytes(self.root), self._wanted_free
        return free is not None and wanted is not None and free < wanted

    # -- this process's own leases ------------------------------------------------------------

    def note_owner(self, entry: Entry) -> None:
        """Remember whether this process owns `entry`, which is about to be taken."""
        for book in OWN:
            owner = own(str(self.root), book)
            if owner is not None and entry.path in owner.live:
                self._owned.setdefault(entry.path, book)

    def give_up(self, entry: Entry) -> None:
        """End this process's lease on `entry`, if it had one, now that it left its place."""
        if (book := self._owned.pop(entry.path, None)) is not None:
            release(str(self.root), entry.path, book)

    # -- what speaks against a step -----------------------------------------------------------

    def objection(self, step: Step) -> str:
        """Why `step` must not be carried out any more; "" if it may."""
        entry = step.entry
        rules = self.rules(entry)
        if self._is_pinned(entry):
            return "has been pinned meanwhile"
        if rules.spare_in_use and (user := self._user_of(entry)):
            return f"in use by {user}"
        if rules.everything or rules.abandoned:
            inside = self._names_inside(entry)
        elif last_use(self.root, entry.path) > max(entry.used, entry.changed):
            return "has been used meanwhile"
        else:
            (changed, where), inside = self._look_at(entry)
            if changed > entry.changed:
                return f"has changed meanwhile{f', in {where}' if where else ''}"
        self._inside[entry.path] = inside
        within = Within(self.root)
        if objection := self._within(within, entry, self.root / entry.path):
            return objection
        if rules.spare_work and not rules.abandoned:
            if work := within.work_in(entry.path, inside):
                return f"holds unsaved work: {work}"
            self._hints[entry.path] = within.prune_hint(entry.path, inside)
        return ""

    def protection(self, entry: Entry, place: Path) -> str:
        """The pin or lease that keeps `entry`, which was just moved to `place`; "" if none.

        Accepted race: a root made inside the entry after the last look, in the instant before the
        move, is not seen.
        """
        if self._is_pinned(entry):
            return "has been pinned meanwhile"
        if self.rules(entry).spare_in_use and (user := self._leased(entry)):
            return f"in use by {user}"
        return self._within(Within(self.root), entry, place)

    def newest(self, entry: Entry) -> tuple[float, str]:
        """When and where `entry` last changed inside. Raises `NotClaimed` if that is hidden."""
        return self._look_at(entry)[0]

    def hint(self, step: Step) -> str:
        """What to do now that the entry is deleted; "" for nothing."""
        return self._hints.pop(step.entry.path, "") if DISPOSALS[step.disposal].is_final else ""

    def _is_pinned(self, entry: Entry) -> bool:
        self.pins.refresh()
        return self.pins.of(entry.path) is not None

    def _user_of(self, entry: Entry) -> str:
        if who := self._leased(entry, in_place=True):
            return who
        if time.monotonic() - self._looked_at > _PROCESS_CHECK_SECONDS:
            self._busy = busy_entries(self.root)
            self._looked_at = time.monotonic()
        busy = self._busy.get(entry.path) or self._above.use_of(entry.path, self._busy)
        return busy.who if busy is not None else ""

    def _leased(self, entry: Entry, *, in_place: bool = False) -> str:
        """The process that uses `entry` now by its lease; "" if none does that the rules spare."""
        self.leases.refresh()
        changed = entry.changed
        if in_place and self.leases.is_guessed(entry.path):
            changed = max(changed, self.newest(entry)[0])
        use = self.leases.use_of(entry.path, time.time(), changed)
        return self._who(use, entry)

    def _within(self, within: Within, entry: Entry, place: Path) -> str:
        """The pin or lease of a root in `entry` that keeps it; `entry` lies at `place` now."""
        inside = self._inside.get(entry.path, Inside())
        if pin := within.pin_of(entry.path, place, inside):
            return f"holds what is pinned: {pin}"
        if not self.rules(entry).spare_in_use:
            return ""
        changed = entry.changed
        if inside.roots and entry.partial:  # not all of it has been looked at
            with contextlib.suppress(NotClaimed):
                changed = max(changed, self.newest(entry)[0])
        who = self._who(within.use_of(entry.path, place, inside, time.time(), changed), entry)
        return f"in use by {who}" if who else ""

    def _who(self, use: Use | None, entry: Entry) -> str:
        """The user that keeps `entry`; a clean of everything does not spare this process's own."""
        return use.who if use and not (use.mine and self.rules(entry).everything) else ""

    def _names_inside(self, entry: Entry) -> Inside:
        with contextlib.suppress(OSError):
            return look_inside(self.area.top, entry.path)
        return Inside()

    def _look_at(self, entry: Entry) -> tuple[tuple[float, str], Inside]:
        try:
            return look_at(self.area.top, entry.path)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(reason_of(error), failed=True) from error
