"""The notes of test runs in the owner files of a root."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.named_tuple import NamedTuple
from ..project.store_guard import is_gone
from .leases import Leases
from .owner_kinds import Book


class RunNotes(NamedTuple):
    """The notes of one process of a test run: paths of entries, and the time of the last note."""

    book: Book
    is_over: bool
    written: float
    entries: frozenset[str]


def made_in(test: str, leases: Leases) -> dict[str, str]:
    """The entries recorded by other processes that `test` started, with their processes."""
    return {
        path: journal.who
        for journal in leases.journals
        if journal.header.test == test and journal.header.pid != os.getpid()
        for path in journal.records
    }


def notes_of_runs(root: Path, leases: Leases) -> tuple[RunNotes, ...]:
    """The notes of test runs that still have entries in `root`."""
    return tuple(
        RunNotes(journal.header.book, journal.alive is not True, journal.written, entries)
        for journal in leases.journals
        if journal.header.book.run
        and (
            entries := frozenset(
                path for path in journal.records if not is_gone(os.path.join(root, path))
            )
        )
    )
