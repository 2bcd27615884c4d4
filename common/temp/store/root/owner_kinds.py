"""The different owner files that a process may have in a root."""

from __future__ import annotations

from typing import Final

from ...core.named_tuple import NamedTuple


class Book(NamedTuple):
    """Identifies one of the owner files that a process has in a root.

    The book with no field set is for everything that the process makes. A book with a `run` is for
    one run of tests: its entries should be gone when the process ends, unless they were `kept`,
    which says why. A book with `handed` holds entries for other processes, and says which. A book
    with a `purpose` is for something else (see `BORROWED`, `TRACKED` and `FAILED`).
    """

    run: str = ""
    kept: str = ""
    handed: str = ""
    purpose: str = ""


PLAIN: Final = Book()
BORROWED: Final = Book(purpose="borrowed")
"""For what the process uses but did not make: it is in use, and is not recovered."""

TRACKED: Final = Book(purpose="tracked")
"""For the paths that a `FileCleanupManager` tracks, which may be deep in an entry."""

FAILED: Final = Book(purpose="failed")
"""For what the process made and could not delete: it is not in use, and is recovered."""

OWN: Final = (PLAIN, BORROWED, TRACKED)
"""The books whose entries count as in use by the process itself."""

HELD_ON: Final = Book(handed="by a process that was forked")
"""For entries that were live in the parent of a forked process that has forked a child itself."""
