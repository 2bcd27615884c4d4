"""Under which paths a process sees a directory: its own, and those that bind mounts give it.

A process in another mount namespace (a container on the same kernel) has paths of its own. The
table of mounts of each namespace says which part of which filesystem is mounted where, so that a
path there can be told to lie in a directory here.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from ...core.named_tuple import NamedTuple
from .letters import folded
from .mounts import rows, unescape
from .procfs import looking_into, open_now, read
from .resolving import followed, is_remote

_DEVICE, _ROOT, _POINT = 2, 3, 4
"""The columns of a table of mounts that count: see proc(5)."""

_LAYERS: Final = (b"lowerdir", b"upperdir", b"workdir", b"datadir")
_LEVELS: Final = 4
_MOST_BELOW: Final = 20_000

_PART: Final = rb"(?:[^:\\]|\\.)+"
"""What is between colons, but for those that belong to a name: `\\:`."""


_Table: TypeAlias = list[list[bytes]]


class View(NamedTuple):
    """`inner`, a path relative to the directory, is seen at the absolute path `place`; its
    filesystem `folds` the case of letters.
    """

    place: bytes
    inner: bytes = b""
    folds: bool = False

    def relative(self, path: bytes) -> bytes | None:
        """Where `path` lies in the directory; `None` if it does not lie below `place`."""
        if self.folds:
            path = self._spelled(path)
        if not path.startswith(self.place):
            return None
        rest = path[len(self.place) :]
        if rest and not (rest.startswith(b"/") or self.place.endswith(b"/")):
            return None
        return b"/".join(part for part in (self.inner, rest.strip(b"/")) if part) or None

    def _spelled(self, path: bytes) -> bytes:
        """`path` with `place` as it is spelled here, if it begins so in other letters."""
        parts = path.split(b"/")
        number = self.place.count(b"/") + 1
        begin = b"/".join(parts[:number])
        if folded(os.fsdecode(begin)) != folded(os.fsdecode(self.place)):
            return path
        return b"/".join((self.place, *parts[number:]))


class Views:
    """The views that processes have of one directory, asked for by their ids; its filesystem
    `folds` the case of letters.
    """

    def __init__(self, directory: str, *, folds: bool = False) -> None:
        self._plain = View(
            os.fsencode(os.path.realpath(directory)).rstrip(b"/") or b"/", folds=folds
        )
        self.spelled = os.fsencode(os.path.abspath(directory)).rstrip(b"/") or b"/"
        """The path by which it was asked for, which may be a link."""
        self._ours, self._top, self._table = _namespace("self"), _top("self"), _table("self")
        self._where: tuple[bytes, bytes] | None = None
        with contextlib.suppress(OSError, ValueError, StopIteration):
            self._where = _where(os.fsdecode(self._plain.place), self._table)
        self._unasked = self._remote_mounts()
        self._no_links: set[bytes] = set()
        self._above: dict[bytes, list[bytes]] | None = None
        self._known: dict[tuple[str, bytes], tuple[tuple[View, ...], tuple[bytes, ...]]] = {}

    def of(self, pid: str) -> tuple[View, ...]:
        """The views that the process has; the plain one alone where nothing more can be told."""
        return self.seen_by(pid)[0]

    def shares_mounts(self, pid: str) -> bool:
        """Whether the process sees the same mounts as this one, so that its paths mean the same."""
        return (_namespace(pid) or self._ours) == self._ours

    def seen_by(self, pid: str) -> tuple[tuple[View, ...], tuple[bytes, ...]]:
        """The views that the process has, and where in the directory it alone sees another
        filesystem, by paths relative to it: not what this process sees mounted, too.

        To remove such a place takes the filesystem away there, with all that is in it.
        """
        namespace = _namespace(pid) or self._ours
        is_ours = namespace == self._ours
        # The table of a process that had its root changed has only what lies below that.
        top = self._top if is_ours else _top(pid)
        known = namespace, top
        if known not in self._known:
            table = self._table if is_ours else _table(pid)
            found = self._read(table, top)
            mounted = () if is_ours else _mounted_in(found, table, top)
            # Also in another namespace: files that were handed in from here keep their paths.
            found = (self._plain, *(view for view in found if view != self._plain))
            if self._plain.folds:
                found = tuple(view._replace(folds=True) for view in found)
            self._known[known] = found, mounted
        return self._known[known]

    def resolved(self, path: bytes) -> bytes:
        """The absolute `path`, as this process sees it, with its links followed; not on another
        machine's filesystem, which may not answer, unless the directory itself lies there.
        """
        return self.followed(path)[-1]

    def followed(self, path: bytes) -> list[bytes]:
        """The links on the way of the absolute `path`, and then where it leads as `resolved`."""
        return followed(path, self._unasked, self._no_links)

    @property
    def place(self) -> bytes:
        """The real path of the directory."""
        return self._plain.place

    @property
    def device(self) -> int:
        """The filesystem of the directory, as the kernel numbers it; -1 if unknown."""
        if self._where is None:
            return -1
        major, minor = self._where[0].split(b":")
        return int(major) << 20 | int(minor)

    def may_ask(self, path: bytes) -> bool:
        """Whether the absolute `path` is not on another machine's filesystem."""
        return not any((path + b"/").startswith(b"%s/" % at) for at in self._unasked)

    def leads_in(self, path: bytes) -> bool:
        """Whether the absolute `path` leads below the directory, or by a link that lies there."""
        return any(self._plain.relative(way) is not None for way in self.followed(path))

    def below(self) -> Iterator[tuple[bytes, int]]:
        """The paths and inodes of what lies in the directory, as far down as in the directories of
        an entry, upper ones first; not on another machine's filesystem, and of very much only a
        part.
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
        """The parts of the directory that are layers of a mounted overlay."""
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
        """Where in the directory a layer may lie that was given by a relative path: nothing tells
        what it is relative to.
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
        """The directory as it is seen through a FUSE mount that names what it mirrors (bindfs), or
        a file in it as the filesystem that is mounted from it (erofs).
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
    """The filesystem of `directory` (as the table of mounts names it), and its path in there."""
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
    """The table of mounts that the process has; empty where it cannot be read."""
    try:
        return rows(read(f"/proc/{pid}/mountinfo"))
    except OSError:
        return []


def _top(pid: str) -> bytes:
    """Where the table of mounts begins: for a process that had its root changed, at that."""
    try:
        return os.readlink(os.fsencode(f"/proc/{pid}/root")).rstrip(b"/")
    except OSError:
        return b""


def _mounted_in(views: tuple[View, ...], table: _Table, top: bytes) -> tuple[bytes, ...]:
    """Where in the directory of the `views` the process with that table sees a mount point."""
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
"""How a newline in a name is written in `/proc/PID/maps`, where nothing else is."""
