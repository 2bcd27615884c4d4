"""Pins on disk: one small record for each pinned entry, beside the owner files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ...core import fields
from ...core.entry import Problem
from ...core.fields import Unreadable
from ...core.layouts import PINS, SCRATCH, STORE, Layout, directories_above, is_inside
from ...errors import StorageError
from ..project.store_guard import Unchanged, check_store, folds_case, is_gone, wait_for
from ..system.letter_case import folded
from .records import (
    Record,
    read_records,
    record_name,
    record_names,
    remove_record,
    replace_record,
    write_record,
)

_UNREAD: Final = "the pin's reason cannot be read"
_LINKS: Final = "links"
_OWN: Final = "own"
"""A record has a reason, the reasons of pinned symlinks to the entry (by the paths of the
symlinks), and whether the entry itself is pinned."""


def _pins_on(
    root: Path, relative: str, pins: Sequence[Record], fold: Callable[[str], str] = str
) -> Iterator[Record]:
    """The `pins` on the entry at `relative`, or on a path above or below it.

    A stray file in a category that the user made turns the category into one entry. This must not
    be removed while something in it is pinned. An unreadable pin is matched by its file name.
    """
    names = _names_near(root, relative) if any(pin.path is None for pin in pins) else ()
    sought = fold(relative)
    for pin in pins:
        if pin.path is None:
            if pin.name in names:
                yield pin
        elif is_inside(path := fold(pin.path), sought) or is_inside(sought, path):
            yield pin


class Pins:
    """The pins of one root, as of the last `refresh`.

    Raises `StorageError`, or `Refused` if they are behind a symlink.
    """

    def __init__(self, root: Path) -> None:
        check_store(root)
        self._root = root
        self._is_same = Unchanged(root, os.path.join(root, STORE, PINS))
        self._fold = folded if folds_case(root) else str
        self._pins: tuple[Record, ...] = ()
        self._around: list[tuple[Pins, str]] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the new pins. Known ones are not read again: the path in a file never changes."""
        names = record_names(self._root, PINS)
        self._is_same.check()  # only after listing, which may have read a mount over the directory
        if names or self._pins:
            known = {pin.name: pin for pin in self._pins if pin.path is not None}
            new = read_records(self._root, PINS, [name for name in names if name not in known])
            found = known | {pin.name: pin for pin in new}
            self._pins = tuple(found[name] for name in names if name in found)

    def has_any(self) -> bool:
        """Whether there are pins here, or may be on the entry of another root around this one."""
        return bool(self._pins) or self._of_around() is not None or bool(self._around)

    def of(self, relative: str) -> str | None:
        """The reason of the pin on the entry at `relative`; `None` if it has no pin."""
        if self._pins:
            for pin in _pins_on(self._root, relative, self._pins, self._fold):
                return _reason(pin)
        return self._of_around()

    def _of_around(self) -> str | None:
        """The reason of a pin on an entry of another root that contains this root."""
        if self._around is None:
            from .containing_entry import entries_around  # it imports this module indirectly

            path = os.path.realpath(self._root)
            is_store = STORE in path.split(os.sep)
            around = () if is_store else entries_around(path)
            self._around = [
                (Pins(root), os.path.relpath(path, root).replace(os.sep, "/")) for root, _ in around
            ]
        for pins, here in self._around:
            pins.refresh()
            names = frozenset(map(record_name, (here, *directories_above(here))))
            for pin in pins._pins:
                if pin.path is None:
                    if pin.name in names:
                        return f"{_UNREAD} (in {pins._root})"
                elif is_inside(pins._fold(here), pins._fold(pin.path)):
                    return f"{_reason(pin)} (on {pins._root}/{pin.path})"
        return None

    def unclear(self, entries: Iterable[str]) -> Iterator[Problem]:
        """Problems for unreadable pins that, judging by their names, are on none of `entries`."""
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


def _all_pins(root: Path) -> Iterator[Record]:
    return read_records(root, PINS, record_names(root, PINS))


