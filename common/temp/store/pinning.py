"""Pins on disk: one small file for each pinned entry, beside the owner files."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from ..core.layout import PINS, SCRATCH, STORE, Layout, is_inside
from ..errors import StorageError
from .allocation import make_root
from .lease import check_store, is_gone

_SUFFIX: Final = ".json"


class _Pin(NamedTuple):
    file: Path
    path: str | None
    reason: str

    def holds(self, relative: str) -> bool:
        """Whether the pin is on the entry at `relative`, or on what lies above or below it.

        A stray file among the entries of a category of the user's own makes one entry of them
        all, which must not go while one of them is pinned.
        """
        if self.path is None:
            return self.file.name == _name(relative)
        return is_inside(self.path, relative) or is_inside(relative, self.path)


class Pins:
    """The pins of one root, as they were at the last `refresh`.

    Raises `StorageError`, or `Refused` where they lie behind a symlink.
    """

    def __init__(self, root: Path) -> None:
        check_store(root)
        self._directory = os.path.join(root, STORE, PINS)
        self._pins: tuple[_Pin, ...] = ()
        self.refresh()

    def refresh(self) -> None:
        """Read them again; what a file says of its place never changes, so only the new ones."""
        names = _names(self._directory)
        if names or self._pins:
            known = {pin.file.name: pin for pin in self._pins if pin.path is not None}
            self._pins = tuple(_read(self._directory, names, known))

    def of(self, relative: str) -> str | None:
        """The reason of the pin on the entry at `relative`; `None` if it has no pin."""
        return next((pin.reason for pin in self._pins if pin.holds(relative)), None)


def _names(directory: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(_SUFFIX))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError.of(f"cannot read {directory}", error) from error


def _all(root: Path) -> Iterator[_Pin]:
    directory = os.path.join(root, STORE, PINS)
    return _read(directory, _names(directory), {})


def _read(directory: str, names: Iterable[str], known: Mapping[str, _Pin]) -> Iterator[_Pin]:
    for name in names:
        if name in known:
            yield known[name]
        else:
            file = Path(directory, name)
            try:
                said = json.loads(file.read_text(encoding="utf-8"))
                yield _Pin(file, str(said["path"]), str(said["reason"]))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError):
                # A pin all the same: what was to be kept is kept.
                yield _Pin(file, None, "the pin's reason cannot be read")


def any_pin(root: Path) -> tuple[str, str] | None:
    """An entry of `root` that is pinned and still there, and why; `None` if there is none.

    One whose pin cannot be read counts: its path is "".
    """
    check_store(root)
    for pin in _all(root):
        if pin.path is None or not is_gone(os.path.join(root, pin.path)):
            return pin.path or "", pin.reason
    return None


def read_pin(root: Path, relative: str) -> str | None:
    """The reason of the pin on the entry at `relative`; `None` if it has no pin."""
    return Pins(root).of(relative)


def write_pin(root: Path, relative: str, reason: str, layout: Layout = SCRATCH) -> None:
    """Pin the entry at `relative`, in a root of that layout. The file appears whole or not at all.

    Raises `StorageError`, or `Refused` where it would lie behind a symlink.
    """
    check_store(root)
    path = root / STORE / PINS / _name(relative)
    fresh = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        make_root(str(root), layout)
        path.parent.mkdir(exist_ok=True)
        fresh.write_text(json.dumps({"path": relative, "reason": reason}), encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        if isinstance(error, StorageError):
            raise
        raise StorageError.of(f"cannot pin {root / relative}", error) from error


def remove_pin(root: Path, relative: str) -> bool:
    """Whether there was a pin on the entry at `relative`, which is now gone.

    Raises `StorageError`, or `Refused` where pins lie behind a symlink.
    """
    check_store(root)
    found = False
    for pin in _all(root):
        if pin.holds(relative):
            found = True
            try:
                pin.file.unlink(missing_ok=True)
            except OSError as error:
                raise StorageError.of(f"cannot unpin {root / relative}", error) from error
    return found


def forget_gone(root: Path) -> None:
    """Remove the pins of entries that no longer exist.

    An entry that another sweep holds claimed at this instant, only to put it back because it has
    just been pinned, loses its pin: the race that is accepted here.
    """
    for pin in _all(root):
        if pin.path is not None and is_gone(os.path.join(root, pin.path)):
            with contextlib.suppress(OSError):
                pin.file.unlink()


def _name(relative: str) -> str:
    from hashlib import blake2b  # which few commands need, and takes milliseconds

    # A digest, since a path of two names of 255 bytes does not fit into one.
    return f"{blake2b(os.fsencode(relative), digest_size=16).hexdigest()}{_SUFFIX}"
