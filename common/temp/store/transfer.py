"""An entry on its way into an archive or back, which a kill at any instant leaves in one place.

It lies in a directory of its own in the root's holding area, beside a file that says where it came
from and where it goes. Other than what lies there else, it is not to be deleted before somebody has
looked how far it was: into an archive, whether it has arrived; back, whether it has left.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ..core.layout import BATCH, TRANSFER
from ..errors import reason_of
from . import at
from .archive import drop, is_archived, list_archive
from .claim import NO_ROOM, Claim, Held, HoldingArea, NotClaimed
from .walk import DIRECTORY_FLAGS

_INTENT: Final = "intent.json"


class Intent(NamedTuple):
    """What is being done: the entry at `path` of a root goes to, or comes from, what is called
    `name` in the directory `archive` and has that `id` there. What goes there is packed already, as
    that `inode`.
    """

    way: Literal["to archive", "from archive"]
    path: str
    archive: str
    name: str
    id: str
    inode: int = 0


def begin(area: HoldingArea, intent: Intent) -> bool:
    """Whether the batch `area` is from now on one of a transfer; not on a full disk.

    What comes back from an archive is whole in there by now. Raises `OSError` or `NotClaimed`.
    """
    directory = area.open()
    if directory is None:
        return False
    path = os.path.join(area.place, _INTENT)
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(intent._asdict(), file)
            file.flush()
            os.fsync(file.fileno())
        area.call_it(TRANSFER)
        if at.RELATIVE:
            os.fsync(directory)
    except OSError as error:
        _forget(area)
        if error.errno in NO_ROOM:
            return False
        raise
    return True


def end(area: HoldingArea, claim: Claim | None = None) -> None:
    """Have what lies in there deleted by whoever comes by: it is whole elsewhere.

    A `claim` that was made into `area` is still one.
    """
    area.call_it(BATCH)
    if claim is not None:
        claim.batch = area.batch
        claim.holding = area.open() or claim.holding
    _forget(area)


def cancel(area: HoldingArea) -> None:
    """Have the transfer forgotten, if its entry is back in its place."""
    directory = area.open()
    if directory is not None and at.listdir(directory) == [_INTENT]:
        _forget(area)


def _forget(area: HoldingArea) -> None:
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(area.place, _INTENT))


def settle(held: Held) -> str:
    """Finish what a killed process left half-done; "" if what lies there can be deleted now.

    Otherwise why it has to stay.
    """
    try:
        directory = at.open(held.held, DIRECTORY_FLAGS, dir_fd=held.holding)
    except OSError as error:
        return reason_of(error)
    try:
        names = [name for name in at.listdir(directory) if name != _INTENT]
        intent = _read(held)
        if intent is None:
            return "nothing says where it belongs; move it away" if names else ""
        if intent.way == "to archive":
            return _give_back(held, directory, names, intent)
        return "" if names else _drop(held.root, intent)
    except OSError as error:
        return f"cannot tell whether it is in the archive: {reason_of(error)}"
    finally:
        at.close(directory)


def _read(held: Held) -> Intent | None:
    try:
        with open(os.path.join(held.place, _INTENT), encoding="utf-8") as file:
            said = json.load(file)
        return Intent(**{key: said[key] for key in Intent._fields})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _give_back(held: Held, directory: int, names: list[str], intent: Intent) -> str:
    """Put it back, unless it has arrived in the archive."""
    if is_archived(Path(intent.archive), intent.name, intent.id, intent.inode):
        return ""
    for name in names:
        with contextlib.closing(HoldingArea(held.root)) as area:
            claim = Claim(area, intent.path, area.top, contextlib.ExitStack())
            claim.directory = None  # found by its name
            claim.holding, claim.held = directory, name
            elsewhere = claim.put_back()
        with contextlib.suppress(FileNotFoundError):
            at.stat(name, dir_fd=directory, follow_symlinks=False)
            return elsewhere.removeprefix("; ")
    return ""


def _drop(root: Path, intent: Intent) -> str:
    """Delete from the archive what has come back from there."""
    archive = Path(intent.archive)
    for archived in list_archive(archive, root):
        if (archived.name, archived.id) == (intent.name, intent.id):
            try:
                removed = drop(archive, archived)
            except NotClaimed as reason:
                return f"{archive / archived.data}: {reason.detail}"
            for where, what in removed.failures:
                return f"{archive / archived.data}/{where}".rstrip("/") + f": {what}"
    return ""
