"""The tasks for one entry: explain, pin, unpin and restore it; `tasks` offers them with others."""

from __future__ import annotations

from typing import Any

import invoke.program
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from .ending import run_command
from .invoke_arguments import WithNames

_ENTRY = "The entry: a path, a name, or a label such as cache/thumbs for the newest that has it."


@task(klass=WithNames, help={"path": _ENTRY})
def temp_explain(c: Context, path: str) -> None:
    """Explain why an entry stays or would be cleaned, rule by rule, and what changes that."""
    from .commands.entries import explain_entry

    run_command(lambda: explain_entry(path))


@task(
    klass=WithNames,
    help={
        "path": _ENTRY,
        "reason": "Why to keep it; shown wherever the entry is listed.",
    },
)
def temp_pin(c: Context, path: str, reason: str) -> None:
    """Keep an entry, whatever the policy says, until it is unpinned."""
    from .commands.entries import pin_entry

    run_command(lambda: pin_entry(path, reason, dry_run=bool(c.config.run.dry)))


@task(
    klass=WithNames,
    help={"path": "The entry: a path, a name, or a label of which only one entry is pinned."},
)
def temp_unpin(c: Context, path: str) -> None:
    """Remove the pin from an entry, so that it can be cleaned again."""
    from .commands.entries import unpin_entry

    run_command(lambda: unpin_entry(path, dry_run=bool(c.config.run.dry)))


@task(
    klass=WithNames,
    help={
        "name": "What to restore: a name from the list, the original path, or a label: the newest.",
        "list": "List what is in the archive and what can be undone.",
    },
)
def temp_restore(c: Context, name: str, list: bool = False) -> None:  # noqa: A002
    """Restore an entry that was archived or set aside, or list them; never overwrites anything.

    A restored entry counts as new. Exits with 3, and moves nothing, if something is in its place or
    if it has changed since it was cleaned.
    """
    from .commands.restore import list_archived, restore_archived

    if list:
        run_command(list_archived)
    else:
        run_command(lambda: restore_archived(name, dry_run=bool(c.config.run.dry)))


def _complete(*arguments: Any, **named: Any) -> Exit:
    from .completion import complete  # which only a shell asks for

    return complete(*arguments, **named)


invoke.program.complete = _complete  # type: ignore[attr-defined]
