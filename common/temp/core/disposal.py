"""The ways to dispose of an entry that goes: a table with one row for each.

A row has everything that reports, commands and plans need to know about a disposal, so that they
need not test which one it is. `store/sweep/ways.py` carries the disposals out; a row with a `flag`
also needs that argument in `tasks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from .named_tuple import NamedTuple

Disposal = Literal["delete", "trash", "archive", "undo", "drop", "forget"]
"""The key of a row, as written in JSON, plan files and the history."""


class Row(NamedTuple):
    """One disposal."""

    verb: str
    """As in "would delete"."""
    done: str
    """As in "deleted"."""
    flag: str = ""
    """The argument of `temp-clean` that selects it."""
    nouns: tuple[str, str] = ("entry", "entries")
    """The singular and plural of what goes."""
    from_archive: bool = False
    """Whether it deletes what an earlier clean archived or set aside, not an entry of the root."""
    in_archive: bool = False
    """Whether it deletes from the archive, which may be on another disk."""
    is_final: bool = False
    """Whether it frees space at once and cannot be undone."""
    needs_archive: bool = False
    """Whether it needs the archive location, and frees space if that is on another disk."""
    may_detach: bool = False
    """Whether it can run in the background."""
    spares_abandoned: bool = True
    """Whether auto-cleanup entries of dead processes are deleted anyway."""
    held: str = ""
    """Where the bytes it does not free are."""
    planned: str = ""
    """The wording in a plan's total. `{undo_for}` is how long the entries can be restored."""
    reported: str = ""
    """The wording in a report's total."""
    low_space: str = ""
    """The wording if the disk is low."""

    def frees_space(self, *, archives_move: bool) -> bool:
        """Whether it frees space; `archives_move` means that the archive is on another disk."""
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
        low_space="the next clean deletes what can be undone if the disk is still low",
    ),
    "trash": Row(
        "trash",
        "trashed",
        flag="--trash",
        held="in the trash",
        planned=", which frees no space until the trash is emptied",
        reported=" (the trash takes space until it is emptied)",
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
