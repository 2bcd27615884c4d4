"""Finds symlinks that will dangle: they are in entries that stay, and lead into entries that go."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...core.entry import Entry, Problem
from ...core.layouts import is_inside
from ..system.opening import opened_in
from ..trees.links import links_in


def dangling(root: Path, entries: Iterable[Entry], going: Iterable[str]) -> Iterator[Problem]:
    """A problem for each pair of one of the `entries` and a path in `going` that a symlink in it
    leads to.

    Targets are not resolved through other symlinks.
    """
    gone = frozenset(going)
    spellings = (str(root), os.path.realpath(root))
    for entry in entries if gone else ():
        if entry.path in gone:
            continue
        told = set()
        for where, target in _links(root, entry):
            above = os.path.dirname(f"{entry.path}/{where}" if where else entry.path)
            leads = _entry_at(spellings, above, target, gone)
            if leads and leads not in told:
                told.add(leads)
                name = f"its link {where}" if where else "it is a link that"
                yield Problem(entry.path, f"{name} leads into {leads}, which goes", False)


def _links(root: Path, entry: Entry) -> Iterator[tuple[str, str]]:
    if entry.kind == "symlink":
        with contextlib.suppress(OSError):
            yield "", os.readlink(root / entry.path)
    elif entry.kind == "directory":
        with contextlib.suppress(OSError), opened_in(root, *entry.path.split("/")) as directory:
            yield from links_in(directory)


def _entry_at(spellings: Iterable[str], above: str, target: str, entries: frozenset[str]) -> str:
    """The one of `entries` that contains the `target` of a symlink in the directory `above`, or "".

    `above` is relative to the root, which has these `spellings`.
    """
    for root in spellings:
        path = os.path.normpath(os.path.join(root, above, target))
        if path != root and is_inside(path, root):
            top, _, rest = path[len(root) + 1 :].partition("/")
            for relative in (top, f"{top}/{rest.partition('/')[0]}"):
                if relative in entries:
                    return relative
    return ""
