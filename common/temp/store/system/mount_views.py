"""The paths under which processes see a directory: its own path, and those of bind mounts.

A process in another mount namespace (a container on the same kernel) has paths of its own. The
mount table of each namespace says which part of which filesystem is mounted where, so a path there
can be mapped to a directory here.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from ...core.named_tuple import NamedTuple
from .letter_case import folded
from .mounts import rows, unescape
from .procfs import looking_into, open_now, read
from .resolving import followed, is_remote

_DEVICE, _ROOT, _POINT = 2, 3, 4
"""The columns of a mount table that are used: see proc(5)."""

_LAYERS: Final = (b"lowerdir", b"upperdir", b"workdir", b"datadir")
_LEVELS: Final = 4
_MOST_BELOW: Final = 20_000

_PART: Final = rb"(?:[^:\\]|\\.)+"
"""The text between colons; a colon that is part of a name is escaped: `\\:`."""


_Table: TypeAlias = list[list[bytes]]


class View(NamedTuple):
    """The part `inner` of the directory, seen at the absolute path `place`; `folds` if its
    filesystem is case-insensitive.
    """

    place: bytes
    inner: bytes = b""
    folds: bool = False

    def relative(self, path: bytes) -> bytes | None:
        """`path` relative to the directory; `None` if it is not below `place`."""
        if self.folds:
            path = self._spelled(path)
        if not path.startswith(self.place):
            return None
        rest = path[len(self.place) :]
        if rest and not (rest.startswith(b"/") or self.place.endswith(b"/")):
            return None
        return b"/".join(part for part in (self.inner, rest.strip(b"/")) if part) or None

    def _spelled(self, path: bytes) -> bytes:
        """`path`, with its beginning respelled as `place` if they differ only in case."""
        parts = path.split(b"/")
        number = self.place.count(b"/") + 1
        begin = b"/".join(parts[:number])
        if folded(os.fsdecode(begin)) != folded(os.fsdecode(self.place)):
            return path
        return b"/".join((self.place, *parts[number:]))


class Views:
    """The views that processes have of one directory, by pid; `folds` if its filesystem is
    case-insensitive.
    """

    def __init__(self, directory: str, *, folds: bool = False) -> None:
        self._plain = View(
            os.fsencode(os.path.realpath(directory)).rstrip(b"/") or b"/", folds=folds
        )
        self.spelled = os.fsencode(os.path.abspath(directory)).rstrip(b"/") or b"/"
        """The absolute path as it was given, which may contain symlinks."""
        self._ours, self._top, self._table = _namespace("self"), _top("self"), _table("self")
        self._where: tuple[bytes, bytes] | None = None
        with contextlib.suppress(OSError, ValueError, StopIteration):
            self._where = _where(os.fsdecode(self._plain.place), self._table)
        self._unasked = self._remote_mounts()
        self._no_links: set[bytes] = set()
        self._above: dict[bytes, list[bytes]] | None = None
        self._known: dict[tuple[str, bytes], tuple[tuple[View, ...], tuple[bytes, ...]]] = {}

    def of(self, pid: str) -> tuple[View, ...]:
        """The views that the process has; only the directory's own path if no more is known."""
        return self.seen_by(pid)[0]

    def shares_mounts(self, pid: str) -> bool:
        """Whether the process is in the mount namespace of this one, so its paths mean the same."""
        return (_namespace(pid) or self._ours) == self._ours

    def seen_by(self, pid: str) -> tuple[tuple[View, ...], tuple[bytes, ...]]:
        """The views that the process has, and the mount points inside the directory, relative to
        it, that exist only in the process's mount namespace.

        Removing such a mount point unmounts the filesystem there, with everything in it.
        """
        namespace = _namespace(pid) or self._ours
        is_ours = namespace == self._ours
        # After a change of root, a process's table has only the mounts below its root.
        top = self._top if is_ours else _top(pid)
        known = namespace, top
        if known not in self._known:
            table = self._table if is_ours else _table(pid)
            found = self._read(table, top)
            mounted = () if is_ours else _mounted_in(found, table, top)
            # Also in another namespace: descriptors passed in from here keep their paths.
            found = (self._plain, *(view for view in found if view != self._plain))
            if self._plain.folds:
                found = tuple(view._replace(folds=True) for view in found)
            self._known[known] = found, mounted
        return self._known[known]

    def resolved(self, path: bytes) -> bytes:
        """The absolute `path`, as this process sees it, with its symlinks resolved; not those on a
        remote filesystem, which may hang, unless the directory itself is on it.
        """
        return self.followed(path)[-1]

    def followed(self, path: bytes) -> list[bytes]:
        """The symlinks in the absolute `path`, and last the path that `resolved` returns."""
        return followed(path, self._unasked, self._no_links)

    @property
    def place(self) -> bytes:
        """The real path of the directory."""
        return self._plain.place

    @property
    def device(self) -> int:
        """The kernel's device number of the directory's filesystem; -1 if unknown."""
        if self._where is None:
            return -1
        major, minor = self._where[0].split(b":")
        return int(major) << 20 | int(minor)

    def may_ask(self, path: bytes) -> bool:
        """Whether the absolute `path` is not on a remote filesystem, which may hang."""
        return not any((path + b"/").startswith(b"%s/" % at) for at in self._unasked)

    def leads_in(self, path: bytes) -> bool:
        """Whether the absolute `path` leads below the directory, or through a symlink in it."""
        return any(self._plain.relative(way) is not None for way in self.followed(path))

    def below(self) -> Iterator[tuple[bytes, int]]:
        """The paths and inodes of the files and directories in the directory, four levels down
        (into the subdirectories of an entry), upper levels first. Remote filesystems are left out,
        and very many files are cut off.
        """
        level, left = [self._plain.place], _MOST_BELOW
        for _ in range(_LEVELS):
            deeper: list[bytes] = []
            for above in filter(self.may_ask, level):
                with contextlib.suppress(OSError), looking_into(above) as items:
                    for path, item in itertools.islice(items, left):
                        left -= 1
                        yield path, item.inode()
                        if item.is_dir(follow_symlinks=False):
                            deeper.append(path)
            level = deeper

    def _remote_mounts(self) -> frozenset[bytes]:
        found = set()
        with contextlib.suppress(ValueError):
            for line in self._table:
                point = unescape(line[_POINT])
                is_around = point == self._plain.place or View(point).relative(self._plain.place)
                if is_remote(line[line.index(b"-") + 1]) and not is_around:
                    found.add(point)
        return frozenset(found)

    def _read(self, table: _Table, top: bytes) -> tuple[View, ...]:
        if self._where is None:
            return ()
        device, within = self._where
        found: list[View] = []
        with contextlib.suppress(ValueError):
            for line in table:
                found += self._layers(line, top)
                found += self._mirrored(line, top)
                if line[_DEVICE] != device:
                    continue
                root, point = unescape(line[_ROOT]), top + unescape(line[_POINT])
                below = View(root).relative(within)
                if below is not None or root == within:
                    place = b"/".join((point.rstrip(b"/"), below)) if below else point
                    found.append(View(place.rstrip(b"/") or b"/"))
                elif inner := View(within).relative(root):
                    found.append(View(point.rstrip(b"/"), inner))
        return tuple(found)

    def _layers(self, line: list[bytes], top: bytes) -> Iterator[View]:
        """Views of the parts of the directory that are layers of a mounted overlay."""
        kind, *_, options = line[line.index(b"-") + 1 :]
        if kind != b"overlay":
            return
        place = (top + unescape(line[_POINT])).rstrip(b"/")
        for name, _, said in (option.partition(b"=") for option in options.split(b",")):
            if name.rstrip(b"+") in _LAYERS:
                text = unescape(said)
                parts = (part.replace(b"\\", b"") for part in re.findall(_PART, text))
                for layer in {text, *parts}:
                    if not layer.startswith(b"/"):
                        yield from (View(place, inner) for inner in self._ending_in(layer))
                    elif inner := self._plain.relative(self.resolved(layer)):
                        yield View(place, inner)

    def _ending_in(self, layer: bytes) -> Iterator[bytes]:
        """Where in the directory a layer with a relative path may be: nothing tells what the path
        is relative to.
        """
        end = os.path.normpath(layer)
        while end.startswith(b"../"):
            end = end[3:]
        first, place = end.partition(b"/")[0], self._plain.place
        if first in (b".", b".."):
            return
        if self._above is None:
            self._above = {}
            for path, _ in self.below():
                above, _, name = path.rpartition(b"/")
                self._above.setdefault(name, []).append(above)
        tops = self._above.get(first, [])
        while place:
            place = place.rpartition(b"/")[0]
            tops = [*tops, place or b"/"]
        for path in (os.path.join(top, end) for top in tops):
            inner = self._plain.relative(path)
            if inner and self.may_ask(path) and os.path.isdir(path):
                yield inner

    def _mirrored(self, line: list[bytes], top: bytes) -> Iterator[View]:
        """Views of the directory through a FUSE mount that names the directory it mirrors (bindfs),
        or of an image file in it through the filesystem mounted from it (erofs).
        """
        kind, source, *_ = line[line.index(b"-") + 1 :]
        source = unescape(source)
        if not source.startswith(b"/") or source.startswith(b"/dev/"):
            return
        source, point = self.resolved(source), (top + unescape(line[_POINT])).rstrip(b"/")
        plain = self._plain.place
        if inner := self._plain.relative(source):
            yield View(point, inner)
        elif kind.partition(b".")[0] != b"fuse":
            return
        elif (below := View(source).relative(plain)) is not None or source == plain:
            yield View(b"/".join((point, below)) if below else point)
        elif (below := View(point).relative(plain)) is not None or point == plain:
            yield View(b"/".join((source, below)) if below else source)  # it is the mirror


