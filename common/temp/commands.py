"""What each task does, without invoke: choose the roots, scan, judge, draft, and print.

The tasks parse and exit, `store` touches the disk, `core` decides; this strings them together.
What only some commands need is imported where they need it: `temp-status` is to be quick.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TextIO

from .core.entry import Entry, Inventory, Problem
from .core.layout import PIPELINE, SCRATCH, STORE, UNCATEGORIZED, UNDO, Layout
from .core.plan import Disposal, Outcome, Plan, Report, Scope, again
from .core.retention import LOW_SPACE, STRATEGIES, Policy, Reason, Verdict, explain, judge
from .core.units import DAY, HOUR, read_count, read_number, read_size, spell_size
from .errors import OVER_BUDGET, InvalidSettings, Refused, StorageError, TempError, reason_of
from .report import github, text
from .report.progress import ProgressLine
from .report.table import Screen
from .store.allocation import layout_of
from .store.listing import find_entry
from .store.place import homeless_projects, homeless_roots, standing_project
from .store.project import (
    find_monorepo,
    monorepo_projects,
    root_of,
    user_root,
    where_it_leads,
)
from .store.scan import scan
from .store.settings import Settings, check_strategy, load, with_limits_of, workspace_globs

if TYPE_CHECKING:
    from .core.adoption import Moved, Survey
    from .core.budget import Budget
    from .report.budget import Checked
    from .store.artefacts import Artefact
    from .store.tracked import Tracked

USER_TITLE = "auto-cleanup entries of this user"
HOMELESS_TITLE = "scratch of no project"
_ELSEWHERE: Final = Policy(max_age=7 * DAY)
"""What holds for that where one stands in a project, if nothing is configured for it."""

OLD_ROOT = ".temp"
_OVERRIDE = "TEMPKEEP_DRY_RUN=false in the environment overrides it"
_FORCE = "--force cleans"
_BACKGROUND_DELETES = "--background deletes; nothing is trashed, archived or undone that way"

_SORTS: dict[str, Callable[[Verdict], Any]] = {
    "name": lambda verdict: (verdict.entry.category, verdict.entry.name),
    "size": lambda verdict: (-verdict.entry.size, verdict.entry.path),
    "age": lambda verdict: (verdict.entry.changed, verdict.entry.path),
}


class _Place(NamedTuple):
    """A root that a command speaks of, by the name that people know it by."""

    title: str
    root: Path
    settings: Settings
    abandoned_only: bool = False
    is_configured: bool = False
    """Whether it is one of the `roots` in the settings."""
    is_elsewhere: bool = False
    """Whether it holds scratch of no project, and nobody stands there."""

    def layout(self) -> Layout:
        """How its entries lie. Raises `StorageError` or `Refused` if that cannot be told."""
        # One that nobody has made a root of is taken for what touches least.
        return layout_of(self.root, PIPELINE) if self.is_configured else SCRATCH

    def leads_to(self) -> Path | None:
        """Where its data really is, if that is behind a link."""
        return where_it_leads(self.root)

    def located(self) -> str:
        """Where it is, for people."""
        where = text.located(self.root, self.leads_to())
        return f"{where}, which does not exist yet" if self.is_to_come() else where

    def is_to_come(self) -> bool:
        """Whether the settings name it, and nobody has made it yet."""
        return self.is_configured and not os.path.lexists(self.root)

    @property
    def is_extra(self) -> bool:
        """Whether nobody asked for it by name, so that it is not worth a line when it is empty."""
        return self.abandoned_only or self.is_elsewhere or self.root.name == OLD_ROOT

    def policy(self) -> Policy:
        """What a bare `temp-clean` follows here."""
        if self.abandoned_only:
            return Policy(abandoned=True)
        configured = self.settings.policy()
        if configured.has_limit:
            return configured
        # To clean one project is no order to take what programs made elsewhere a moment ago.
        limits = _ELSEWHERE if self.is_elsewhere else Policy(everything=True)
        return with_limits_of(configured, limits)


def _places(all_projects: bool, unusable: list[tuple[str, Problem]] | None = None) -> list[_Place]:
    """What a command speaks of, settings read; whatever is wrong with those ends it here.

    With a list `unusable`, that of another project is put there, and the rest goes on.
    """
    project = standing_project()
    settings = load(project)
    if project in homeless_projects():
        found = [*_homeless_places(settings), *_earlier_places()]
    elif not all_projects:
        found = [*_places_of(project.name, settings)]
    else:
        monorepo = find_monorepo(project)
        globs, excluded = workspace_globs(monorepo, load(monorepo))
        found = []
        for path in monorepo_projects(monorepo, globs, excluded):
            top = path == monorepo
            title = monorepo.name if top else path.relative_to(monorepo).as_posix()
            try:
                found += _places_of(title, load(path))
            except InvalidSettings as error:
                if unusable is None or top or path == project:
                    raise
                unusable.append((title, Problem(root_of(path).name, str(error))))
    found += _places_elsewhere({os.path.realpath(place.root) for place in found})
    return [*found, _Place(USER_TITLE, user_root(), settings, abandoned_only=True)]


def _places_elsewhere(known: set[str]) -> list[_Place]:
    """The roots with scratch of no project, but for those that are `known` by their real paths."""
    return [
        place._replace(is_elsewhere=True)
        for root in homeless_roots()
        for place in _homeless_places(load(root.parent))
        if os.path.realpath(place.root) not in known
    ]


def _homeless_places(settings: Settings) -> Iterator[_Place]:
    """The root of scratch of no project, and the runs of pipelines beside it."""
    yield from _places_of(HOMELESS_TITLE, settings)
    if (settings.project / STORE).is_dir():
        yield _Place(f"{HOMELESS_TITLE}/runs", settings.project, settings, is_configured=True)


def _earlier_places() -> Iterator[_Place]:
    """The root that an earlier version made where one stands, in `/` or a home directory.

    Only if it is one for certain, and the user's own: others may put things into `/tmp`. There are
    no settings there, which others may put there as well.
    """
    here = Path.cwd()
    root = root_of(here)
    try:
        status = os.stat(root, follow_symlinks=False)
        mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    except OSError:
        return
    if mine and (root / STORE).is_dir():
        yield _Place(str(here), root, Settings(project=here))


def _places_of(title: str, settings: Settings) -> Iterator[_Place]:
    """The root of one project, and those that it has configured."""
    yield _Place(title, root_of(settings.project), settings)
    for root in settings.other_roots():
        below = os.path.relpath(root, settings.project)
        name = str(root) if below.startswith(os.pardir) else f"{title}/{below}"
        yield _Place(name, root, settings, is_configured=True)


# -- temp-status ----------------------------------------------------------------------------------


def status(
    *,
    category: str | None,
    sort: str,
    limit: str | None,
    output: str,
    all_projects: bool,
    file: str | None = None,
) -> int:
    """Print the status, or write it to `file`; the exit code."""
    from .report import html
    from .report import json as as_json

    order = _SORTS[_choice(sort, "--sort", tuple(_SORTS))]
    _choice(output, "--format", ("table", "json", "csv", "github", "html"))
    most = None if limit is None else read_count(limit, "--limit")
    now = time.time()
    blocks: list[str] = []
    documents: list[dict[str, Any]] = []
    listed: list[tuple[str, Sequence[Verdict]]] = []
    roots: list[html.Shown] = []
    problems: list[tuple[str, Problem]] = []
    places = _places(all_projects, problems)
    code = InvalidSettings.exit_code if problems else 0
    empty = 0
    for place in places:
        failed = 0
        try:
            inventory, verdicts = _look(place, now, category)
        except (StorageError, Refused) as error:
            failed = error.exit_code
            inventory = Inventory(root=str(place.root), problems=_as_problem(place, error))
            verdicts = []
        code = max(code, failed)
        problems += [(place.title, problem) for problem in inventory.problems]
        nothing = not (verdicts or inventory.leftovers or inventory.problems or inventory.undoable)
        if nothing and (place.is_extra or (all_projects and output != "json")):
            empty += not place.is_extra
            continue
        if not failed:
            _add_to_summary(partial(github.status_summary, place.title, verdicts))
        to = place.leads_to()
        ordered = sorted(verdicts, key=order)
        shown = ordered[:most]
        listed.append((place.title, shown))
        titled = text.located(place.title, to)
        roots.append(html.Shown(titled, inventory, verdicts, shown))
        if output == "json":
            documents.append(
                as_json.status_project(
                    place.title, inventory, verdicts, shown, now, None if to is None else str(to)
                )
            )
        elif output in ("table", "github") and not failed:
            style: Literal["table", "github"] = "github" if output == "github" else "table"
            title = f"{place.title} ({place.located()})"
            screen = _screen() if style == "table" and file is None else None
            blocks.append(text.status_text(title, inventory, verdicts, shown, now, style, screen))
    if output == "json":
        said = as_json.document("status", now, documents)
    elif output == "csv":
        said = text.status_csv(listed, now)
    elif output == "html":
        project = standing_project()
        title = find_monorepo(project).name if all_projects else project.name
        said = html.page(title, roots, now)
    else:
        if empty:
            blocks.append(f"{text.counted(empty, 'project', 'projects')} without entries")
        said = "\n\n".join(blocks)
    if file is not None:
        from .store.planfile import write_named

        write_named(Path(file), f"{said}\n", "choose another --output")
    else:
        print(said, end="\n" if said else "")
    return max(code, _print_problems(problems))


def _add_to_summary(markdown: Callable[[], str]) -> None:
    """Append to the summary of the step, in a workflow of GitHub that asks for one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if not path or not github.is_action():
        return
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(markdown())
    except OSError as error:
        _complain(f"problem: cannot add to {text.plain(path)}: {reason_of(error)}")