def _names_near(root: Path, relative: str) -> frozenset[str]:
    """The names of all pin files that protect the entry at `relative`: on it, above or below it."""
    parts = relative.split("/")
    paths = ["/".join(parts[: index + 1]) for index in range(len(parts))]
    if len(parts) == 1:  # pins are at most one level below a category
        with contextlib.suppress(OSError):
            paths += [f"{relative}/{name}" for name in os.listdir(root / relative)]
    return frozenset(map(record_name, paths))


def any_pin(root: Path) -> tuple[str, str] | None:
    """The path of an existing pinned entry of `root`, and the reason; `None` if there is none.

    An unreadable pin counts too: its path is "".
    """
    check_store(root)
    for pin in _all_pins(root):
        if pin.path is None or not is_gone(os.path.join(root, pin.path)):
            return pin.path or "", _reason(pin)
    return None


def read_pin(root: Path, relative: str) -> str | None:
    """The reason of the pin on the entry at `relative`; `None` if it has no pin."""
    return Pins(root).of(relative)


def write_pin(
    root: Path, relative: str, reason: str, layout: Layout = SCRATCH, through: str = ""
) -> None:
    """Pin the entry at `relative`, in a root of that layout; with `through`, only as long as the
    symlink at that path is pinned. The two kinds are independent. The write is atomic.

    Raises `StorageError`, or `Refused` if the pin would be behind a symlink.
    """
    check_store(root)
    own, links = _own_and_links(root, relative)
    if through:
        links[through] = reason
    else:
        own = reason
    try:
        write_record(root, PINS, relative, _content(own, links), layout)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError.of(f"cannot pin {root / relative}", error) from error


def _own_and_links(root: Path, relative: str) -> tuple[str | None, dict[str, str]]:
    """The reason of the pin on the entry itself, if any, and the reasons of symlinks to it."""
    for pin in read_records(root, PINS, [record_name(relative)]):
        links = pin.says.get(_LINKS, {})
        if not isinstance(links, dict) or not all(isinstance(one, str) for one in links.values()):
            links = {}
        is_own = pin.says.get(_OWN) is not False or not links
        return _reason(pin) if is_own else None, dict(links)
    return None, {}


def _content(own: str | None, links: Mapping[str, str]) -> dict[str, object]:
    """The content of the record of a pin; `reason` is the one to show."""
    if not links:
        return {"reason": own}
    reason = own if own is not None else next(iter(links.values()))
    return {"reason": reason, _OWN: own is not None, _LINKS: dict(links)}


def link_name(root: Path, relative: str) -> str:
    """The name of the pinned entry at `relative` in pins on the entries it leads to."""
    return os.path.join(os.path.realpath(root), relative)


def pin_there(
    root: Path, relative: str, reason: str, layout: Layout = SCRATCH, through: str = ""
) -> None:
    """Like `write_pin`, but the entry must exist. Raises `StorageError` if it is gone."""
    write_pin(root, relative, reason, layout, through)
    wait_for(root / relative)


def remove_pin(root: Path, relative: str, through: str = "") -> bool:
    """Remove the pin on the entry at `relative`, and return whether there was one. With `through`,
    remove only the pin for that symlink.

    A pin on the whole parent directory is replaced by pins on the other entries in it. Raises
    `StorageError`, or `Refused` if the pins are behind a symlink.
    """
    check_store(root)
    try:
        if through:
            return _remove_link(root, relative, through)
        found = list(_pins_on(root, relative, tuple(_all_pins(root))))
        for pin in found:
            above = relative.rpartition("/")[0]
            if above and pin.name == record_name(above):
                others = (f"{above}/{name}" for name in sorted(os.listdir(root / above)))
                for other in others:
                    if other != relative and _own_and_links(root, other)[0] is None:
                        write_pin(root, other, _reason(pin))
            remove_record(root, PINS, pin)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError.of(f"cannot unpin {root / relative}", error) from error
    return bool(found)


def _remove_link(root: Path, relative: str, through: str) -> bool:
    own, links = _own_and_links(root, relative)
    if links.pop(through, None) is None:
        return False
    if own is None and not links:
        for pin in read_records(root, PINS, [record_name(relative)]):
            remove_record(root, PINS, pin)
    else:
        replace_record(root, PINS, relative, _content(own, links))
    return True
