"""Facts about a root that may have changed since the plan was made, checked before each step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from ...core.disposal import DISPOSALS
from ...core.entry import CLOCK_SKEW, Entry, Use, database_of, has_companions
from ...core.plan import Plan, Step
from ...core.policy import Policy
from ...errors import reason_of
from ..claiming.area import HoldingArea
from ..claiming.claim import NotClaimed
from ..root.current_owners import own
from ..root.last_use import last_use
from ..root.leases import Leases
from ..root.owner import release
from ..root.owner_kinds import OWN, Book
from ..root.pinning import Pins
from ..scanning.protections_inside import Within
from ..scanning.scan import busy_entries
from ..scanning.tracked_entries import TrackedEntries
from ..scanning.uses_above import Above
from ..system.hidden_processes import unseen
from ..system.space import free_bytes
from ..trees.measured import Inside
from ..trees.measured_path import Newest, look_at, look_inside, measure_at

_CHECK_SECONDS: Final = 1.0
"""How old (seconds) the last scan of `/proc` may be when an entry is claimed. Accepted race: a
process that starts to work in an entry without a lease within this time is not seen."""

_BATCH_SECONDS: Final = 0.2
"""How long (seconds) claiming a batch may take without another scan of `/proc`."""


class Facts:
    """The current leases, pins, changes and users of a root's entries. Close it after use."""

    def __init__(self, plan: Plan, *, batch: bool = False) -> None:
        self.root = Path(plan.root)
        self.policy = plan.policy
        self.leases = Leases(self.root, plan.policy.foreign_for)
        self.pins = Pins(self.root)
        self._above = Above(self.root, self.leases)
        self._wanted_free = plan.wanted_free
        self._batch = batch
        self._owned: dict[str, Book] = {}
        """Entries of steps that this process owned when they were taken, with their books. If
        another thread later makes an entry of such a name, that keeps its lease."""
        self._area: HoldingArea | None = None
        self._seen_at: dict[str, float] = {}
        """When the check of an entry's content began."""
        self._before: dict[str, tuple[int, int, str]] = {}
        """When entries last changed, before git was run on them."""
        self._inside: dict[str, Inside] = {}
        """The content of entries that may protect them, as last seen."""
        self._tracked = TrackedEntries(self.root)
        self._hints: dict[str, str] = {}
        """The commands to run once the entries are gone."""
        self._busy: dict[str, Use] = {}
        self._looked_at = float("-inf")

    @property
    def area(self) -> HoldingArea:
        """The holding area, opened at first use."""
        if self._area is None:
            self._area = HoldingArea(self.root, batch=self._batch)
        return self._area

    def close(self) -> None:
        """Close all descriptors."""
        if self._area is not None:
            self._area.close()

    def rules(self, entry: Entry) -> Policy:
        """The policy for the category of `entry`."""
        return self.policy.of(entry.category)

    def is_low(self) -> bool:
        """Whether less space is free now than the policy requires."""
        free, wanted = free_bytes(self.root), self._wanted_free
        return free is not None and wanted is not None and free < wanted

    # -- this process's own leases ------------------------------------------------------------

    def note_owner(self, entry: Entry) -> None:
        """Remember whether this process owns `entry`, which is about to be claimed."""
        if (book := self._own_book(entry)) is not None:
            self._owned.setdefault(entry.path, book)

    def give_up(self, entry: Entry) -> None:
        """End this process's lease on `entry`, if it had one, now that the entry was moved."""
        if (book := self._owned.pop(entry.path, None)) is not None:
            release(str(self.root), entry.path, book)

    # -- many entries at a time ---------------------------------------------------------------

    def is_usual(self, entries: Collection[Entry]) -> bool:
        """Whether `entries` can be taken in a batch. Reads the facts that `free_of` uses."""
        if time.monotonic() - self._looked_at > _CHECK_SECONDS - _BATCH_SECONDS:
            self._look_at_processes()
        if self._tracked.has_any() or not self.is_still_usual(entries):
            return False
        if any(own(str(self.root), book) is not None for book in OWN):
            for entry in entries:
                self.note_owner(entry)
        return not any(
            self._above.use_of(one.path, self._busy) for one in _one_of_each_category(entries)
        )

    @staticmethod
    def is_old(seconds: float) -> bool:
        """Whether facts of that age are too old to rely on."""
        return seconds > _CHECK_SECONDS

    def used_in(self, place: Path) -> Collection[str]:
        """The names in the directory `place`, to which entries were moved, in which processes work;
        none if the last scan of processes is recent enough.
        """
        if time.monotonic() - self._looked_at <= _CHECK_SECONDS:
            return ()
        return busy_entries(place).keys()

    def is_still_usual(self, entries: Collection[Entry]) -> bool:
        """Like `is_usual`, but without processes; checked again after the entries were claimed."""
        self.pins.refresh()
        self.leases.refresh()
        within = Within(self.root, self._tracked)
        return not self.leases.has_unchecked and all(
            within.is_apart(one.path) for one in _one_of_each_category(entries)
        )

    def free_of(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The `entries` that no pin, lease or process keeps, according to the facts last read."""
        if not (self._busy or self.leases.has_any or self.pins.has_any()):
            return entries  # the usual case
        return [entry for entry in entries if self._is_free(entry)]

    def _is_free(self, entry: Entry) -> bool:
        if self.pins.of(entry.path) is not None:
            return False
        if not self.rules(entry).spare_in_use:
            return True
        use = self.leases.use_of(entry.path, time.time(), entry.last)
        return not self._who(use, entry) and entry.path not in self._busy

    # -- objections to a step -----------------------------------------------------------------

    def objection(self, step: Step) -> str:
        """Why `step` must no longer be carried out; "" if it may."""
        entry = step.entry
        rules = self.rules(entry)
        database = database_of(entry.path)
        if has_companions((entry,)) and os.path.isfile(self.root / database):
            return f"belongs to {database}, which stays"
        if self._is_pinned(entry):
            return "has been pinned meanwhile"
        if rules.spare_in_use and (user := self._leased(entry, in_place=True)):
            return f"in use: {user}"
        self._seen_at[entry.path] = time.monotonic()
        within = Within(self.root, self._tracked)
        if rules.everything or rules.abandoned:
            inside = self._names_inside(entry)
            if inside.unread and rules.spare_in_use:
                raise NotClaimed(f"cannot be looked into: {inside.unread}", failed=True)
            if rules.spare_work and not rules.abandoned and within.asks_git(entry.path, inside):
                self._before[entry.path] = _newness(self.area.top, entry.path)
        elif last_use(self.root, entry.path) > entry.last:
            return "has been used meanwhile"
        else:
            newest, inside = self._look_at(entry, time.time() + CLOCK_SKEW)
            if objection := self._newer(entry, newest):
                return objection
        self._inside[entry.path] = inside
        if objection := self._within(within, entry, self.root / entry.path):
            return objection
        if rules.spare_work and not rules.abandoned:
            if work := within.work_in(entry.path, inside):
                return f"holds unsaved work: {work}"
            self._hints[entry.path] = within.prune_hint(entry.path, inside)
        # Check this last: walking a large entry, or git, may take longer than it stays valid.
        return self.worker_in(entry)

    def worker_in(self, entry: Entry) -> str:
        """The process that works in `entry`, from a scan at most a second old, if the rules spare
        entries in use; "" if there is none.
        """
        if not self.rules(entry).spare_in_use:
            return ""
        if time.monotonic() - self._looked_at > _CHECK_SECONDS:
            self._look_at_processes()
        use = self._busy.get(entry.path)
        use = use or self._above.use_of(entry.path, self._busy, entry)
        if use is None:
            use = unseen(time.time(), entry.last, lambda: self.leases.foreign_for)
            if use is not None and self._own_book(entry) is not None:
                return ""
        return self._spelled(use, entry)

    def _look_at_processes(self) -> None:
        self._looked_at = time.monotonic()
        self._busy = busy_entries(self.root)

    def protection(self, entry: Entry, place: Path) -> str:
        """Why `entry`, which was just moved to `place`, must stay: a pin, a lease, or, if the last
        scan of processes is too old, a new process. "" if nothing keeps it.

        Accepted race: a root made inside the entry between the last check and the move is not seen.
        """
        if self._is_pinned(entry):
            return "has been pinned meanwhile"
        spared = self.rules(entry).spare_in_use
        if spared and (user := self._leased(entry)):
            return f"in use: {user}"
        if objection := self._within(Within(self.root), entry, place):
            return objection
        if not spared or time.monotonic() - self._looked_at <= _CHECK_SECONDS:
            return ""
        uses = busy_entries(place.parent)  # it has another path now
        return self._spelled(uses.get(place.name), entry)

    def changed_since(self, entry: Entry, holding: int, held: str) -> str:
        """A change to `entry` while it was checked, if that took long; "" if there is none.

        The entry is now `held` in the open directory `holding`, where its path no longer leads to
        it. Raises `OSError` if it cannot be read.
        """
        seen_at, rules = self._seen_at.pop(entry.path, float("-inf")), self.rules(entry)
        before = self._before.pop(entry.path, None)
        if time.monotonic() - seen_at <= _CHECK_SECONDS:
            return ""
        if rules.everything or rules.abandoned:
            # A change counts only if git was run to find unsaved work.
            is_same = before is None or _newness(holding, held) == before
            return "" if is_same else "has changed meanwhile"
        return self._newer(entry, look_at(holding, held, time.time() + CLOCK_SKEW)[0])

    @staticmethod
    def _newer(entry: Entry, newest: Newest) -> str:
        if newest.changed <= entry.seen and newest.future <= entry.future:
            return ""
        return f"has changed meanwhile{f', in {newest.where}' if newest.where else ''}"

    def newest(self, entry: Entry) -> tuple[float, str]:
        """When and where `entry` last changed inside, including times in the future.

        Raises `NotClaimed` if that cannot be read.
        """
        return self._look_at(entry)[0][:2]

    def hint(self, step: Step) -> str:
        """The command to run now that the entry is deleted; "" if none."""
        return self._hints.pop(step.entry.path, "") if DISPOSALS[step.disposal].is_final else ""

    def _is_pinned(self, entry: Entry) -> bool:
        self.pins.refresh()
        return self.pins.of(entry.path) is not None

    def _spelled(self, use: Use | None, entry: Entry) -> str:
        """A text that says which process works in `entry`; "" if none does.

        Files that this process has open in an entry of its own do not keep it: its lease would.
        """
        if use is None or (use.mine and self._own_book(entry) is not None):
            return ""
        return f"in use: {use.who}"

    def _own_book(self, entry: Entry) -> Book | None:
        """The book in which this process has `entry`; `None` if it is not its own."""
        for book in OWN:
            owner = own(str(self.root), book)
            if owner is not None and entry.path in owner.live:
                return book
        return None

    def _leased(self, entry: Entry, *, in_place: bool = False) -> str:
        """The process with a lease on `entry`, if the rules spare entries in use; else ""."""
        self.leases.refresh()
        changed = entry.last
        if in_place and self.leases.is_guessed(entry.path):
            changed = max(changed, self.newest(entry)[0])
        use = self.leases.use_of(entry.path, time.time(), changed)
        return self._who(use, entry)

    def _within(self, within: Within, entry: Entry, place: Path) -> str:
        """The pin or lease of a root in `entry`, now at `place`, that keeps it; "" if none does."""
        inside = self._inside.get(entry.path, Inside())
        if pin := within.pin_of(entry.path, place, inside):
            return f"holds what is pinned: {pin}"
        if not self.rules(entry).spare_in_use:
            return ""
        changed = entry.last
        if inside.roots and entry.partial:  # the scan did not see all of it
            with contextlib.suppress(NotClaimed):
                changed = max(changed, self.newest(entry)[0])
        who = self._who(within.use_of(entry.path, place, inside, time.time(), changed), entry)
        return f"in use: {who}" if who else ""

    def _who(self, use: Use | None, entry: Entry) -> str:
        """The process that keeps `entry`; a clean of everything ignores this process's own."""
        return use.who if use and not (use.mine and self.rules(entry).everything) else ""

    def _names_inside(self, entry: Entry) -> Inside:
        try:
            return look_inside(self.area.top, entry.path)
        except OSError as error:
            raise NotClaimed(reason_of(error), failed=True) from error

    def _look_at(self, entry: Entry, until: float | None = None) -> tuple[Newest, Inside]:
        try:
            return look_at(self.area.top, entry.path, until)
        except FileNotFoundError:
            raise NotClaimed("is gone already") from None
        except OSError as error:
            raise NotClaimed(reason_of(error), failed=True) from error


def _one_of_each_category(entries: Iterable[Entry]) -> Collection[Entry]:
    return {entry.path.rpartition("/")[0]: entry for entry in entries}.values()


def _newness(parent: int, name: str) -> tuple[int, int, str]:
    """When and where `name` last changed inside, as far as that can be read."""
    return measure_at(parent, name).newness
