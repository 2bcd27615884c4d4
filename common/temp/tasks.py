"""The reusable invoke tasks; they act on the project of the working directory.

A subproject's `tasks.py` imports them: `from common.temp.tasks import ns`, or by name, or `*`.
"""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from . import choices
from .ending import run_command
from .entry_tasks import temp_explain, temp_pin, temp_restore, temp_unpin
from .fleet_tasks import temp_report
from .invoke_arguments import WithPaths
from .shared_task import Offered, SharedTask

__all__ = [
    "clean",
    "temp_adopt",
    "temp_check",
    "temp_clean",
    "temp_explain",
    "temp_migrate",
    "temp_pin",
    "temp_report",
    "temp_restore",
    "temp_schedule",
    "temp_status",
    "temp_unpin",
]
__all__ = Offered(__all__)  # a host's own tasks win, wherever in its file it imports these


_ALL_PROJECTS = "All projects of the monorepo, not only this one."
_DRY_RUN = "Show what would be cleaned and why; change nothing."


@task(
    klass=SharedTask,
    help={
        "category": "List only this category.",
        "sort": f"Sort by {choices.default_first(choices.SORTS)}.",
        "limit": "List at most this many entries (totals still count all), or sweeps (20).",
        "format": f"{choices.default_first(choices.STATUS_FORMATS)}.",
        "output": "Write to this file; an html page needs no other file.",
        "all-projects": _ALL_PROJECTS,
        "history": "List past sweeps instead: when, who, what and why; in html, sizes over time.",
    },
)
def temp_status(
    c: Context,
    category: str | None = None,
    sort: str = "name",
    limit: str | None = None,
    format: str = "table",  # noqa: A002
    output: str | None = None,
    all_projects: bool = False,
    history: bool = False,
) -> None:
    """List scratch entries: size, age, what the next clean does with each of them, and why.

    Changes nothing. Exits with 1 if something could not be read.
    """
    from .commands.collecting import collector_at_rest

    def run() -> int:
        from .commands.status import status
        from .commands.status_formats import StatusArguments

        given = StatusArguments(category, sort, limit, format, all_projects, output, history)
        if not history or format == "html":
            return status(given)
        from .commands.history import history as show

        return show(given)

    with collector_at_rest():
        run_command(run)


@task(
    klass=SharedTask,
    help={
        "max-age": "Clean only entries unchanged for this long, for example 90m, 36h, 7d or 2w.",
        "max-age-hours": "Like --max-age, but a number of hours; 0 cleans all.",
        "category": "Clean only this category.",
        "name": "Clean only entries whose name, label or category/name matches this glob.",
        "strategy": "aggressive (3 newest, 3 days), moderate (5, 7), conservative (14, 30) or archive.",  # noqa: E501
        "everything": "Clean everything that is not protected, whatever is configured.",
        "dry-run": _DRY_RUN,
        "trash": "Move to the desktop trash instead of deleting; frees no space.",
        "undoable": "Set aside for undo_for (1d), so that temp-restore can undo it; frees no space yet.",  # noqa: E501
        "yes": "Do not ask for confirmation.",
        "force": "Ignore a configured dry_run and do not ask; entries in use still stay.",
        "include-in-use": "Also clean entries that running processes use; requires --name.",
        "ask": "Choose entries by number, by name or one by one; reads a terminal or a pipe.",
        "plan": "With --dry-run: write the plan to this file, for --apply.",
        "apply": "Clean what the plan in this file lists, where nothing has changed since.",
        "scheduled": "For temp-schedule: log a line; if another run is active, exit and log that.",
        "background": "Move everything aside at once, and delete it after the command ends.",
        "require-policy": "Refuse, with exit code 3, to clean without a given or configured limit.",
        "format": f"{choices.default_first(choices.TABLE_OR_JSON)}.",
        "all-projects": _ALL_PROJECTS,
    },
)
def temp_clean(
    c: Context,
    max_age_hours: float | str | None = None,
    dry_run: bool = False,
    max_age: str | None = None,
    category: str | None = None,
    name: str | None = None,
    strategy: str | None = None,
    everything: bool = False,
    trash: bool = False,
    undoable: bool = False,
    yes: bool = False,
    force: bool = False,
    include_in_use: bool = False,
    ask: bool = False,
    plan: str | None = None,
    apply: str | None = None,
    scheduled: bool = False,
    background: bool = False,
    require_policy: bool = False,
    format: str = "table",  # noqa: A002
    all_projects: bool = False,
) -> None:
    """Clean scratch entries by the given limits, else by the configured policy, else everything.

    Command-line limits replace configured ones. Entries in use or pinned stay. Without any limit it
    lists what would go and, on a terminal, asks first. Exits with 0 (done, or nothing to do), 1
    (some entry failed), 2 (bad argument or setting) or 3 (refused or declined).
    """
    from .commands.clean import clean
    from .commands.clean_arguments import CleanArguments, flagged

    arguments = CleanArguments(
        max_age=max_age,
        max_age_hours=max_age_hours,
        category=category,
        name=name,
        strategy=strategy,
        everything=everything,
        dry_run=dry_run or bool(c.config.run.dry),
        flags=flagged(undo=undoable, trash=trash),
        yes=yes,
        force=force,
        include_in_use=include_in_use,
        background=background,
        ask=ask,
        plan=plan,
        apply=apply,
        scheduled=scheduled,
        require_policy=require_policy,
        output=format,
        all_projects=all_projects,
    )
    if scheduled:
        from .schedule import run

        run_command(lambda: run.run(arguments))
    else:
        run_command(lambda: clean(arguments))


