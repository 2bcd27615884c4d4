"""Takes small entries of a plan in batches.

Each entry is checked like one that is taken alone, but facts about all of them are read once:
before they are moved aside, and again after that. An unusual entry is left to be taken alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from ...core.entry import CLOCK_SKEW, Entry
from ...core.layouts import USED
from ...core.plan import Step
from ...core.reasons import LOW_SPACE
from ...errors import TempError
from ..claiming.claim import Claim, NotClaimed
from ..claiming.small_entries import Batch, Opened, Small
from ..root.last_use import last_use
from ..root.records import record_names
from ..system import at
from ..trees.plain import files_in, newest_of
from .rechecks import Facts

MOST: Final = 64
"""The most entries taken at a time: each is an open directory."""

_SECONDS: Final = 0.1
"""The time that taking a batch should last at most. A process that leases one of the entries
meanwhile waits until it is put back."""


class Batches:
    """Takes the small entries among the steps of a plan."""

    def __init__(self, facts: Facts, *, background: bool) -> None:
        self._facts = facts
        self.elsewhere: dict[str, str] = {}
        """For entries that could not be put back in their place, a clause that says where they are.
        """
        self._size = 1
        self._took = 0.0
        self._is_off = background or facts.policy.keeps_files or not at.RELATIVE
        self._most = 1 if self._is_off else _most()

    def take(self, steps: Sequence[Step]) -> tuple[int, Mapping[int, Claim]]:
        """How many of the first `steps` were checked, and the claims of those to be deleted, by
        index. The others are left to be taken alone.
        """
        count = min(self._size, len(steps))
        if self._is_off or count < 2:  # most plans are short; free the first bytes at once
            self._size = min(2, self._most)
            return 1, {}
        plain = {step.entry.path: n for n, step in enumerate(steps[:count]) if _is_plain(step)}
        if not plain:
            return count, {}
        self._took = 0.0
        claims = self._take([steps[number].entry for number in plain.values()])
        growth = min(2.0, _SECONDS / self._took) if self._took else 2.0
        self._size = max(1, min(int(count * growth), self._most))
        return count, {plain[claim.path]: claim for claim in claims}

    def _take(self, entries: Sequence[Entry]) -> Sequence[Claim]:
        facts = self._facts
        try:
            if not facts.is_usual(entries) or facts.area.mounted():
                return ()
            free = facts.free_of(entries)
            if record_names(facts.root, USED):
                free = [one for one in free if not self._is_used(one)]
            batch = Batch(facts.area) if free else None
        except (OSError, TempError, NotClaimed):
            return ()
        if batch is None:
            return ()
        try:
            self._claim(batch, free)
            return tuple(batch.claims)
        finally:
            self.elsewhere |= batch.elsewhere
            batch.let_go()

    def _is_used(self, entry: Entry) -> bool:
        """Whether it was used since the scan, if its rules consider that."""
        rules = self._facts.rules(entry)
        if rules.everything or rules.abandoned:
            return False
        return last_use(self._facts.root, entry.path) > entry.last

    def _claim(self, batch: Batch, free: Sequence[Entry]) -> None:
        """Claim and condemn the `free` entries that may be removed."""
        facts = self._facts
        began = time.monotonic()
        stays: Sequence[Small] = ()
        try:
            spares = {one.category: facts.rules(one).spare_in_use for one in free}
            despite = {one.path for one in free if not spares[one.category]}
            batch.claim(free, self._files_of, despite_lock=despite)
            self._took = time.monotonic() - began
            if facts.is_old(self._took) or facts.area.mounted() or not facts.is_still_usual(free):
                stays = batch.claims
            else:
                still_free = facts.free_of(free)
                if len(still_free) < len(free):
                    paths = {one.path for one in still_free}
                    batch.put_back([one for one in batch.claims if one.path not in paths])
                used = facts.used_in(batch.place)
                if used:
                    stays = [
                        one for one in batch.claims if one.held in used and one.path not in despite
                    ]
        except (OSError, TempError, NotClaimed):
            stays = batch.claims
        except BaseException:
            batch.put_back(batch.claims)
            raise
        batch.put_back(stays)
        if batch.claims:
            batch.condemn()
        for claim in batch.claims:
            facts.give_up(claim.entry)

    def _files_of(self, one: Opened) -> list[str] | None:
        """The names of the files in an entry, if it holds nothing else and has not changed."""
        names = files_in(one.descriptor)
        rules = self._facts.rules(one.entry)
        if names is None or rules.everything or rules.abandoned:
            return names
        until = int((time.time() + CLOCK_SKEW) * 1e9)
        newest = newest_of(one.descriptor, one.status, names, until)
        if newest is None or newest[0] > one.entry.seen or newest[1] > one.entry.future:
            return None
        return names


def _most() -> int:
    """How many entries may be open at a time, so that enough descriptors are left."""
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft // 8))


def _is_plain(step: Step) -> bool:
    """Whether the step deletes a directory with nothing unusual about it."""
    entry = step.entry
    return (
        step.disposal == "delete"
        and step.reason.rule != LOW_SPACE
        and entry.kind == "directory"
        and not entry.unfinished
        and entry.directories <= 1
    )