def _screen() -> Screen | None:
    """The terminal that is printed to, if it is one."""
    if not sys.stdout.isatty():
        return None
    import shutil

    plain = any(os.environ.get(name) for name in ("NO_COLOR", "CI"))
    colour = not plain and os.environ.get("TERM") != "dumb"
    return Screen(shutil.get_terminal_size().columns, colour)


def _look(place: _Place, now: float, category: str | None) -> tuple[Inventory, list[Verdict]]:
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
    inventory, coming = _with_undoable(place, inventory, now)
    verdicts = judge(
        inventory.entries,
        place.policy(),
        now,
        free=inventory.free,
        capacity=inventory.capacity,
        coming=coming,
    )
    scope = Scope(category)
    return inventory, [verdict for verdict in verdicts if scope.holds(verdict.entry)]


def _with_undoable(place: _Place, inventory: Inventory, now: float) -> tuple[Inventory, int]:
    """`inventory` with what can be undone, and how many bytes a bare `temp-clean` frees first."""
    holds_some = (place.root / STORE / UNDO).is_dir()
    wants_space = place.policy().wanted_free(inventory.free, inventory.capacity) is not None
    if not (holds_some or wants_space):
        return inventory, 0
    from .store.sweep import goes_first
    from .store.undo import undoable

    first = goes_first(
        inventory,
        place.policy(),
        now,
        disposal=_disposal(place, CleanArguments()),
        archive=None if place.abandoned_only else place.settings.archive_path(),
    )
    if holds_some:
        names = {entry.path for entry, _ in first.forgotten}
        held = undoable(place.root)
        marked = tuple(one._replace(goes=one.name in names) for one in held)
        inventory = inventory._replace(undoable=marked)
    return inventory, first.coming


def _as_problem(place: _Place, error: TempError) -> tuple[Problem, ...]:
    """A root that cannot be read or trusted, as one problem among others: they go on."""
    return (Problem(place.root.name, str(error)),)