@task(
    klass=SharedTask,
    help={
        "dry-run": "Show what would move and why the rest stays; change nothing.",
        "all-projects": _ALL_PROJECTS,
    },
)
def temp_adopt(c: Context, dry_run: bool = False, all_projects: bool = False) -> None:
    """Move entries of the legacy helper in .tmp into a category, and list the contents of .temp.

    Only directories named <label>_<epoch> move. Entries in use, pinned or excluded stay, and
    symlinks in .tmp are left alone. Exits with 0 (done, or nothing to do) or 1 (some entry failed).
    """
    from .commands.adopt import adopt

    run_command(lambda: adopt(dry_run=dry_run or bool(c.config.run.dry), all_projects=all_projects))


@task(
    klass=SharedTask,
    help={
        "every": "How often, for example 15m, 6h, 1d or 7d.",
        "strategy": "Clean by this strategy; required if no limit is configured.",
        "install": "Install the schedule, replacing an earlier one of this project.",
        "remove": "Remove the schedule of this project, and nothing else.",
        "print": "Show what would be installed and where (default); change nothing.",
        "as": f"{choices.either(choices.SCHEDULERS)}; by default what this machine has.",
    },
)
def temp_schedule(
    c: Context,
    every: str | None = None,
    strategy: str | None = None,
    install: bool = False,
    remove: bool = False,
    print: bool = False,  # noqa: A002
    as_: str | None = None,
) -> None:
    """Clean this project on a schedule, by systemd, cron, launchd or the Windows Task Scheduler.

    Each run cleans by the configured limits or by --strategy; high_water applies to both.
    """

    def run() -> int:
        from .schedule.command import ScheduleArguments, schedule

        arguments = ScheduleArguments(
            every=every,
            strategy=strategy,
            install=install,
            remove=remove,
            show=print,
            kind=as_,
            dry_run=bool(c.config.run.dry),
        )
        return schedule(arguments)

    run_command(run)


@task(
    klass=SharedTask,
    help={
        "max-size": 'Allow at most this much scratch, for example "20GiB".',
        "min-free": "Require at least this much free space on its filesystem.",
        "max-entries": "Allow at most this many entries.",
        "max-files": "Allow at most this many files and directories.",
        "max-age": "Allow no entry that is unchanged for longer, for example 36h, 7d or 2w.",
        "tracked": "Also fail if git tracks anything in a .tmp or .temp; needs no limit.",
        "format": f"{choices.default_first(choices.TABLE_OR_JSON)}.",
        "all-projects": "All projects of the monorepo together, not only this one.",
    },
)
def temp_check(
    c: Context,
    max_size: str | None = None,
    min_free: str | None = None,
    max_entries: str | None = None,
    max_files: str | None = None,
    max_age: str | None = None,
    tracked: bool = False,
    format: str = "table",  # noqa: A002
    all_projects: bool = False,
) -> None:
    """Check whether scratch is within a budget, and list what takes the most if it is not.

    Changes nothing. Without a limit, those in the settings apply. Exits with 0 (within budget), 1
    (something could not be read, or git tracks scratch), 2 (no limit) or 4 (over budget).
    """
    from .commands.check import CheckArguments, check

    limits = max_size, min_free, max_entries, max_files, max_age
    given = CheckArguments(*limits, tracked, format, all_projects)
    run_command(lambda: check(given))