def _where(directory: str, table: _Table) -> tuple[bytes, bytes]:
    """The device of `directory`, as in the mount table, and its path within that filesystem."""
    descriptor = open_now(directory, getattr(os, "O_PATH", os.O_RDONLY))
    try:
        lines = read(f"/proc/self/fdinfo/{descriptor}").splitlines()
        said = dict(line.split(b":", 1) for line in lines)
    finally:
        os.close(descriptor)
    mount = said[b"mnt_id"].strip() if b"mnt_id" in said else b""
    line = next(line for line in table if line[0] == mount)
    root, point = unescape(line[_ROOT]), unescape(line[_POINT])
    below = View(point).relative(os.fsencode(directory)) or b""
    return line[_DEVICE], b"/".join((root.rstrip(b"/"), below)).rstrip(b"/") or b"/"


def _table(pid: str) -> _Table:
    """The mount table of the process; empty if it cannot be read."""
    try:
        return rows(read(f"/proc/{pid}/mountinfo"))
    except OSError:
        return []


def _top(pid: str) -> bytes:
    """The root directory of the process, to which the paths in its mount table are relative."""
    try:
        return os.readlink(os.fsencode(f"/proc/{pid}/root")).rstrip(b"/")
    except OSError:
        return b""


def _mounted_in(views: tuple[View, ...], table: _Table, top: bytes) -> tuple[bytes, ...]:
    """The mount points of `table` inside the directory of the `views`, relative to it."""
    found: set[bytes] = set()
    with contextlib.suppress(ValueError):
        for line in table:
            point = top + unescape(line[_POINT])
            found |= {inner for view in views if (inner := view.relative(point))}
    return tuple(sorted(found))


def _namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


ESCAPED_NEWLINE: Final = b"\\012"
"""A newline in a name as `/proc/PID/maps` escapes it; it escapes nothing else."""