def _print_problems(problems: Sequence[tuple[str, Problem]]) -> int:
    for title, problem in problems:
        _complain(text.problem_line(title, problem))
    return int(any(problem.blocking for _, problem in problems))


def _complain(line: str) -> None:
    """Print a line to stderr, in a workflow of GitHub as an annotation."""
    print(github.warning(line) if github.is_action() else line, file=sys.stderr)


# -- temp-status --history ------------------------------------------------------------------------

_SWEEPS_SHOWN: Final = 20


def history(
    *,
    category: str | None,
    sort: str,
    limit: str | None,
    output: str,
    all_projects: bool,
    file: str | None = None,
) -> int:
    """Print the sweeps that are remembered, the newest first; the exit code."""
    from .report import json as as_json
    from .report.history import history_project, history_text
    from .store.history import History, read_history

    if category is not None or sort != "name" or file is not None:
        raise InvalidSettings("--history takes no --category, --sort or --output; leave it out")
    if output not in ("table", "json"):
        raise InvalidSettings(f"--history: --format: expected table or json, got {output!r}")
    most = _SWEEPS_SHOWN if limit is None else read_count(limit, "--limit")
    documents: list[dict[str, Any]] = []
    blocks: list[str] = []
    problems: list[tuple[str, Problem]] = []
    empty = code = 0
    for place in _places(all_projects):
        found, wrong = History(), list[Problem]()
        try:
            found = read_history(place.root, most)
        except (StorageError, Refused) as error:
            code = max(code, error.exit_code)
            wrong += _as_problem(place, error)
        if found.unreadable:
            lines = text.counted(found.unreadable, "line", "lines")
            what = f"{lines} of the history cannot be read: cut short, or of a later version"
            wrong.append(Problem(place.root.name, what, blocking=False))
        problems += [(place.title, problem) for problem in wrong]
        if not found.recorded and (place.is_extra or (all_projects and output == "table")):
            empty += not place.is_extra
            continue
        documents.append(
            history_project(place.title, str(place.root), found.sweeps, found.recorded, wrong)
        )
        title = f"{place.title} ({place.root})"
        blocks.append(history_text(title, found.sweeps, found.recorded, _screen()))
    if output == "json":
        print(as_json.document("history", time.time(), documents))
    else:
        if empty:
            blocks.append(f"{text.counted(empty, 'project', 'projects')} without sweeps")
        print("\n\n".join(blocks))
    return max(code, _print_problems(problems))


# -- temp-check -----------------------------------------------------------------------------------

_CULPRITS: Final = 5


def check(
    *,
    max_size: str | None,
    min_free: str | None,
    max_entries: str | None,
    tracked: bool,
    output: str,
    all_projects: bool,
) -> int:
    """Print whether all scratch is within its budget, and what is not; the exit code."""
    from .core.budget import Budget
    from .report import json as as_json
    from .report.budget import check_project, check_text, tracked_lines

    _choice(output, "--format", ("table", "json"))
    given = Budget(
        None if max_size is None else read_size(max_size, "--max-size"),
        None if min_free is None else read_size(min_free, "--min-free"),
        None if max_entries is None else read_count(max_entries, "--max-entries"),
    )
    now = time.time()
    budgets = [] if tracked and not given.has_limit else _budgets(given, all_projects)
    checked = [_compare(budget, places, now) for budget, places in budgets]
    in_git: list[tuple[str, int]] = []
    if tracked:
        from .store.tracked import tracked_scratch

        in_git = tracked_scratch(Path.cwd())
    if output == "json":
        documents = [check_project(one, now) for one in checked]
        said = [{"path": path, "files": files} for path, files in in_git] if tracked else None
        print(as_json.document("check", now, documents, tracked=said))
    else:
        for one in checked:
            print(check_text(one, now, _screen()))
        if tracked:
            print("\n".join(tracked_lines(in_git)) or "git tracks nothing in .tmp or .temp")
    problems = [(one.title, problem) for one in checked for problem in one.problems]
    code = max(_print_problems(problems), int(bool(in_git)))
    return OVER_BUDGET if any(one.over for one in checked) else code


def _budgets(given: Budget, all_projects: bool) -> list[tuple[Budget, list[_Place]]]:
    """Which budget holds for which roots together. Raises `InvalidSettings` if there is none.

    The one that was given holds for all of them; without, each root has what is configured for it.
    """
    from .core.budget import Budget

    places = {
        os.path.realpath(place.root): place
        for place in reversed(_places(all_projects))
        if not (place.abandoned_only or place.is_elsewhere)
    }
    each = [*reversed(places.values())]
    if given.has_limit:
        return [(given, each)]
    configured = [
        (Budget(place.settings.max_total_size, place.settings.min_free_space), [place])
        for place in each
    ]
    budgets = [(budget, its) for budget, its in configured if budget.has_limit]
    if not budgets:
        raise InvalidSettings(
            "temp-check needs a limit: --max-size, --min-free or --max-entries, "
            "or max_total_size or min_free_space in the settings"
        )
    return budgets


def _compare(budget: Budget, places: Sequence[_Place], now: float) -> Checked:
    """All that lies in `places` together, compared to `budget`."""
    from .core.budget import Usage, excesses, together
    from .report.budget import Checked
    from .store.listing import measure_leftovers

    usages: list[Usage] = []
    verdicts: list[tuple[str, Verdict]] = []
    problems: list[Problem] = []
    aside = undoable = 0
    for place in places:
        try:
            inventory, judged = _look(place, now, None)
            left, unread = measure_leftovers(place.root)
            held = sum(one.size for one in inventory.undoable)
        except (StorageError, Refused) as error:
            problems += _as_problem(place, error)
            continue
        size = left + held + sum(verdict.entry.size for verdict in judged)
        usages.append(Usage(size, inventory.free, len(judged), str(place.root)))
        if budget.min_free is not None and inventory.free is None:
            problems.append(Problem(place.root.name, "its filesystem does not say what is free"))
        verdicts += [(place.title, verdict) for verdict in judged]
        problems += [*inventory.problems, *unread]
        aside += left
        undoable += held
    usage = together(usages)
    over = excesses(budget, usage)
    verdicts.sort(key=lambda one: (-one[1].entry.size, one[1].entry.path))
    culprits = tuple(verdicts[:_CULPRITS]) if over else ()
    return Checked(places[0].title, budget, usage, over, culprits, aside, undoable, tuple(problems))


