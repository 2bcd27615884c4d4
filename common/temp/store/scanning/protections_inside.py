"""Protections from inside an entry: owners and pins of roots in it, and work in repositories.

A root in an entry has its own store (the `.tmp` of a clone, the jobs of a service, the runs of a
pipeline). A live owner or a pin in that store also protects the entry that contains it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from ...core.entry import Entry, Use
from ...core.layouts import STORE
from ...errors import TempError
from ..root.leases import Leases
from ..root.listing import list_leftovers, listing
from ..root.pinning import Pins, any_pin
from ..system.locks import is_locked_at, is_root_locked
from ..trees.measured import Inside
from .tracked_entries import TrackedEntries

_MARKS: Final = ((".git",), ("HEAD", "objects", "refs"))
"""The files by which a work tree and a bare repository are recognised."""


class Within:
    """Checks the content of the entries of one root, and their categories.

    A category can itself be a root or a repository: then all of its entries are part of that. This
    is checked once per category.
    """

    def __init__(self, root: Path, tracked: TrackedEntries | None = None) -> None:
        self._root = root
        self._tracked = tracked or TrackedEntries(root)
        self._around: dict[str, tuple[bool, bool]] = {}

    def protected(self, entry: Entry, inside: Inside, now: float, *, stays: bool = False) -> Entry:
        """`entry` with the protections found `inside` it added to its own.

        git is run only if nothing else keeps the entry, and not if it `stays` anyway.
        """
        if not (
            inside.roots
            or inside.repositories
            or not self.is_apart(entry.path)
            or self._tracked.inside(entry.path)
        ):
            return entry
        place = self._root / entry.path
        use, pin, work = entry.use, entry.pin, None
        use = use or self.use_of(entry.path, place, inside, now, entry.last)
        pin = self.pin_of(entry.path, place, inside) if pin is None else pin
        if use is None and pin is None and not stays:
            work = self.work_in(entry.path, inside)
        return entry._replace(use=use, pin=pin, work=work)

    def use_of(
        self, path: str, place: Path, inside: Inside, now: float, changed: float
    ) -> Use | None:
        """The use of a root in the entry `path`, now at `place`; other processes come first."""
        mine: Use | None = None
        for inner in inside.roots:
            use = _use_of_root(place / inner, now, changed)
            # The entry itself a clean may have locked by now, and others are kept off by that.
            use = use or (_lock_on_root(place / inner) if inner else None)
            if use is not None:
                use = use._replace(who=f"{use.who}, in the root {_spell(path, inner)}")
                if not use.mine:
                    return use
                mine = mine or use
        if self._look_around(path)[0]:
            category, _, name = path.rpartition("/")
            use = _use_in_category(self._root / category, name, now, changed)
            if use is not None and not use.mine:
                return use
            mine = mine or use
        return mine

    def pin_of(self, path: str, place: Path, inside: Inside) -> str | None:
        """The reason of a pin in a root inside the entry; `None` if there is none."""
        for inner in inside.roots:
            where = _spell(path, inner)
            try:
                pin = any_pin(place / inner)
            except (TempError, OSError) as error:
                return f"the pins in {where} cannot be read ({error})"
            if pin is not None:
                which, why = pin[0] or "an entry", pin[1] or "no reason given"
                return f"{why}, on {which} of the root {where}"
        if self._look_around(path)[0]:
            category, _, name = path.rpartition("/")
            try:
                return Pins(self._root / category).of(name)
            except (TempError, OSError) as error:
                return f"the pins in {category} cannot be read ({error})"
        return None

    def asks_git(self, path: str, inside: Inside) -> bool:
        """Whether `work_in` has to run git, for a repository in the entry or around it."""
        return bool(inside.repositories) or self._look_around(path)[1]

    def work_in(self, path: str, inside: Inside) -> str | None:
        """The work that exists only in the entry, or in its category if that is a repository; also
        the files in the entry that the work tree around the root tracks. `None` if there is none.
        """
        if said := self._tracked.inside(path):
            return said
        if not self.asks_git(path, inside):
            return None
        from ..repositories.unsaved_work import unsaved_work

        category = path.rpartition("/")[0]
        if self._look_around(path)[1] and (
            found := unsaved_work(str(self._root / category), ("",))
        ):
            return f"git: {found[1]} in {category}"
        found = unsaved_work(str(self._root / path), inside.repositories)
        return f"git: {found[1]} in {_spell(path, found[0])}" if found else None

    def prune_hint(self, path: str, inside: Inside) -> str:
        """The command to run once the entry is gone, if a work tree in it is linked to a repository
        that stays; "" if none is.
        """
        if not inside.repositories:
            return ""
        import shlex

        from ..repositories.unsaved_work import linked_to

        return "; ".join(
            f"to have git forget it: git -C {shlex.quote(main)} worktree prune"
            for main in linked_to(str(self._root / path), inside.repositories)
        )

    def is_usual(self, path: str) -> bool:
        """Whether only the content of the entry can protect it: it `is_apart`, and git tracks
        nothing in the root.
        """
        return self.is_apart(path) and not self._tracked.has_any()

    def is_apart(self, path: str) -> bool:
        """Whether the category of the entry is neither a root itself nor a repository."""
        return not any(self._look_around(path))

    def _look_around(self, path: str) -> tuple[bool, bool]:
        """Whether the category of the entry is a root itself, and whether it is a repository."""
        category = path.rpartition("/")[0]
        if not category:
            return False, False
        if category not in self._around:
            above = os.path.join(self._root, category)
            self._around[category] = (
                os.path.lexists(os.path.join(above, STORE)),
                any(all(os.path.lexists(f"{above}/{one}") for one in marks) for marks in _MARKS),
            )
        return self._around[category]


def _use_of_root(inner: Path, now: float, changed: float) -> Use | None:
    from ..settings.recorded_layout import layout_of  # few entries have a root in them

    try:
        leases = Leases(inner)
        leases.refresh()
        if use := leases.any_use(now, changed):
            return use
        entries = listing(inner, leases, layout_of(inner, is_scratch=True))[0]
        categories = {entry.rpartition("/")[0] for entry, _ in entries} - {""}
        for place in (*sorted(categories), *(entry for entry, _ in entries)):
            with contextlib.suppress(OSError):
                if is_locked_at(inner, inner / place):
                    return Use("lock", f"a process that holds a lock (flock) on {place}")
        if any(leftover.being_freed for leftover in list_leftovers(inner)):
            return Use("lock", "a running clean")
    except (TempError, OSError) as error:
        return Use("unknown", f"owners that cannot be checked ({error})")
    return None


def _lock_on_root(inner: Path) -> Use | None:
    with contextlib.suppress(OSError):
        if is_root_locked(inner):
            return Use("lock", "a process that holds a lock (flock) on it")
    return None


def _use_in_category(category: Path, name: str, now: float, changed: float) -> Use | None:
    """The use of the entry `name` of a category that is itself a root."""
    try:
        leases = Leases(category)
        leases.refresh()
        return leases.use_of(name, now, changed)
    except (TempError, OSError) as error:
        return Use("unknown", f"owners in {category.name} that cannot be checked ({error})")


def _spell(path: str, inner: str) -> str:
    return f"{path}/{inner}" if inner else path
