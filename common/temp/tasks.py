"""The reusable invoke tasks; they act on the project of the working directory.

A subproject's `tasks.py` imports them: `from common.temp.tasks import ns`, or by name, or `*`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from .arguments import WithNames, WithPaths

__all__ = [
    "clean",
    "temp_adopt",
    "temp_check",
    "temp_clean",
    "temp_explain",
    "temp_migrate",
    "temp_pin",
    "temp_restore",
    "temp_schedule",
    "temp_status",
    "temp_unpin",
]


# No task has short flags: invoke picks their letters, and another one for a flag as soon as one is
# added before it.


def _run(command: Callable[[], int]) -> None:
    """Run `command` and end with its exit code, with one line on stderr for each kind of error."""
    from .errors import StorageError, TempError

    try:
        _prepare_streams()
        code = command()
        print(end="", flush=True)
    except TempError as error:
        raise Exit(f"error: {_one_line(error)}", code=error.exit_code) from error
    except BrokenPipeError:
        _let_go_of_stdout()
        raise Exit(code=141) from None  # as a program that SIGPIPE ended: 128 + 13
    except ModuleNotFoundError as error:
        from .needs import missing

        said = missing(error)
        if said is None:
            raise
        raise Exit(f"error: {said}", code=2) from error
    except OSError as error:
        _let_go_of_stdout()
        what = f"cannot use {error.filename}" if error.filename else "cannot write"
        raise Exit(f"error: {_one_line(StorageError.of(what, error))}", code=1) from error
    except KeyboardInterrupt:
        raise Exit(code=130) from None
    if code:
        raise Exit(code=code)


def _one_line(error: Exception) -> str:
    from .report.text import plain

    return plain(" ".join(str(error).split("\n")))


def _prepare_streams() -> None:
    """Let nothing stop a sweep that is printed: no letter that the encoding lacks (escaped on
    stdout as Python does on stderr), and no stream that was closed before we began.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _let_go_of_stdout() -> None:
    """Keep the interpreter from complaining, at its end, about output that it cannot write."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@task(
    auto_shortflags=False,
    help={
        "category": "Only the entries of this category.",
        "sort": "Order of the entries: name (default), size or age.",
        "limit": "List at most this many entries (the totals count all), or sweeps (20).",
        "format": "table (default), json, csv, github or html.",
        "output": "Write to this file instead; html is a single page that needs no other file.",
        "all-projects": "All projects of the monorepo, not only this one.",
        "history": "List the past sweeps instead: when, who, by which policy, what went and why.",
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
    """List scratch entries: size, age, who uses them, what the next clean does with them and why.

    Changes nothing. Ends with 1 if something could not be read.
    """
    from .commands.status import StatusArguments, status

    def run() -> int:
        given = StatusArguments(category, sort, limit, format, all_projects, output)
        if not history:
            return status(given)
        from .commands.history import history as show

        return show(given)

    _run(run)


@task(
    auto_shortflags=False,
    help={
        "max-age-hours": "Only entries whose newest change anywhere inside is older; 0 is all.",
        "category": "Only the entries of this category.",
        "name": "Only entries whose name, label or category/name matches this glob.",
        "strategy": "aggressive (3 newest, 3 days), moderate (5, 7), conservative (14, 30), archive.",  # noqa: E501
        "everything": "All entries that nothing protects, whatever is configured.",
        "dry-run": "Say what would go and why; write nothing.",
        "trash": "Move to the desktop's trash instead of deleting; frees no space.",
        "undoable": "Set aside for undo_hours (24) instead; temp-restore undoes it. Frees no space until then.",  # noqa: E501
        "yes": "Do not ask.",
        "force": "Ignore a configured dry_run and do not ask; never takes an entry in use.",
        "include-in-use": "Take entries from running processes too; needs --name.",
        "ask": "Choose by numbers, by names or one by one, on a terminal or from a pipe.",
        "plan": "With --dry-run: write what it shows to this file, for --apply.",
        "apply": "Clean what the plan in this file shows, if nothing of it has changed since.",
        "scheduled": "For temp-schedule: print and log one line; exit if another one is running.",
        "background": "Move everything aside at once, and delete it after the command has ended.",
        "format": "table (default) or json.",
        "all-projects": "All projects of the monorepo, not only this one.",
    },
)
def temp_clean(
    c: Context,
    max_age_hours: str | None = None,
    category: str | None = None,
    name: str | None = None,
    strategy: str | None = None,
    everything: bool = False,
    dry_run: bool = False,
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
    format: str = "table",  # noqa: A002
    all_projects: bool = False,
) -> None:
    """Clean scratch entries: by the limits given, else the configured policy, else everything.

    Entries that are in use or pinned stay. Without any limit it asks once on a terminal. Ends with
    0 (done, or nothing to do), 1 (some entry failed), 2 (bad argument or setting) or 3 (declined).
    """
    from .commands.arguments import CleanArguments
    from .commands.clean import clean

    arguments = CleanArguments(
        max_age_hours=max_age_hours,
        category=category,
        name=name,
        strategy=strategy,
        everything=everything,
        dry_run=dry_run or bool(c.config.run.dry),
        trash=trash,
        undoable=undoable,
        yes=yes,
        force=force,
        include_in_use=include_in_use,
        background=background,
        ask=ask,
        plan=plan,
        apply=apply,
        scheduled=scheduled,
        output=format,
        all_projects=all_projects,
    )
    if scheduled:
        from .schedule import run

        _run(lambda: run.run(arguments))
    else:
        _run(lambda: clean(arguments))


@task(
    auto_shortflags=False,
    klass=WithNames,
    help={"path": "The entry: a path, category/name, or a name that only one entry has."},
)
def temp_explain(c: Context, path: str) -> None:
    """Say why an entry stays or would go, rule by rule, and what would change that."""
    from .commands.entries import explain_entry

    _run(lambda: explain_entry(path))


@task(
    auto_shortflags=False,
    klass=WithNames,
    help={
        "path": "The entry: a path, category/name, or a name that only one entry has.",
        "reason": "Why it must stay; shown wherever the entry is.",
    },
)
def temp_pin(c: Context, path: str, reason: str) -> None:
    """Keep an entry, whatever the policy says, until it is unpinned."""
    from .commands.entries import pin_entry

    _run(lambda: pin_entry(path, reason, dry_run=bool(c.config.run.dry)))


@task(
    auto_shortflags=False,
    klass=WithNames,
    help={"path": "The entry: a path, category/name, or a name that only one entry has."},
)
def temp_unpin(c: Context, path: str) -> None:
    """Let a pinned entry be cleaned again."""
    from .commands.entries import unpin_entry

    _run(lambda: unpin_entry(path, dry_run=bool(c.config.run.dry)))


@task(
    auto_shortflags=False,
    klass=WithNames,
    help={
        "name": "What to put back: its name in the list, or the path it had.",
        "list": "List what is in the archive, and what can be undone.",
    },
)
def temp_restore(c: Context, name: str, list: bool = False) -> None:  # noqa: A002
    """Put back what was archived, or cleaned undoably, never over anything; or list what is there.

    It counts as new from then on. Ends with 3, and moves nothing, if something is in its place or
    if it has changed since it was cleaned.
    """
    from .commands.restore import list_archived, restore_archived

    if list:
        _run(list_archived)
    else:
        _run(lambda: restore_archived(name, dry_run=bool(c.config.run.dry)))


@task(
    auto_shortflags=False,
    help={
        "dry-run": "Say what would move and why the rest stays; write nothing.",
        "all-projects": "All projects of the monorepo, not only this one.",
    },
)
def temp_adopt(c: Context, dry_run: bool = False, all_projects: bool = False) -> None:
    """Move what the legacy helper left in .tmp into a category, and list what is in .temp.

    Only directories named <label>_<epoch> move; what is in use, pinned or excluded stays, and what
    a symlink in .tmp leads to. Ends with 0 (done, or nothing to do) or 1 (some entry failed).
    """
    from .commands.adopt import adopt

    _run(lambda: adopt(dry_run=dry_run or bool(c.config.run.dry), all_projects=all_projects))


@task(
    auto_shortflags=False,
    help={
        "every": "How often: 15m, 6h, 1d or 7d, for example.",
        "strategy": "Clean by this strategy; needed where no limit is configured.",
        "install": "Install it, replacing what was installed for this project before.",
        "remove": "Remove what was installed for this project, and nothing else.",
        "print": "Show what would be installed and where (default); write nothing.",
        "as": "systemd, cron, launchd or windows; by default what this machine has.",
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

    It cleans by the configured limits, or by --strategy; high_water applies to both.
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

    _run(run)


@task(
    auto_shortflags=False,
    help={
        "max-size": 'At most that many bytes of scratch, such as "20GiB".',
        "min-free": "At least that many bytes free on its filesystem.",
        "max-entries": "At most that many entries.",
        "tracked": "Also fail if git tracks something in a .tmp or .temp; needs no limit.",
        "format": "table (default) or json.",
        "all-projects": "All projects of the monorepo together, not only this one.",
    },
)
def temp_check(
    c: Context,
    max_size: str | None = None,
    min_free: str | None = None,
    max_entries: str | None = None,
    tracked: bool = False,
    format: str = "table",  # noqa: A002
    all_projects: bool = False,
) -> None:
    """Say whether scratch is within a budget, and if not, which entries are the largest.

    Changes nothing. Without a limit, the configured max_total_size and min_free_space count. Ends
    with 0 (within it), 1 (not all could be read, or git tracks some), 2 (no limit) or 4 (over it).
    """
    from .commands.check import CheckArguments, check

    given = CheckArguments(max_size, min_free, max_entries, tracked, format, all_projects)
    _run(lambda: check(given))


@task(
    auto_shortflags=False,
    help={
        "temp-age-hours": "Only scratch whose newest change is older; artefacts go at any age.",
        "dry-run": "Say what would go and why; write nothing.",
        "include-unsure": "Where git cannot tell, also artefacts that may be hand-written.",
    },
)
def clean(
    c: Context,
    temp_age_hours: str | None = None,
    dry_run: bool = False,
    include_unsure: bool = False,
) -> None:
    """Clean this project's build artefacts and scratch; never what git tracks.

    Scratch is cleaned as a bare temp-clean would, the older .temp included, without a question.
    Without git, only artefacts that a tool certainly made go, and the others are listed.
    """
    from .commands.artefacts import clean_artefacts

    _run(
        lambda: clean_artefacts(
            temp_age_hours=temp_age_hours,
            dry_run=dry_run or bool(c.config.run.dry),
            include_unsure=include_unsure,
        )
    )


@task(
    auto_shortflags=False,
    klass=WithPaths,
    iterable=["paths"],
    help={
        "paths": "Files and directories, after the task's name; by default the working directory.",
        "diff": "Show what would be rewritten and what is left (default); write nothing.",
        "check": "List it, without the diff; ends with 1 if there is anything.",
        "write": "Rewrite; refuses where git could not bring back what was there.",
        "unsafe": "Also rewrite what may behave differently afterwards.",
        "select": "Only these rules: TK001,TK004; TK1 means all that start with TK1.",
        "ignore": "All rules but these.",
        "format": "text (default), json, sarif or github.",
        "allow-dirty": "Write into a tree with uncommitted changes, or outside version control.",
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
    explain: str | None = None,
) -> None:
    """Rewrite code that makes temporary directories by hand, where that is provably safe.

    Ends with 0 (nothing to do, or all written), 1 (something is left), 2 (bad argument) or 3 (files
    that cannot be read, or refused). A line with `# tempkeep: keep TK004 <reason>` stays.
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
        )
        return migrate(arguments)

    _run(run)


@task(
    auto_shortflags=False,
    klass=WithNames,
    help={"directory": "The copy is `temp` in it; or itself, if it is called temp or tempkeep."},
)
def vendor(c: Context, directory: str) -> None:
    """Copy this package into one of yours, or update the copy there.

    Says what the copy needs. Ends with 3 if somebody changed the copy, or if something else is
    there.
    """

    def run() -> int:
        from .vendor import vendor

        return vendor(directory, dry_run=bool(c.config.run.dry))

    _run(run)


ns = Collection(
    *(temp_status, temp_clean, temp_explain, temp_pin, temp_unpin, temp_restore),
    *(temp_adopt, temp_check, temp_migrate, temp_schedule, clean),
)