# -- temp-clean -----------------------------------------------------------------------------------


class CleanArguments(NamedTuple):
    """The arguments of `temp-clean` as they were typed."""

    max_age_hours: str | None = None
    category: str | None = None
    name: str | None = None
    strategy: str | None = None
    everything: bool = False
    dry_run: bool = False
    trash: bool = False
    undoable: bool = False
    yes: bool = False
    force: bool = False
    include_in_use: bool = False
    background: bool = False
    ask: bool = False
    plan: str | None = None
    apply: str | None = None
    scheduled: bool = False
    output: str = "table"
    all_projects: bool = False


def clean(arguments: CleanArguments, lines: list[str] | None = None) -> int:
    """Clean, or say what would be cleaned; the exit code.

    With `lines` nothing goes to stdout: they get one for each root that there is something to say
    of.
    """
    _choice(arguments.output, "--format", ("table", "json"))
    if arguments.apply is not None:
        return _apply(arguments)
    if arguments.plan is not None and not arguments.dry_run:
        raise InvalidSettings("--plan needs --dry-run: it writes down what that shows")
    if arguments.plan is not None and arguments.include_in_use:
        raise InvalidSettings("--plan takes no --include-in-use: who uses what will have changed")
    if arguments.everything and (arguments.max_age_hours or arguments.strategy):
        raise InvalidSettings("--everything takes no limit; leave out the one or the other")
    if arguments.include_in_use and not arguments.name:
        raise InvalidSettings(
            "--include-in-use needs --name: say which entries to take from a running process"
        )
    if arguments.trash and arguments.strategy == "archive":
        raise InvalidSettings("--trash and --strategy archive exclude each other; choose one")
    if arguments.undoable:
        for other, is_given in (
            ("--trash", arguments.trash),
            ("--background", arguments.background),
            ("--strategy archive", arguments.strategy == "archive"),
        ):
            if is_given:
                raise InvalidSettings(f"--undoable and {other} exclude each other; choose one")
    if arguments.ask and (arguments.yes or arguments.force):
        raise InvalidSettings("--ask asks, and --yes and --force do not; choose one")
    limits = _limits(arguments)
    now = time.time()
    places = _places(arguments.all_projects)
    if arguments.background and any(_disposal(place, arguments) != "delete" for place in places):
        raise InvalidSettings(_BACKGROUND_DELETES)
    remedy = "take that out to have it clean" if arguments.scheduled else _FORCE
    dry_run = arguments.dry_run or _says_dry_run(places, arguments.force, remedy)
    asks = arguments.ask or not (dry_run or arguments.yes or arguments.force)
    sizes = dry_run or (asks and (arguments.ask or _terminal() is not None))
    drafts = _drafts(places, limits, arguments, now, sizes=sizes)
    if asks:
        drafts = _ask(drafts, arguments._replace(dry_run=dry_run))
    if arguments.plan is not None:
        from .store.planfile import write_plan

        write_plan(Path(arguments.plan), [draft.plan for draft in drafts], text.instant(now))
    return _carry_out(
        drafts,
        now,
        dry_run=dry_run,
        output=arguments.output,
        background=arguments.background,
        lines=lines,
        face="temp-clean --scheduled" if arguments.scheduled else "temp-clean",
    )


def _apply(arguments: CleanArguments) -> int:
    """Carry out the plan in a file, as far as nothing has changed since; the exit code."""
    from .store.planfile import read_plan

    said = arguments._replace(
        background=False, output="table", yes=False, force=False, all_projects=False
    )
    if said != CleanArguments(apply=arguments.apply):
        raise InvalidSettings("--apply does what the plan says; leave out what says otherwise")
    path = Path(arguments.apply or "")
    recorded = read_plan(path)
    places = {place.root: place for place in _places(all_projects=True)}
    for root, identity, *_ in recorded:
        with contextlib.suppress(OSError, ValueError):  # no path has a zero byte
            status = os.stat(root)
            if root in places and (status.st_dev, status.st_ino) == identity:
                continue
        raise Refused(f"{path} speaks of {root}, which is no root here, or another one by now")
    if arguments.background and any(one.disposal != "delete" for one in recorded):
        raise InvalidSettings(_BACKGROUND_DELETES)
    now = time.time()
    dry_run = _says_dry_run([places[root] for root, *_ in recorded], arguments.force, _FORCE)
    drafts = []
    diverged = []
    for root, _, disposal, steps in recorded:
        place = places[root]
        # An age that all have, and not "everything", so that nothing goes that changes meanwhile.
        limits = place.policy() if place.abandoned_only else Policy(max_age=0)
        (draft,) = _drafts([place], limits, CleanArguments(all_projects=True), now, sizes=True)
        plan, missing = again(draft.plan, steps)
        steps_of = tuple(step._replace(disposal=disposal) for step in plan.steps)
        drafts.append(draft._replace(plan=_without_low_space(plan._replace(steps=steps_of))))
        diverged += [(place.title, *one) for one in missing]
    code = _carry_out(
        drafts,
        now,
        dry_run=dry_run,
        output=arguments.output,
        background=arguments.background,
        all_must_go=True,
    )
    for title, entry, why in diverged:
        _complain(f"diverged {text.plain(f'{title}: {entry}: {why}')}")
    return max(code, int(bool(diverged)))


def _without_low_space(plan: Plan) -> Plan:
    """`plan` without what goes only because the disk is low: that was not among what was chosen."""
    kept = tuple(step for step in plan.archives if step.reason.rule != LOW_SPACE)
    return plan._replace(archives=kept)


