"""Which owner files a process may have in a root."""

from __future__ import annotations

from typing import Final

from ...core.named_tuple import NamedTuple


class Book(NamedTuple):
    """Identifies one of the owner files that a process has in a root.

    That without any of these is for all that it makes. Those of a `run` are of one run of tests:
    what is noted there is to be gone when its process ends, unless it was `kept`, which says why.
    What is `handed` on is held for other processes; of several such books it tells which. One with
    a `purpose` is none of these (see `BORROWED`, `TRACKED` and `FAILED`).
    """

    run: str = ""
    kept: str = ""
    handed: str = ""
    purpose: str = ""


PLAIN: Final = Book()
BORROWED: Final = Book(purpose="borrowed")
"""For what the process uses but did not make: it is in use, and nobody's to recover."""

TRACKED: Final = Book(purpose="tracked")
"""For the paths that a `FileCleanupManager` tracks, which may lie deep in an entry."""

FAILED: Final = Book(purpose="failed")
"""For what the process made and could not delete: in use by nobody, and to be recovered."""

OWN: Final = (PLAIN, BORROWED, TRACKED)
"""The books whose entries count as in use by the process itself."""

HELD_ON: Final = Book(handed="by a process that was forked")
"""For what was live in the parent of a forked process that has another child itself."""
