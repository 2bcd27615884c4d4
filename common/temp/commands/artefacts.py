"""`clean`: removes build artefacts and scratch, never what git tracks."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..choices import TABLE_OR_JSON, choose, choose_presets
from ..core.plan import Outcome, Plan, Report, Step
from ..core.policy import Policy
from ..core.units import read_duration, spell_size
from ..errors import InvalidSettings
from ..report.clean import outcome_line
from ..report.progress import ProgressLine
from ..report.text import counted, plain
from ..store.artefacts.artefacts import drop_empty_root, opened_project
from ..store.project.place import homeless_projects
from ..store.project.project import OLD_ROOT_NAME
from .artefact_drafts import Project, Wanted
from .artefact_lines import ArtefactLines
from .carrying import Json, Lines, Manner, Sink, carry_out
from .clean_arguments import CleanArguments, age_of
from .drafts import Draft, ask, draft_all
from .places import DRY_RUN_OVERRIDE, HOMELESS_TITLE, Place, find_places, is_dry_run
from .printing import complain
from .tracked import without_tracked
from .unconfigured import check_policy, warn_unattended

_ARTEFACTS: Final = ("artefact", "artefacts")
_WITHOUT_ASKING: Final = "leave out --ask to clean without asking"


class ArtefactArguments(NamedTuple):
    """The arguments of `clean` as they were typed."""

    temp_age: str | None = None
    temp_age_hours: float | str | None = None
    older_than: str | None = None
    presets: str | None = None
    dry_run: bool = False
    ask: bool = False
    include_unsure: bool = False
    include_active: bool = False
    output: str = "table"
    all_projects: bool = False


def clean_artefacts(given: ArtefactArguments) -> int:
    """Clean build artefacts and scratch, or with presets only artefacts; return the exit code."""
    choose(given.output, "--format", TABLE_OR_JSON)
    older_than = (
        None if given.older_than is None else read_duration(given.older_than, "--older-than")
    )
    presets = None
    if given.presets is not None:
        names = [name.strip() for name in given.presets.split(",")]
        presets = choose_presets(names, "--preset")
    age = age_of(given.temp_age, given.temp_age_hours, "--temp-age")
    if presets is not None and age is not None:
        raise InvalidSettings("--preset cleans no scratch; leave out --temp-age")
    age = older_than if age is None else age
    limits = None if age is None else Policy(max_age=age)
    now = time.time()
    places = find_places(given.all_projects)
    arguments = CleanArguments(ask=given.ask, all_projects=given.all_projects)
    if presets is None:
        check_policy(places, limits, arguments)
    given = given._replace(dry_run=given.dry_run or is_dry_run(places, False, DRY_RUN_OVERRIDE))
    sizes = given.dry_run or given.ask
    unsure, active = given.include_unsure, given.include_active
    wanted = Wanted(presets, older_than, unsure, active, sizes or older_than is not None)
    with contextlib.ExitStack() as stack:
        of_projects = _of_projects(places)
        directories = [place.settings.project for place in of_projects]
        tops = [stack.enter_context(opened_project(directory)) for directory in directories]
        scratch: list[Draft] = []
        if presets is None:
            scratch = draft_all(_with_old_roots(places), limits, arguments, now, sizes=sizes)
        # Git is queried last, right before deleting begins.
        projects = [
            Project(place, top, wanted, now, directories)
            for place, top in zip(of_projects, tops, strict=True)
        ]
        if projects:
            scratch = [_without_tracked(draft, projects, given) for draft in scratch]
        line = ProgressLine("measuring:", _ARTEFACTS)
        try:
            drafts = [project.draft(line) for project in projects]
        finally:
            line.clear()
        if given.ask:
            arguments = arguments._replace(dry_run=given.dry_run)
            every = ask([*drafts, *scratch], arguments, now, remedy=_WITHOUT_ASKING)
            drafts, scratch = every[: len(drafts)], every[len(drafts) :]
        elif not given.dry_run:
            warn_unattended(scratch)
        return _carry_out(projects, drafts, scratch, given, now)


def _of_projects(places: Sequence[Place]) -> list[Place]:
    """Return the root of each project; none outside a project, where nothing is built."""
    if places[0].settings.project in homeless_projects():
        return []
    return [place for place in places if not (place.is_extra or place.is_configured)]


def _with_old_roots(places: Sequence[Place]) -> list[Place]:
    """Return the roots whose scratch is cleaned: `places`, and the older roots of the projects."""
    projects = _of_projects(places)
    if not projects:
        project = places[0].settings.project
        return [one for one in places if one.settings.project == project or one.is_extra]
    found: list[Place] = []
    for place in places:
        found.append(place)
        old = place.settings.project / OLD_ROOT_NAME
        if place in projects and (old.is_dir() or old.is_symlink()):
            found.append(Place(f"{place.title}/{OLD_ROOT_NAME}", old, place.settings))
    return found


def _carry_out(
    projects: Sequence[Project],
    drafts: Sequence[Draft],
    scratch: Sequence[Draft],
    given: ArtefactArguments,
    now: float,
) -> int:
    """Remove what the drafts name, artefacts first, and report it; return the exit code."""
    lines = ArtefactLines()
    json = Json(now, dry_run=given.dry_run) if given.output == "json" else None
    removed: list[Outcome] = []
    code = 0
    for project, draft in zip(projects, drafts, strict=True):
        report = None if given.dry_run else _remove(project, draft.plan, json or lines, removed)
        code = max(code, int(report is not None and report.failed))
        (json or lines).add(draft.place.title, draft.plan, report, 0)
    if json is None:
        lines.end()
    sink = json or Lines(silent=lines.any)
    code = max(code, carry_out(scratch, sink, Manner("clean", given.dry_run)))
    if given.presets is not None and json is None:
        sink.end([draft.place.title for draft in drafts] or [HOMELESS_TITLE])
    for draft in scratch if not given.dry_run else ():
        if draft.place.root.name == OLD_ROOT_NAME and not draft.place.is_configured:
            categories = {step.entry.category for step in draft.plan.steps}
            drop_empty_root(draft.place.root, categories)
    return code


def _remove(project: Project, plan: Plan, sink: Sink, removed: list[Outcome]) -> Report:
    """Remove the artefacts of one project, and add the outcomes to `removed`."""
    outcomes: list[Outcome] = []
    freed, path = 0, ""
    line = ProgressLine("cleaning:", _ARTEFACTS)
    try:
        for step in plan.steps:
            path = plain(step.entry.path)
            line(len(outcomes), freed, of=len(plan.steps))
            outcome = _remove_one(project, step)
            outcomes.append(outcome)
            freed += outcome.freed_bytes
            line.clear()
            if outcome.status == "done":
                removed.append(outcome)
                sink.done(outcome_line(outcome))
            elif outcome.status == "failed":
                complain(outcome_line(outcome))
    except KeyboardInterrupt:
        line.clear()
        freed = sum(one.freed_bytes for one in removed)
        print(
            f"interrupted: {counted(len(removed), *_ARTEFACTS)} deleted, {spell_size(freed)} "
            f"freed; the next clean finishes {path}",
            file=sys.stderr,
        )
        raise
    return Report(plan, tuple(outcomes))


def _remove_one(project: Project, step: Step) -> Outcome:
    # Checked again: a process may have started to work here while others were removed.
    if why := project.why_kept_by_now(step.entry):
        return Outcome(step, "skipped", why)
    gone = project.remove(step.entry)
    if gone.failures:
        where, what = gone.failures[0]
        return Outcome(step, "failed", f"{where}: {what}" if where else what, gone.freed_bytes)
    return Outcome(step, "done", freed_bytes=gone.freed_bytes)


def _without_tracked(draft: Draft, projects: Sequence[Project], given: ArtefactArguments) -> Draft:
    """Return `draft` without what git tracks in its project, or in the first if it has none."""
    directory = draft.place.settings.project
    project = next((one for one in projects if one.directory == directory), projects[0])
    unsure = given.include_unsure
    plan = without_tracked(draft.plan, project.directory, project.tracked, include_unsure=unsure)
    return draft._replace(plan=plan)
