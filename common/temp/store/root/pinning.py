"""Pins on disk: one small record for each pinned entry, beside the owner files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from ...core import fields
from ...core.entry import Problem
from ...core.fields import Unreadable
from ...core.layout import PINS, SCRATCH, STORE, Layout, is_inside
from ...errors import StorageError
from .guard import Unchanged, check_store, folds_case, is_gone, wait_for
from .records import (
    Record,
    read_records,
    record_name,
    record_names,
    write_record,
)

_UNREAD: Final = "the pin's reason cannot be read"


def _on(
    root: Path, relative: str, pins: Sequence[Record], fold: Callable[[str], str] = str
) -> Iterator[Record]:
    """Those of `pins` on the entry at `relative`, or on a path above or below it.

    A stray file in a category that the user made turns the category into one entry. It must not go
    while something in it is pinned. An unreadable pin is matched by its file name.
    """
    names = _names_near(root, relative) if any(pin.path is None for pin in pins) else ()
    folded = fold(relative)
    for pin in pins:
        if pin.path is None:
            if pin.name in names:
                yield pin
        elif is_inside(path := fold(pin.path), folded) or is_inside(folded, path):
            yield pin


class Pins:
    """The pins of one root, as they were at the last `refresh`.

    Raises `StorageError`, or `Refused` where they lie behind a symlink.
    """

    def __init__(self, root: Path) -> None:
        check_store(root)
        self._root = root
        self._is_same = Unchanged(root, os.path.join(root, STORE, PINS))
        self._fold = str.casefold if folds_case(root) else str
        self._pins: tuple[Record, ...] = ()
        self._around: list[tuple[Pins, str]] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the new ones; the path in a file never changes."""
        names = record_names(self._root, PINS)
        self._is_same.check()  # only now: the listing may be of a mount over it
        if names or self._pins:
            known = {pin.name: pin for pin in self._pins if pin.path is not None}
            new = read_records(self._root, PINS, [name for name in names if name not in known])
            found = known | {pin.name: pin for pin in new}
            self._pins = tuple(found[name] for name in names if name in found)

    def of(self, relative: str) -> str | None:
        """The reason of the pin on the entry at `relative`; `None` if it has no pin."""
        found = _on(self._root, relative, self._pins, self._fold)
        return next((_reason(pin) for pin in found), None) or self._of_around()

    def _of_around(self) -> str | None:
        """The reason of a pin on an entry of another root, in which this one lies."""
        if self._around is None:
            from .around import entries_around  # it imports this module by what it needs

            path = os.path.realpath(self._root)
            is_store = STORE in path.split(os.sep)
            around = () if is_store else entries_around(path)
            self._around = [(Pins(root), entry) for root, entry in around]
        for pins, entry in self._around:
            pins.refresh()
            for pin in pins._pins:
                if pin.path is not None and is_inside(pins._fold(entry), pins._fold(pin.path)):
                    return f"{_reason(pin)} (on {pins._root}/{pin.path})"
        return None

    def unclear(self, entries: Iterable[str]) -> Iterator[Problem]:
        """Problems for unreadable pins that, by their names, are on none of `entries`."""
        unread = {pin.name: pin for pin in self._pins if pin.path is None}
        for relative in entries if unread else ():
            for name in _names_near(self._root, relative):
                unread.pop(name, None)
        for pin in unread.values():
            yield Problem(
                f"{STORE}/{PINS}/{pin.name}",
                f"is a pin on an unknown entry ({pin.problem}); remove it",
            )


def _reason(pin: Record) -> str:
    try:
        return fields.text(pin.says, "reason")
    except Unreadable:
        return _UNREAD


def _all(root: Path) -> Iterator[Record]:
    return read_records(root, PINS, record_names(root, PINS))


def _names_near(root: Path, relative: str) -> frozenset[str]:
    """The files of all pins that keep the entry at `relative`: on it, above it or below it."""
    parts = relative.split("/")
    paths = ["/".join(parts[: index + 1]) for index in range(len(parts))]
    if len(parts) == 1:  # pins are at most one level below a category
        with contextlib.suppress(OSError):
            paths += [f"{relative}/{name}" for name in os.listdir(root / relative)]
    return frozenset(map(record_name, paths))


def any_pin(root: Path) -> tuple[str, str] | None:
    """An existing pinned entry of `root`, and the reason; `None` if there is none.

    An unreadable pin counts too: its path is "".
    """
    check_store(root)
    for pin in _all(root):
        if pin.path is None or not is_gone(os.path.join(root, pin.path)):
            return pin.path or "", _reason(pin)
    return None


def read_pin(root: Path, relative: str) -> str | None:
    """The reason of the pin on the entry at `relative`; `None` if it has no pin."""
    return Pins(root).of(relative)


def write_pin(root: Path, relative: str, reason: str, layout: Layout = SCRATCH) -> None:
    """Pin the entry at `relative`, in a root of that layout. The file appears whole or not at all.

    Raises `StorageError`, or `Refused` if it would lie behind a symlink.
    """
    try:
        write_record(root, PINS, relative, {"reason": reason}, layout)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError.of(f"cannot pin {root / relative}", error) from error


def pin_there(root: Path, relative: str, reason: str, layout: Layout = SCRATCH) -> None:
    """As `write_pin`, for an entry that is in its place. Raises `StorageError` if it is gone."""
    write_pin(root, relative, reason, layout)
    wait_for(root / relative)


def remove_pin(root: Path, relative: str) -> bool:
    """Remove the pin on the entry at `relative`, and return whether there was one.

    Raises `StorageError`, or `Refused` where pins lie behind a symlink.
    """
    check_store(root)
    found = False
    for pin in _on(root, relative, tuple(_all(root))):
        found = True
        try:
            _file(root, pin).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError.of(f"cannot unpin {root / relative}", error) from error
    return found


def _file(root: Path, pin: Record) -> Path:
    return root / STORE / PINS / pin.name