def clean_runs(base: Path, settings: Settings, *, dry_run: bool, force: bool) -> int:
    """Clean the runs of a pipeline in `base`, or say what would be cleaned; the exit code."""
    places = [_Place(base.name or str(base), base, settings, is_configured=True)]
    now = time.time()
    dry_run = dry_run or _says_dry_run(places, force, _FORCE)
    drafts = _drafts(places, None, CleanArguments(), now, sizes=dry_run)
    face = f"{__name__.rpartition('.')[0]}.pipeline"
    return _carry_out(drafts, now, dry_run=dry_run, output="table", face=face)


class _Draft(NamedTuple):
    """What is planned for a place; with a `code`, it cannot be, and the plan's problem says why."""

    place: _Place
    plan: Plan
    code: int = 0


def _drafts(
    places: Sequence[_Place],
    limits: Policy | None,
    arguments: CleanArguments,
    now: float,
    *,
    sizes: bool,
) -> list[_Draft]:
    from .store.sweep import prepare

    scope = Scope(arguments.category, arguments.name)
    line = ProgressLine("scanning:")
    drafts = []
    try:
        for place in places:
            # What lies elsewhere is only spoken of together with that of other projects.
            theirs = None if place.is_elsewhere and not arguments.all_projects else limits
            policy = _policy(place, theirs, arguments)
            disposal = _disposal(place, arguments)
            try:
                plan = prepare(
                    place.root,
                    policy,
                    now,
                    layout=place.layout(),
                    disposal=disposal,
                    scope=scope,
                    archive=None if place.abandoned_only else place.settings.archive_path(),
                    undo_for=place.settings.undo_for,
                    sizes=sizes,
                    workers=place.settings.workers,
                    progress=line,
                )
                drafts.append(_Draft(place, plan))
            except (StorageError, Refused) as error:
                problems = _as_problem(place, error)
                plan = Plan(root=str(place.root), policy=policy, drawn_at=now, problems=problems)
                drafts.append(_Draft(place, plan, error.exit_code))
    finally:
        line.clear()
    return drafts


def _says_dry_run(
    places: Sequence[_Place], force: bool, remedy: str, what: str = "cleaned"
) -> bool:
    """Whether the settings ask for a dry run; if so, a line says how to clean nevertheless."""
    asked = not force and any(place.settings.dry_run for place in places)
    if asked:
        print(f"dry_run is configured, so nothing is {what}; {remedy}", file=sys.stderr)
    return asked


def _limits(arguments: CleanArguments) -> Policy | None:
    """The limits that were given as arguments, which stand for all configured ones."""
    limits = None
    if arguments.strategy is not None:
        limits = STRATEGIES[check_strategy(arguments.strategy, "--strategy")]
    if arguments.max_age_hours is not None:
        hours = read_number(arguments.max_age_hours, "--max-age-hours", "number of hours")
        limits = (limits or Policy())._replace(max_age=hours * HOUR)
    if arguments.everything:
        limits = Policy(everything=True)
    return limits


def _policy(place: _Place, limits: Policy | None, arguments: CleanArguments) -> Policy:
    policy = place.policy()
    if limits is not None and not place.abandoned_only:
        policy = with_limits_of(place.settings.protections(), limits)
        if arguments.scheduled:
            # Whatever else it was told to go by, a full disk is what it is there for.
            high, low = place.settings.high_water, place.settings.low_water
            policy = policy._replace(high_water=high, low_water=low)
    if arguments.include_in_use and not place.abandoned_only:
        categories = tuple(
            (name, own._replace(spare_in_use=False, spare_work=False))
            for name, own in policy.categories
        )
        policy = policy._replace(spare_in_use=False, spare_work=False, categories=categories)
    return policy


def _disposal(place: _Place, arguments: CleanArguments) -> Disposal:
    if arguments.undoable:
        return "undo"
    if place.abandoned_only:
        return "delete"
    if arguments.trash:
        return "trash"
    if arguments.strategy is not None:
        archives = arguments.strategy == "archive" or place.settings.archive
        return "archive" if archives else "delete"
    return place.settings.disposal


def _terminal() -> TextIO | None:
    """Where a person can be asked, if there is one who can answer."""
    if not sys.stdin.isatty():
        return None
    return next((stream for stream in (sys.stderr, sys.stdout) if stream.isatty()), None)


def _ask(drafts: list[_Draft], arguments: CleanArguments) -> list[_Draft]:
    """The drafts with what shall go of them, by what a person answers. Raises `Refused` for a no.

    Without `--ask` only who can answer is asked, and only before everything goes.
    """
    from .asking import Dialogue

    terminal = sys.stderr if arguments.ask else _terminal()
    if terminal is None:
        return drafts
    dialogue = Dialogue(terminal)
    if arguments.ask:
        steps = [step for draft in drafts for step in draft.plan.steps]
        titles = [draft.place.title for draft in drafts for _ in draft.plan.steps]
        for where in _linked(drafts):
            dialogue.say(f"entries in {text.plain(where)}")
        chosen = dialogue.choose(steps, titles) if steps else set()
        first = 0
        for index, draft in enumerate(drafts):
            plan = draft.plan
            left = [step for at, step in enumerate(plan.steps, first) if at in chosen]
            first += len(plan.steps)
            outside = plan.out_of_scope + len(plan.steps) - len(left)
            plan = plan._replace(steps=tuple(left), out_of_scope=outside)
            drafts[index] = draft._replace(plan=_without_low_space(plan))
    asked = [
        step
        for draft in drafts
        if draft.plan.policy.everything or arguments.ask
        for step in draft.plan.steps
    ]
    if asked and not arguments.dry_run:
        dialogue.confirm(asked, _linked(drafts))
    return drafts