@task(
    klass=SharedTask,
    help={
        "temp-age": "Clean only scratch unchanged for this long, for example 7d; never artefacts.",
        "temp-age-hours": "Like --temp-age, but a number of hours.",
        "older-than": "Clean only what is unchanged for this long: artefacts with their project, scratch too.",  # noqa: E501
        "preset": f"Clean only artefacts of these, and no scratch: {', '.join(choices.PRESETS)} or all.",  # noqa: E501
        "ask": "Choose by number, by name or one by one; reads a terminal or a pipe.",
        "dry-run": _DRY_RUN,
        "include-unsure": "Also remove what may be hand-written: no ignore rule of git names it.",
        "include-active": "Also what a preset finds in a project in which a process works.",
        "format": f"{choices.default_first(choices.TABLE_OR_JSON)}.",
        "all-projects": _ALL_PROJECTS,
    },
)
def clean(
    c: Context,
    temp_age_hours: float | str | None = None,
    dry_run: bool = False,
    temp_age: str | None = None,
    older_than: str | None = None,
    preset: str | None = None,
    ask: bool = False,
    include_unsure: bool = False,
    include_active: bool = False,
    format: str = "table",  # noqa: A002
    all_projects: bool = False,
) -> None:
    """Clean this project's build artefacts and scratch; never what git tracks.

    Scratch is cleaned as by temp-clean without arguments, the older .temp included; without --ask
    it never asks. Artefacts are removed if a git ignore rule covers them or if a tool certainly
    made them; the others are listed. Anything a running process needs stays.
    """
    from .commands.artefacts import ArtefactArguments, clean_artefacts

    given = ArtefactArguments(
        temp_age=temp_age,
        temp_age_hours=temp_age_hours,
        older_than=older_than,
        presets=preset,
        dry_run=dry_run or bool(c.config.run.dry),
        ask=ask,
        include_unsure=include_unsure,
        include_active=include_active,
        output=format,
        all_projects=all_projects,
    )
    run_command(lambda: clean_artefacts(given))


@task(
    klass=WithPaths,
    iterable=["paths"],
    help={
        "paths": "Files and directories, after the task name; by default the working directory.",
        "diff": "Show what would be rewritten and what is left (default); change nothing.",
        "check": "List the findings, then the checklist; exit with 1 if anything is left.",
        "write": "Rewrite files; refuses where git could not restore the original.",
        "unsafe": "Also apply rewrites that may change behaviour.",
        "select": "Only these rules: TK001,TK004; TK1 means all that start with TK1.",
        "ignore": "All rules but these.",
        "format": f"{choices.default_first(choices.MIGRATE_FORMATS)}.",
        "allow-dirty": "Write despite uncommitted changes, or outside version control.",
        "add-dependency": "With --write: declare tempkeep where only that is missing.",
        "explain": "Explain a rule: why it exists, an example, and when it is unsafe.",
    },
)
def temp_migrate(
    c: Context,
    paths: list[str],
    diff: bool = False,
    check: bool = False,
    write: bool = False,
    unsafe: bool = False,
    select: str | None = None,
    ignore: str | None = None,
    format: str = "text",  # noqa: A002
    allow_dirty: bool = False,
    add_dependency: bool = False,
    explain: str | None = None,
) -> None:
    """Rewrite code that makes temporary directories by hand, where that is provably safe.

    Exits with 0 (nothing to do, or all written), 1 (something is left), 2 (bad argument) or 3 (a
    file cannot be read, or refused). A line with `# tempkeep: keep TK004 <reason>` is left alone.
    """

    def run() -> int:
        from .migrate.command import MigrateArguments, migrate

        arguments = MigrateArguments(
            paths=paths,
            diff=diff,
            check=check,
            write=write and not c.config.run.dry,
            unsafe=unsafe,
            select=select,
            ignore=ignore,
            output=format,
            allow_dirty=allow_dirty,
            explain=explain,
            add_dependency=add_dependency,
        )
        return migrate(arguments)

    run_command(run)


ns = Collection(
    *(temp_status, temp_clean, temp_explain, temp_pin, temp_unpin, temp_restore),
    *(temp_adopt, temp_check, temp_migrate, temp_report, temp_schedule, clean),
)
