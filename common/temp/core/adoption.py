"""Decides which flat entries move into a category, and why the others stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from .entry import Entry, Inventory, Problem
from .policy import Policy
from .reasons import Reason, Verdict
from .retention import judge


class Survey(NamedTuple):
    """The entries of `root` that would move, and those that stay at its top level, with reasons."""

    root: str
    moves: tuple[Entry, ...] = ()
    kept: tuple[Verdict, ...] = ()
    problems: tuple[Problem, ...] = ()


class Moved(NamedTuple):
    """The outcome for one flat entry; `path` is where it is now, relative to the root."""

    entry: Entry
    path: str
    status: Literal["done", "skipped", "failed"] = "done"
    detail: str = ""


def draft_adoption(
    inventory: Inventory, linked: Mapping[str, str], exclude: tuple[str, ...], now: float
) -> Survey:
    """What an adoption would do with the entries at the top level of a root.

    Directories named `<label>_<epoch>` move, unless they are protected from a clean. `linked` maps
    a path to the symlink that moving it would break; such a directory stays too.
    """
    flat = [entry for entry in inventory.entries if "/" not in entry.path]
    moves: list[Entry] = []
    kept: list[Verdict] = []
    for verdict in judge(flat, Policy(max_age=0, exclude=exclude), now):
        reason = None if verdict.keep else _staying(verdict.entry, linked)
        if verdict.keep:
            kept.append(verdict)
        elif reason is not None:
            kept.append(Verdict(verdict.entry, True, (reason,)))
        else:
            moves.append(verdict.entry)
    return Survey(inventory.root, tuple(moves), tuple(kept), inventory.problems)


def _staying(entry: Entry, linked: Mapping[str, str]) -> Reason | None:
    if entry.kind != "directory":
        return Reason("not a directory", "stays", "only directories move")
    if entry.stamp is None:
        return Reason("no stamp", "stays", "a program may rely on its path")
    if entry.path in linked:
        return Reason("linked", "stays", linked[entry.path])
    return None