def _linked(drafts: Sequence[_Draft]) -> list[str]:
    """The roots behind links among those from which something is to go."""
    return [
        draft.place.located()
        for draft in drafts
        if draft.plan.steps and draft.place.leads_to() is not None
    ]


def _carry_out(
    drafts: Sequence[_Draft],
    now: float,
    *,
    dry_run: bool,
    output: str,
    silent: bool = False,
    background: bool = False,
    lines: list[str] | None = None,
    face: str = "temp-clean",
    all_must_go: bool = False,
) -> int:
    """Carry the drafts out and print that; the exit code. `silent` says nothing about nothing.

    Where `all_must_go`, one that is skipped since it has changed at the last moment counts as well.

    With `lines` that gets one for each root, in place of what is printed.
    """
    from .report import json as as_json

    code = 0
    documents: list[dict[str, Any]] = []
    empty: list[str] = []
    for draft in drafts:
        place, plan = draft.place, draft.plan
        nothing = not (
            plan.steps
            or plan.archives
            or plan.kept
            or plan.leftovers
            or plan.problems
            or plan.out_of_scope
        )
        if nothing and (place.is_extra or output != "json"):
            missing = f"{place.root} does not exist yet" if place.is_to_come() else ""
            empty += [] if place.is_extra else [missing or place.title]
            if not dry_run:
                _forget_dead(plan)
            continue
        report = None
        problems = plan.problems
        failed = draft.code
        if not dry_run and not failed:
            try:
                quiet = output == "json" or lines is not None
                report = _execute(place, plan, quiet=quiet, background=background, face=face)
                problems = report.problems
            except (StorageError, Refused) as error:
                failed = error.exit_code
                problems = (*problems, *_as_problem(place, error))
        if not failed:
            _add_to_summary(partial(github.clean_summary, place.title, plan, report))
        if output == "json":
            documents.append(as_json.clean_project(place.title, plan, report))
        elif lines is not None:
            if report is not None:
                lines.append(text.report_line(place.title, report))
            elif failed:
                lines.append(f"{text.plain(place.title)}: could not be cleaned")
            else:
                lines.append(text.plan_line(place.title, plan))
        elif report is not None:
            print(text.report_text(place.title, report))
        elif not failed:
            print(text.plan_text(place.title, plan))
        unseen = _print_problems([(place.title, problem) for problem in problems])
        if report is None:
            code = max(code, failed, unseen)
        else:
            skipped = any(outcome.status == "skipped" for outcome in report.outcomes)
            code = max(code, int(report.failed or (all_must_go and skipped)))
    if output == "json":
        print(as_json.document("clean", now, documents, dry_run=dry_run))
    elif empty and not silent:
        who = empty[0] if len(empty) == 1 else f"{len(empty)} projects"
        nothing_said = f"{text.plain(who)}: nothing to clean"
        if lines is None:
            print(nothing_said)
        else:
            lines.append(nothing_said)
    return code


def _forget_dead(plan: Plan) -> None:
    """Carry out a plan of nothing: even then, killed processes may have left their owner files."""
    from .store.sweep import execute

    with contextlib.suppress(TempError, OSError):
        execute(plan)


