"""`temp-clean`: drafts what goes, asks if necessary, and carries it out."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..core.disposal import DISPOSALS, Disposal
from ..core.plan import again
from ..core.policy import Policy
from ..core.reasons import KEEP_LAST_GOOD
from ..errors import InvalidSettings, Refused
from ..report.text import instant, plain
from ..store.settings.settings import Settings
from .carrying import Json, Lines, Manner, Sink, carry_out
from .clean_arguments import (
    CleanArguments,
    check_arguments,
    check_only_apply,
    disposal_of,
    limits_of,
)
from .drafts import Draft, ask, draft_all, without_low_space
from .places import Place, find_places, is_dry_run
from .printing import complain, terminal
from .unconfigured import check_policy, warn_unattended

if TYPE_CHECKING:
    from ..store.sweep.plan_file import RecordedRoot

_FORCE: Final = "use --force to clean"


def clean(given: CleanArguments, sink: Sink | None = None) -> int:
    """Clean, or show what would be cleaned; return the exit code.

    The report goes to `sink`, or without one to stdout in the given format.
    """
    if given.apply is not None:
        return _apply(given)
    check_arguments(given)
    limits = limits_of(given)
    now = time.time()
    places = find_places(given.all_projects)
    check_policy(places, limits, given)
    if given.background:
        _check_detachable(disposal_of(place, given) for place in places)
    remedy = "remove that setting to clean" if given.scheduled else _FORCE
    given = given._replace(dry_run=given.dry_run or is_dry_run(places, given.force, remedy))
    asks = given.ask or not (given.dry_run or given.yes or given.force)
    sizes = given.dry_run or (asks and (given.ask or terminal() is not None))
    drafts = draft_all(places, limits, given, now, sizes=sizes)
    if asks:
        drafts = ask(drafts, given, now)
    if not (given.dry_run or given.ask or given.yes or given.force):
        warn_unattended(drafts)
    if given.plan is not None:
        from ..store.sweep.plan_file import write_plan

        write_plan(Path(given.plan), [draft.plan for draft in drafts], instant(now))
    face = "temp-clean --scheduled" if given.scheduled else "temp-clean"
    manner = Manner(face, given.dry_run, given.background)
    return carry_out(drafts, sink or _sink(given, now), manner)


def _check_detachable(disposals: Iterable[Disposal]) -> None:
    """Raise `InvalidSettings` if one of the disposals cannot run in the background."""
    if not all(DISPOSALS[disposal].may_detach for disposal in disposals):
        raise InvalidSettings(
            "--background deletes; nothing is trashed, archived or undone that way"
        )


def _sink(given: CleanArguments, now: float) -> Sink:
    return Json(now, dry_run=given.dry_run) if given.output == "json" else Lines()


def _apply(given: CleanArguments) -> int:
    """Carry out the plan in a file, where nothing has changed since; return the exit code."""
    from ..store.sweep.plan_file import read_plan
    from ..store.system.user_path import users_path

    check_only_apply(given)
    path = users_path(given.apply or "")
    recorded = read_plan(path)
    places = {place.root: place for place in find_places(all_projects=True)}
    for root, identity, *_ in recorded:
        with contextlib.suppress(OSError, ValueError):  # a path with a null byte
            status = os.stat(root)
            if root in places and (status.st_dev, status.st_ino) == identity:
                continue
        raise Refused(f"{path} names {root}, which is not a root here, or has been replaced since")
    if given.background:
        _check_detachable(one.disposal for one in recorded)
    now = time.time()
    dry_run = is_dry_run([places[root] for root, *_ in recorded], given.force, _FORCE)
    if not recorded and given.output == "table":
        print(f"{plain(str(path))} lists nothing to clean")
    drafts = []
    diverged: list[tuple[str, str, str]] = []
    for one in recorded:
        draft, missing = _redraft(places[one.root], one, now, everything=given.everything)
        drafts.append(draft)
        diverged += missing
    given = given._replace(dry_run=dry_run)
    manner = Manner("temp-clean", dry_run, given.background, all_must_go=True)
    code = carry_out(drafts, _sink(given, now), manner)
    for title, entry, why in diverged:
        complain(f"diverged {plain(f'{title}: {entry}: {why}')}")
    return max(code, int(bool(diverged)))


def _redraft(
    place: Place, recorded: RecordedRoot, now: float, *, everything: bool
) -> tuple[Draft, list[tuple[str, str, str]]]:
    """Plan a recorded root again; also return what has changed since, as (title, entry, why).

    The last good run of a pipeline goes only with `everything`, given when the plan is applied:
    the file only names entries.
    """
    # An age that all entries have, not "everything", so that entries that change meanwhile stay.
    limits = place.policy() if place.abandoned_only else Policy(max_age=0)
    if everything and place.settings.policy.keep_last_good is None:
        policy = place.settings.policy.everywhere(keep_last_good=0)
        place = place._replace(settings=place.settings._replace(policy=policy))
    (draft,) = draft_all([place], limits, CleanArguments(all_projects=True), now, sizes=True)
    plan, missing = again(draft.plan, recorded.steps)
    steps = tuple(
        step if step.entry.unfinished else step._replace(disposal=recorded.disposal)
        for step in plan.steps
    )
    plan = without_low_space(plan._replace(steps=steps))
    found = []
    for entry, why in missing:
        if why.startswith(f"is kept: {KEEP_LAST_GOOD}"):
            why += "; --apply with --everything takes it, if keep_last_good is not set"
        found.append((place.title, entry, why))
    return draft._replace(plan=plan), found


def clean_runs(base: Path, settings: Settings, *, dry_run: bool, force: bool) -> int:
    """Clean the pipeline runs in `base`, or show what would be cleaned; return the exit code."""
    places = [Place(base.name or str(base), base, settings, is_configured=True)]
    now = time.time()
    dry_run = dry_run or is_dry_run(places, force, _FORCE)
    drafts = draft_all(places, None, CleanArguments(), now, sizes=dry_run)
    package = __name__.rpartition(".commands.")[0]
    return carry_out(drafts, Lines(), Manner(f"{package}.pipeline", dry_run))
