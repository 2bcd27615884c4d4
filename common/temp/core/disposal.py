"""What happens to an entry that goes: a table with one row for each disposal.

A row has all that reports, commands and plans need to know of a disposal, so that nobody else asks
which one it is. How entries are disposed of is in `store/sweep/ways.py`; a row with a `flag` also
needs that argument in `tasks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from .named_tuple import NamedTuple

Disposal = Literal["delete", "trash", "archive", "undo", "drop", "forget"]
"""The key of a row, as it is written in JSON, plan files and the history."""


class Row(NamedTuple):
    """One disposal."""

    verb: str
    """As in "would delete"."""
    done: str
    """As in "deleted"."""
    flag: str = ""
    """The argument of `temp-clean` that asks for it."""
    nouns: tuple[str, str] = ("entry", "entries")
    """What one, and several, of the things that go are called."""
    from_archive: bool = False
    """Whether it deletes what an earlier clean archived or set aside, not an entry of the root."""
    in_archive: bool = False
    """Whether what it deletes is in the archive, which may be on another disk."""
    is_final: bool = False
    """Whether it frees space at once, and nothing can be restored."""
    needs_archive: bool = False
    """Whether it needs the place of the archive, and frees space if that is on another disk."""
    may_detach: bool = False
    """Whether it can be left to the background."""
    spares_abandoned: bool = True
    """Whether auto-cleanup entries of dead processes are deleted all the same."""
    held: str = ""
    """Where the bytes are that it does not free."""
    planned: str = ""
    """What a plan's total says about them. `{undo_for}` is how long they can be restored."""
    reported: str = ""
    """What a report's total says about them."""
    low_space: str = ""
    """What happens to them if the disk is low."""

    def frees_space(self, *, archives_move: bool) -> bool:
        """Whether it frees space; `archives_move` if the archive is on another disk."""
        return self.is_final or (self.needs_archive and archives_move)


DISPOSALS: Final[Mapping[Disposal, Row]] = {
    "delete": Row("delete", "deleted", is_final=True, may_detach=True),
    "undo": Row(
        "set aside",
        "set aside",
        flag="--undoable",
        spares_abandoned=False,
        held="to be undone",
        planned=", which can be undone and frees no space for {undo_for}",
        reported=" (temp-restore undoes it for {undo_for}; its space is free after that)",
        low_space="what can be undone goes with the next clean if the disk is still low",
    ),
    "trash": Row(
        "trash",
        "trashed",
        flag="--trash",
        held="in the trash",
        planned=", which frees no space until the trash is emptied",
        reported=" (what is in the trash takes space until that is emptied)",
    ),
    "archive": Row(
        "archive",
        "archived",
        flag="--strategy archive",
        needs_archive=True,
        held="in the archive",
        planned=" (what is archived on the same disk still takes space)",
        reported=" (what was archived on the same disk still takes space)",
    ),
    "drop": Row(
        "delete from the archive",
        "deleted from the archive",
        nouns=("archive", "archives"),
        from_archive=True,
        in_archive=True,
        is_final=True,
    ),
    "forget": Row(
        "delete for good",
        "deleted for good",
        nouns=("entry set aside before", "entries set aside before"),
        from_archive=True,
        is_final=True,
    ),
}
