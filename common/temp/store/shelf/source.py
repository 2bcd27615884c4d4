"""Reading an entry in place, to move or copy it elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ...core.layouts import PIPELINE, Layout, read_name
from ...core.plan import Step
from ...errors import StorageError
from ..project.project import open_root
from ..root.carried_facts import carried_by
from ..settings.recorded_layout import layout_of
from ..system import at
from ..system.archive_formats import ArchiveFormat
from ..system.at import DIRECTORY_FLAGS
from ..system.process_identity import boot, uptime
from ..system.procfs import spell_command
from ..trees.contents import Digest, Item, tree
from .manifest import Manifest

_LONGEST_PATH: Final = 3500
"""The longest path inside an entry (bytes): below any root it must fit into 4096 bytes."""


class Source:
    """The entry of `step` in `root`, read in place.

    `first` is the item of the entry itself, as last read.
    """

    def __init__(self, root: Path, step: Step) -> None:
        self.root = root
        self.step = step
        self.path = step.entry.path
        self.first = Item("", "other")
        self.only: Callable[[str], bool] | None = None
        """A filter for the paths in it that are read; `None` for all."""
        self.left_out: dict[str, None] = {}
        """The sockets that `portable` left out when it last ran."""

    def opened(self) -> contextlib.AbstractContextManager[tuple[int, str]]:
        """A descriptor of the directory that the entry is in, and the entry's name there."""
        return opened_parent(self.root, self.path)

    def is_gone(self) -> bool:
        """Whether nothing exists at its path any more."""
        return not os.path.lexists(self.root / self.path)

    def items(self, *, contents: bool = True) -> Iterator[Item]:
        """The items of the entry; see `tree`."""
        with self.opened() as (parent, name):
            for item in tree(parent, name, contents=contents, only=self.only):
                if not item.path:
                    self.first = item
                yield item

    def portable(self) -> Iterator[Item]:
        """The items of the entry without sockets, which are useless without their process.

        Raises `OSError` if an item cannot be written elsewhere.
        """
        self.left_out = {}
        for item in self.items():
            is_name_of_one = item.kind == "link" and item.target in self.left_out
            if is_name_of_one or (item.is_socket and item.path):
                self.left_out[item.path] = None
                continue
            if item.kind == "other":
                raise StorageError(0, in_no_archive(item.path))
            if len(os.fsencode(item.path)) > _LONGEST_PATH:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            yield item

    def layout(self) -> Layout:
        """The layout of its root."""
        entry = self.step.entry
        is_run = entry.category == PIPELINE.category and "/" not in entry.path
        return layout_of(self.root, is_scratch=not is_run)

    def manifest(
        self,
        found: Digest,
        *,
        identifier: str,
        form: ArchiveFormat,
        root: str,
        now: float,
        has_contents: bool,
        undo_for: float | None = None,
    ) -> Manifest:
        """The manifest of the entry with the digest `found`, archived at the time `now`.

        `root` is the path of the root to store in it.
        """
        entry = self.step.entry
        label, stamp = read_name(entry.name)
        host = f" on {os.uname().nodename}" if hasattr(os, "uname") else ""
        return Manifest(
            id=identifier,
            format=form,
            root=root,
            path=entry.path,
            category=entry.category,
            label=entry.label or label,
            stamp=entry.stamp if entry.stamp is not None else stamp,
            layout=self.layout().name,
            made_by=entry.made_by,
            archived_at=now,
            archived_by=f"pid {os.getpid()} ({spell_command(sys.orig_argv)}){host}",
            reasons=(str(self.step.reason),),
            changed_ns=self.first.mtime_ns,
            mode=self.first.mode,
            files=found.files,
            directories=found.directories,
            size=found.size,
            digest=found.hexdigest,
            has_contents=has_contents,
            undo_for=undo_for,
            left_out=tuple(self.left_out) if has_contents else (),
            carried=carried_by(self.root, entry),
            boot=boot(),
            up=uptime(),
        )


def in_no_archive(path: str) -> str:
    """Why `path` prevents its entry from being archived, and what to do."""
    what = "is a device" if path else "is a socket or a device"
    return f"{path or 'it'} {what}, which no archive can hold; remove it"


@contextlib.contextmanager
def opened_parent(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the directory of the entry at `path`, opened without following symlinks, and
    the entry's name there.
    """
    category, _, name = path.rpartition("/")
    top = open_root(root)
    try:
        parent = at.open(category or ".", DIRECTORY_FLAGS, dir_fd=top)
        try:
            yield parent, name
        finally:
            at.close(parent)
    finally:
        at.close(top)