def _execute(place: _Place, plan: Plan, *, quiet: bool, background: bool, face: str) -> Report:
    from .store.sweep import execute

    line = ProgressLine("cleaning:")
    whole = len(plan.archives) + len(plan.steps)
    # Where not all was measured, entries say how far it is.
    steps = (*plan.archives, *plan.steps)
    inside = sum(step.entry.files + step.entry.directories for step in steps)
    done = freed = gone = 0

    def show() -> None:
        share = gone / inside if plan.is_measured and inside else done / max(whole, 1)
        line(done, freed, of=whole, files=gone, share=share)

    def on_freed(files: int, size: int) -> None:
        nonlocal gone, freed
        gone, freed = files, size
        show()

    def on_outcome(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if outcome.status == "failed":
            line.clear()
            _complain(text.outcome_line(outcome))
        elif outcome.status == "done" and not quiet:
            line.clear()
            print(text.outcome_line(outcome))
        show()

    try:
        return execute(
            plan,
            archive=None if place.abandoned_only else place.settings.archive_path(),
            archive_format=place.settings.archive_format,
            on_outcome=on_outcome,
            on_freed=on_freed,
            workers=place.settings.workers,
            background=background,
            face=face,
        )
    except KeyboardInterrupt:
        line.clear()
        print(
            f"interrupted: {done} of {text.counted(whole)} dealt with, "
            f"{spell_size(freed)} freed; the next temp-clean finishes what was begun",
            file=sys.stderr,
        )
        raise
    finally:
        line.clear()


# -- temp-explain, temp-pin, temp-unpin -----------------------------------------------------


def explain_entry(path: str) -> int:
    """Print why the entry at `path` stays or would go; the exit code."""
    place, relative = _find(path)
    now = time.time()
    inventory = scan(place.root, now, layout=place.layout())
    inventory, coming = _with_undoable(place, inventory, now)
    try:
        verdict, reasons = explain(
            inventory.entries,
            place.policy(),
            now,
            relative,
            free=inventory.free,
            capacity=inventory.capacity,
            coming=coming,
        )
    except LookupError:
        raise StorageError(0, f"{path} vanished while it was being looked at") from None
    elsewhere = place.located() if place.leads_to() is not None else ""
    print(text.explanation(verdict, reasons, now, elsewhere))
    return 0


def _find(path: str) -> tuple[_Place, str]:
    """The entry that a person means, and the place that it lies in."""
    settings = load(standing_project())
    roots = settings.other_roots()
    root, relative = find_entry(path, root_of(settings.project), roots, homeless_roots())
    if root == user_root():
        return _Place(USER_TITLE, root, settings, abandoned_only=True), relative
    if root.parent in homeless_projects():
        place = _Place(HOMELESS_TITLE, root, load(root.parent))
        return place._replace(is_elsewhere=root.parent != settings.project), relative
    if root in roots:
        return _Place(root.name, root, settings, is_configured=True), relative
    return _Place(root.parent.name, root, load(root.parent)), relative


def pin_entry(path: str, reason: str, *, dry_run: bool = False) -> int:
    """Pin the entry at `path`; the exit code."""
    from .store.pinning import write_pin

    if not reason.strip():
        raise InvalidSettings("--reason: say why, so that others know when it may go")
    place, relative = _find(path)
    if not dry_run:
        write_pin(place.root, relative, reason, place.layout())
    verb = "would pin" if dry_run else "pinned"
    print(f"{verb} {text.plain(relative)}: {text.plain(reason)}")
    return 0


def unpin_entry(path: str, *, dry_run: bool = False) -> int:
    """Unpin the entry at `path`; the exit code."""
    from .store.pinning import read_pin, remove_pin

    place, relative = _find(path)
    if dry_run:
        verb = "would unpin" if read_pin(place.root, relative) is not None else "is not pinned:"
    else:
        verb = "unpinned" if remove_pin(place.root, relative) else "was not pinned:"
    print(f"{verb} {text.plain(relative)}")
    return 0


# -- temp-restore ---------------------------------------------------------------------------------


def list_archived() -> int:
    """Print what lies in the project's archive, and what can be undone; the exit code."""
    from .store.archive import list_archive

    settings = load(standing_project())
    archive, *undoable = _archives(settings)
    blocks = []
    code = 0
    for place in (archive, *undoable):
        rows: list[tuple[str, ...]] = []
        for archived in list_archive(place, root_of(settings.project)):
            said, when = archived.manifest, text.instant(archived.archived_at)
            if said is None:
                what = archived.problem or "it has no manifest"
                code = max(code, int(bool(archived.problem)))
                rows.append((archived.name, archived.format, "?", when, "?", what))
                continue
            how = archived.format if said.until is None else text.instant(said.until)
            was, why = str(said.root_from(place) / said.path), "; ".join(said.reasons)
            rows.append((archived.name, how, spell_size(said.size), when, was, why))
        if place == archive:
            blocks.append(text.archive_text(str(archive), rows))
        elif rows:
            blocks.append(text.undo_text(str(place), rows))
    print("\n\n".join(blocks))
    return code


def _archives(settings: Settings) -> list[Path]:
    """What can be restored lies there: the archive, and what can be undone of each root."""
    from .store.undo import has_undoable, undo_area

    found = [settings.archive_path()]
    roots = (
        *(root_of(settings.project), *settings.other_roots()),
        *(*homeless_roots(), user_root()),
    )
    for root in {os.path.realpath(root): root for root in reversed(roots)}.values():
        try:
            if has_undoable(root):
                found.insert(1, undo_area(root))
        except TempError as error:
            # What somebody planted in one root is to keep nobody from restoring what is in others.
            _print_problems([(root.name, Problem(STORE, str(error)))])
    return found


def restore_archived(name: str, *, dry_run: bool = False) -> int:
    """Put back what is called `name` in the project's archive, or what can be undone; the exit
    code.
    """
    from .store.restore import find_archived, finish_killed, place_of, restore

    settings = load(standing_project())
    archives = _archives(settings)
    archive, archived = find_archived(archives, name, settings.project)
    place = place_of(archive, archived, settings.project)
    if dry_run:
        print(f"would restore {text.plain(name)} as {text.plain(str(place.full))}")
        return 0
    finish_killed(archive, place.root)
    # Again: a restoring that was killed may have been all but finished.
    archive, archived = find_archived(archives, name, settings.project)
    place = place_of(archive, archived, settings.project)
    is_pinned = restore(archive, archived, place)
    pinned = ", pinned, since it would go at any age there" if is_pinned else ""
    print(f"restored {text.plain(archived.name)} as {text.plain(str(place.full))}{pinned}")
    return 0


# -- clean ------------------------------------------------------------------------------------


def clean_artefacts(
    *, temp_age_hours: str | None, dry_run: bool, include_unsure: bool = False
) -> int:
    """Clean build artefacts and scratch of the project; the exit code."""
    from .store.artefacts import check_patterns, drop_empty_root, find_artefacts
    from .store.tracked import Tracked

    limits = None
    if temp_age_hours is not None:
        hours = read_number(temp_age_hours, "--temp-age-hours", "number of hours")
        limits = Policy(max_age=hours * HOUR)
    now = time.time()
    places = _places(all_projects=False)
    project, settings = places[0].settings.project, places[0].settings
    old = project / OLD_ROOT
    if old.is_dir() or old.is_symlink():
        places.insert(1, _Place(f"{project.name}/{OLD_ROOT}", old, settings))
    dry_run = dry_run or _says_dry_run(places, False, _OVERRIDE)
    if project in homeless_projects():
        # Nothing is built there; and of what git tracks where one stands, git is not asked.
        own = [place for place in places if place.settings.project == project or place.is_extra]
        drafts = _drafts(own, limits, CleanArguments(), now, sizes=dry_run)
        return _carry_out(drafts, now, dry_run=dry_run, output="table", face="clean")
    drafts = _drafts(places, limits, CleanArguments(), now, sizes=dry_run)
    # Asked last, so that what git tracks is what it tracks when the deleting begins.
    tracked = Tracked(project)
    check_patterns(project, settings.artefacts, tracked)
    drafts = [
        draft._replace(plan=_without_tracked(draft.plan, project, tracked, include_unsure))
        for draft in drafts
    ]
    artefacts = find_artefacts(
        project,
        settings.artefacts,
        tracked,
        roots=settings.other_roots(),
        archive=settings.archive_path(),
        include_unsure=include_unsure,
    )

    code = _clean_artefacts(project, artefacts, dry_run=dry_run)
    swept = _carry_out(
        drafts, now, dry_run=dry_run, output="table", silent=bool(artefacts), face="clean"
    )
    if not dry_run:
        for draft in drafts:
            if draft.place.root == old:
                drop_empty_root(old, {step.entry.category for step in draft.plan.steps})
    return max(code, swept)


def _clean_artefacts(project: Path, artefacts: Sequence[Artefact], *, dry_run: bool) -> int:
    from .store.artefacts import measure_artefact, remove_artefact, work_in
    from .store.removal import Removed

    verb = "would delete" if dry_run else "deleted"
    code = count = freed = 0
    # An egg-info last: it tells what made the build beside it, to the next clean as well.
    for artefact in sorted(artefacts, key=lambda one: one.path.endswith(".egg-info")):
        path = text.plain(artefact.path)
        # Looked at again: while the others went, somebody may have begun to work in this one.
        if kept := artefact.kept or work_in(project / artefact.path):
            print(f"kept {path}: {text.plain(kept)}")
            continue
        try:
            if dry_run:
                removed = Removed(measure_artefact(project, artefact.path))
            else:
                removed = remove_artefact(project, artefact.path)
        except KeyboardInterrupt:
            print(
                f"interrupted: {text.counted(count, 'artefact', 'artefacts')} deleted, "
                f"{spell_size(freed)} freed; the next clean finishes {path}",
                file=sys.stderr,
            )
            raise
        freed += removed.freed_bytes
        if removed.failures:
            where, what = removed.failures[0]
            inside = f" {text.plain(where)}:" if where else ""
            _complain(f"failed {path}:{inside} {text.plain(what)}")
            code = 1
            continue
        count += 1
        size = spell_size(removed.freed_bytes)
        print(f"{verb} {path}  {size}  (artefact: {text.plain(artefact.pattern)})")
    if artefacts:
        what = text.counted(count, "artefact", "artefacts")
        print(f"{text.plain(project.name)}: {verb} {what}, {spell_size(freed)}")
    return code


def _without_tracked(
    plan: Plan, project: Path, tracked: Tracked, include_unsure: bool = False
) -> Plan:
    """`plan` without the entries that hold something that git tracks, or may track."""
    from .store.artefacts import TAKES_UNSURE

    unsure = f"{tracked.failed}; {TAKES_UNSURE}" if tracked.failed and not include_unsure else ""
    steps = []
    kept = list(plan.kept)
    for step in plan.steps:
        why = _tracked_in(step.entry, plan.root, project, tracked) or unsure
        if why:
            kept.append(_kept_as_tracked(step.entry, why))
        else:
            steps.append(step)
    return plan._replace(steps=tuple(steps), kept=tuple(kept))


def _tracked_in(entry: Entry, root: str, project: Path, tracked: Tracked) -> str:
    """What one line says of what git tracks in `entry`; "" if it tracks nothing there."""
    # By its real path: a root that is a link may lead to another place in the work tree.
    below = os.path.relpath(os.path.realpath(root), os.path.realpath(project))
    inside = tracked.inside(f"{below}/{entry.path}")
    return "" if inside is None else f"git tracks {inside}"


def _kept_as_tracked(entry: Entry, why: str) -> Verdict:
    return Verdict(entry, True, (Reason("tracked", "stays", why),))


# -- temp-adopt -------------------------------------------------------------------------------


def adopt(*, dry_run: bool, all_projects: bool) -> int:
    """Move the older helper's entries into `uncategorized`, and list `.temp`; the exit code."""
    now = time.time()
    places = [
        place
        for place in _places(all_projects)
        if not (place.abandoned_only or place.is_configured or place.is_elsewhere)
    ]
    dry_run = dry_run or _says_dry_run(places, False, _OVERRIDE, "moved")
    code = empty = 0
    for place in places:
        try:
            nothing, failed = _adopt(place, now, dry_run)
            empty += nothing
        except (StorageError, Refused) as error:
            failed = error.exit_code
            _print_problems([(place.title, problem) for problem in _as_problem(place, error)])
        code = max(code, failed)
    if empty:
        who = text.plain(places[0].title) if len(places) == 1 else f"{empty} projects"
        print(f"{who}: nothing to adopt")
    return code


def _adopt(place: _Place, now: float, dry_run: bool) -> tuple[bool, int]:
    """Adopt what lies in one root; whether there was nothing to say of it, and the exit code."""
    from .store import adoption

    exclude = place.settings.policy().of(UNCATEGORIZED).exclude
    survey = adoption.survey(place.root, exclude, now)
    if survey.moves:
        survey = _moving_nothing_tracked(survey, place.settings.project)
    problems = [(place.title, problem) for problem in survey.problems]
    nothing = not (survey.moves or survey.kept or problems)
    failed = False
    if not nothing:
        moved: tuple[Moved, ...] | None = None
        if not dry_run:
            moved = adoption.adopt(survey, lambda one: print(text.moved_line(one), flush=True))
            failed = any(one.status == "failed" for one in moved)
        print(text.adoption_text(place.title, survey, moved))
    old = place.root.with_name(OLD_ROOT)
    title = f"{place.title}/{OLD_ROOT}"
    if old.is_dir() or old.is_symlink():
        nothing = False
        found = scan(old, now)
        problems += [(title, problem) for problem in found.problems]
        print(text.old_root_text(title, found, now))
    return nothing, max(int(failed), _print_problems(problems))


def _moving_nothing_tracked(survey: Survey, project: Path) -> Survey:
    """`survey` without the moves of what git tracks, to which they would be deletions."""
    from .store.tracked import Tracked

    tracked = Tracked(project)
    why = [(one, _tracked_in(one, survey.root, project, tracked)) for one in survey.moves]
    kept = tuple(_kept_as_tracked(one, said) for one, said in why if said)
    moves = tuple(one for one, said in why if not said)
    return survey._replace(moves=moves, kept=(*survey.kept, *kept))


# -- arguments --------------------------------------------------------------------------------


def _choice(value: str, flag: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InvalidSettings(f"{flag}: expected one of {', '.join(choices)}, got {value!r}")
    return value
