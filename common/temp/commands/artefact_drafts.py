"""The plan for the artefacts of one project: which go, which stay, and why."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..core.entry import Entry
from ..core.plan import Plan, Step
from ..core.policy import Policy
from ..core.reasons import ARTEFACT, Reason, Verdict
from ..core.units import spell_duration
from ..store.artefacts.artefacts import measure_artefact, remove_artefact, remove_made
from ..store.artefacts.changes import Changes
from ..store.artefacts.finding import Artefact, find_artefacts, why_kept_by_now
from ..store.artefacts.patterns import check_patterns
from ..store.artefacts.presets import chosen
from ..store.project.tracked import Tracked
from ..store.system.bystanders import bystanders
from ..store.system.processes_in_directory import AtWork
from ..store.trees.removed import Removed
from .drafts import Draft
from .places import Place


class Wanted(NamedTuple):
    """Which artefacts to remove.

    If `presets` are given, only theirs, instead of the configured ones. If `older_than` is given,
    only those unchanged for that many seconds. With `include_active`, also those of a project in
    which a process works, but not an artefact that it works in. With `measured`, they are measured.
    """

    presets: tuple[str, ...] | None = None
    older_than: float | None = None
    include_unsure: bool = False
    include_active: bool = False
    measured: bool = False


class Project:
    """A project whose artefacts are cleaned: the one at `place`, whose directory is open at `top`.

    Raises `InvalidSettings` for a configured pattern that matches source.
    """

    def __init__(
        self, place: Place, top: int, wanted: Wanted, now: float, others: Iterable[Path]
    ) -> None:
        """Artefacts inside the projects `others` are left to those."""
        self.directory = place.settings.project
        self.place = place._replace(root=self.directory)
        self.top = top
        self.tracked = Tracked(self.directory)
        self._wanted = wanted
        self._now = now
        self._users = AtWork(self.directory, bystanders)
        self._changes = None if wanted.older_than is None else Changes()
        self._artefacts = {one.path: one for one in self._found(others)}

    def _found(self, others: Iterable[Path]) -> list[Artefact]:
        settings, names = self.place.settings, self._wanted.presets
        patterns = settings.artefacts if names is None else ()
        check_patterns(self.directory, patterns, self.tracked)
        return find_artefacts(
            self.directory,
            patterns,
            self.tracked,
            roots=settings.other_roots(),
            archive=settings.archive_path(),
            include_unsure=self._wanted.include_unsure,
            presets=chosen(settings.presets if names is None else names),
            projects=(one for one in others if one != self.directory),
            changes=self._changes,
        )

    def draft(self, progress: Callable[[int, int], None]) -> Draft:
        """Return what goes and what stays; `progress` gets the number of artefacts and bytes."""
        steps: list[Step] = []
        kept: list[Verdict] = []
        size = 0
        for artefact in self._artefacts.values():
            entry = Entry(artefact.path, ARTEFACT, os.path.basename(artefact.path), partial=True)
            why = artefact.kept or self._why_active(artefact)
            if not why and self._wanted.measured:
                entry = self._measured(entry)
                why = self._why_recent("changed", entry.changed, entry.changed_in)
            if why:
                kept.append(Verdict(entry, True, (Reason("kept", "stays", why),)))
            else:
                steps.append(Step(entry, "delete", Reason(ARTEFACT, "goes", artefact.pattern)))
                size += entry.size
                progress(len(steps), size)
        # An egg-info goes last: it tells what made the build beside it, which the next clean needs
        # if this one is interrupted.
        steps.sort(key=lambda step: step.entry.path.endswith(".egg-info"))
        plan = Plan(str(self.directory), Policy(), self._now, tuple(steps), tuple(kept))
        return Draft(self.place, plan)

    def why_kept_by_now(self, entry: Entry) -> str:
        """Return why a planned artefact must stay after all, from a new look; "" if it goes.

        Running processes are checked last, since the other checks of a large artefact take long.
        """
        artefact = self._artefacts[entry.path]
        unsure = self._wanted.include_unsure
        why = why_kept_by_now(self.directory, artefact, self.tracked, include_unsure=unsure)
        if not why and not entry.partial and _has_changed(entry, self._measured(entry)):
            why = "it has changed since it was looked at"
        return why or self._why_active(artefact)

    def remove(self, entry: Entry) -> Removed:
        """Delete the artefact; the result lists what could not be deleted."""
        made = self._artefacts[entry.path].made
        if made is not None:
            return remove_made(self.top, entry.path, made)
        return remove_artefact(self.top, entry.path)

    def _why_active(self, artefact: Artefact) -> str:
        if who := self._users.inside(artefact.path):
            return who
        is_spared = artefact.made is not None and not self._wanted.include_active
        if is_spared and (who := self._users.around(artefact.source) or self._builds(artefact)):
            return f"its project is {who}; --include-active takes it"
        if self._changes is None:
            return ""
        changed, where = self._changes.below(artefact.source)
        return self._why_recent("its project changed", changed, where)

    def _builds(self, artefact: Artefact) -> str:
        """Return who works in a multi-module project that contains the artefact's source."""
        return next(
            (
                who
                for above, who in self._users.above(artefact.source)
                if artefact.is_built_from(self.directory / above)
            ),
            "",
        )

    def _why_recent(self, what: str, changed: float, where: str) -> str:
        older_than = self._wanted.older_than
        age = max(0.0, self._now - changed)
        if older_than is None or age >= older_than:
            return ""
        return f"{what} {spell_duration(age)} ago{f', in {where}' if where else ''}"

    def _measured(self, entry: Entry) -> Entry:
        measured = measure_artefact(self.top, entry.path)
        status = None
        with contextlib.suppress(OSError):
            status = os.lstat(self.directory / entry.path)
        return entry._replace(
            size=measured.size,
            apparent=measured.apparent,
            links=measured.links,
            files=measured.files,
            directories=measured.directories,
            inodes=measured.inodes,
            changed=max(0.0, measured.changed_ns / 1e9),
            changed_in=measured.changed_in,
            device=0 if status is None else status.st_dev,
            inode=0 if status is None else status.st_ino,
            partial=False,
        )


def _has_changed(entry: Entry, now: Entry) -> bool:
    is_other = (now.device, now.inode) != (entry.device, entry.inode)
    return is_other or now.changed > entry.changed
