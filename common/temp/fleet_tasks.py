"""The task on what many hosts report, which `tasks` collects."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from . import choices
from .ending import run_command
from .invoke_arguments import WithPaths


@task(
    klass=WithPaths,
    iterable=["paths"],
    help={
        "paths": "What `temp-status --format json` printed on each host, after the task name.",
        "merge": "Merge these files.",
        "format": f"{choices.default_first(choices.REPORT_FORMATS)}.",
        "expect": "Hosts that have to be among them, as a,b, or @FILE with one in each line.",
        "stale": "How old a report may be, for example 2d.",
        "output": "Write to this file; an html page needs no other file.",
    },
)
def temp_report(
    c: Context,
    paths: list[str],
    merge: bool = False,
    format: str = "table",  # noqa: A002
    expect: str | None = None,
    stale: str | None = None,
    output: str | None = None,
) -> None:
    """Merge what many hosts report: hosts and projects, what is reclaimable, what has failed.

    Changes nothing. Exits with 1 if a host is missing, stale or reports a failure, or a file cannot
    be read.
    """
    from .commands.collecting import collector_at_rest

    def run() -> int:
        from .commands import fleet

        given = fleet.ReportArguments(paths, merge, format, expect, stale, output)
        return fleet.merge(given)

    with collector_at_rest():
        run_command(run)
