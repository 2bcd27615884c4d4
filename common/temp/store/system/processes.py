"""Finding which processes use files below a directory, from `/proc` where it exists."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

from ...core.entry import Use
from ...core.layouts import OWNERS, STORE
from . import at, environments, procfs
from .command_lines import Words, modules_in
from .detached_mounts import Detached
from .kernel_files import held_by_kernel
from .letter_case import as_listed, respelled
from .makers import Makers
from .mount_views import ESCAPED_NEWLINE, View, Views
from .mounts import unescape
from .procfs import spell_command
from .sockets import Sockets

ASKING: Final = ("-c", "tempkeep.asks=1")
"""The first options of a `git` that this program starts only to query an entry."""

_ASKING: Final = [os.fsencode(word) for word in ASKING]

_READS_ONLY: Final = os.O_APPEND | getattr(os, "O_ACCMODE", 3)

_LOOKS: Final = at.ANY_FLAGS & ~getattr(os, "O_CLOEXEC", 0)

_LOOKS_AT_ONE: Final = 3
"""How often to look again at a descriptor that is another file each time, before it counts."""

_MOST_WORDS: Final = 1 << 17
"""How many words of a command line are searched for paths: with so many, the kernel allows only
about sixteen bytes each."""

MADE_IN: Final = "//"
"""Ends the key of a directory in which a process makes entries: no path ends with it."""

_MADE_IN: Final = MADE_IN.encode()
_WORKS: Final = "works in it"
_RUNS: Final = "runs a program in it"

_STORE: Final = f"/{STORE}/".encode()
_OWNERS: Final = f"{STORE}/{OWNERS}".encode()
_LOST: Final = b" (deleted)"
_RING: Final = b"anon_inode:[io_uring]"
_REGISTERED: Final = b"\nUserFiles:"


def processes_inside(root: Path) -> dict[str, Use]:
    """The paths below `root`, relative to it, that processes of this user use, each with the user.

    A process uses its working directory, its root directory, its open files, directories and
    sockets, its mapped files, the program and the virtual environment that it runs, and the paths
    on its command line. These count too if it reaches them through a bind mount, even one that has
    since been unmounted, or in another mount namespace. Part of an entry that is bind-mounted
    elsewhere, backs a loop device or is used for swap is in use without any process. Without
    `/proc`, nothing is found. Files that this process itself has open are `mine`; the directories
    that this program opens to look at entries do not count.
    """
    # The command line of a command of this program names entries to clean, that of a service paths
    # that it uses.
    return processes_around(root, (), own_words="invoke" not in sys.modules, makers=True)[0]


def processes_around(
    root: Path, bystanders: Collection[str], *, own_words: bool = False, makers: bool = False
) -> tuple[dict[str, Use], dict[str, Use]]:
    """The result of `processes_inside`, and the same without the processes `bystanders`.

    The second also has the key "" if a process works in `root` itself. The paths on the command
    line of this process count only with `own_words`. With `makers`, the first also has the
    directories in which processes may make entries, each followed by `MADE_IN`.
    """
    if not os.path.isdir("/proc/self/fd"):
        return {}, {}
    spell = as_listed(str(root))
    look = _Look(root, folds=spell is not str, own_words=own_words)
    look.at_mounts()
    look.at_kernel()
    own = str(os.getpid())
    others = [pid for pid in procfs.pids() if pid != own]
    for pid in others:
        if pid not in bystanders:
            look.at(pid)
    needed = respelled({**look.found, **look.at_top}, spell)
    for pid in others:
        if pid in bystanders:
            look.at(pid)
    look.at(own)  # last: other processes take precedence
    look.at_sockets()
    made_in = look.makers.found.items() if makers else ()
    return respelled({**look.found, **{at + _MADE_IN: use for at, use in made_in}}, spell), needed


class _Look:
    """One look at all processes."""

    def __init__(self, root: Path, *, folds: bool, own_words: bool) -> None:
        self.found: dict[bytes, Use] = {}
        self.at_top: dict[bytes, Use] = {}
        self._root = os.fsencode(root)
        self._own_words = own_words
        self._views = Views(str(root), folds=folds)
        self._detached = Detached(os.fsencode(os.path.realpath(root)))
        self._views_of_us = self._views.of("self")
        self._sockets = Sockets(self._views)
        self._placed: dict[tuple[int, bytes], tuple[bytes, ...]] = {}
        self._named = Words(self._views)
        self._told: dict[tuple[int, bytes, tuple[bytes, ...]], list[environments.Told]] = {}
        self.makers = Makers(self._views.followed)
        self._is_own = False
        self._pid = self._thread = ""
        self._views_here: tuple[View, ...] = ()
        self._places: tuple[bytes, ...] = ()
        self._words: list[bytes] = []

    def at(self, pid: str) -> None:
        """Record what process `pid` uses below the root."""
        self._pid, self._is_own = pid, pid == str(os.getpid())
        self._thread, *others = procfs.threads_of(pid)
        if procfs.lacks(f"/proc/{self._thread}/exe"):
            return  # a kernel thread, of which there are dozens, or a process that has ended
        self._words = procfs.command_of(self._thread)
        if self._asks() or procfs.is_helper(pid):
            return
        for other in others:
            self._take_in_thread(other)
        cwd = self._take_in_thread(self._thread)
        self._take_in_link("exe", _RUNS)
        program, start, *said = procfs.environment_of(
            self._thread, b"_", b"PWD", *environments.NAMES
        )
        # Relative paths refer to the directory in which it was started, which it may have left.
        bases = [cwd or b"/", start] if start.startswith(b"/") and start != cwd else [cwd or b"/"]
        self._take_in_words(bases)
        self._take_in_variables(bases, tuple(said))
        if self._words and os.path.basename(program) == self._words[0]:  # else it is inherited
            for base in bases:
                self._take_in_named(os.path.join(base, program), base, is_program=True)
        if self._is_own:
            self._take_in(os.fsencode(os.path.realpath(sys.prefix)), _RUNS)
        self._take_in_open(cwd)
        self._take_in_mapped()

    def _asks(self) -> bool:
        """Whether it is a `git` that this program has started to query an entry."""
        if self._words[1 : len(_ASKING) + 1] != _ASKING:
            return False
        return os.path.basename(self._words[0]) == b"git"

    def _use_views(self, views: tuple[View, ...]) -> None:
        self._views_here, self._places = views, tuple(view.place for view in views)

    def _take_in_thread(self, thread: str) -> bytes:
        """Record what one thread uses, and return its working directory.

        A thread may have a working directory and a mount namespace of its own (`unshare`).
        """
        self._thread = thread
        views, mounted = self._views.seen_by(thread)
        self._use_views(views)
        for view in self._views_here:
            if view.inner:  # in another namespace; those in ours are recorded already
                clause = f"has it mounted at {os.fsdecode(view.place)}"
                self._take_in(view.place, clause, whole=True)
        for point in mounted:
            self._record(point, "has another filesystem mounted in it")
        self._take_in_link("root", _WORKS)
        cwd = self._take_in_link("cwd", _WORKS)
        if cwd and any(view.relative(cwd + b"/.") == b"." for view in self._views_here):
            self.at_top.setdefault(b"", Use("process", self._who("works in its directory")))
        return cwd

    def at_mounts(self) -> None:
        """Record bind mounts of parts of the directory in this mount namespace, whether or not a
        process uses them.
        """
        for view in self._views_of_us:
            if view.inner:
                place = os.fsdecode(view.place)
                who = f"it is mounted at {place} as well"
                self.found.setdefault(view.inner, Use("process", who, whole=True))

    def at_kernel(self) -> None:
        """Record the files that the kernel itself has open."""
        for relative, who in held_by_kernel(self._views, self._detached):
            self.found.setdefault(relative, Use("process", who))

    def at_sockets(self) -> None:
        """Record all sockets bound below the root, even without a known process: one that is not
        dumpable hides its open files.
        """
        self._thread = "self"
        self._use_views(self._views_of_us)
        bound = [path for path in self._sockets.bound("self").values() if path[:1] == b"/"]
        paths = (*bound, *self._sockets.astray())
        for relative in (place for path in paths for place in self._places_of(path)):
            with contextlib.suppress(OSError):
                mode = os.lstat(os.path.join(self._root, relative)).st_mode
                if relative not in self.found and (stat.S_ISSOCK(mode) or stat.S_ISLNK(mode)):
                    who = "a process that has a socket in it open"
                    self.found[relative] = Use("process", who)

    def _take_in(
        self, path: bytes, clause: str, *, mine: bool = False, whole: bool = False
    ) -> bool:
        """Record `path`, as the process sees it, if it is below the root; return whether it is."""
        for view in self._views_here:
            relative = view.relative(path)
            if relative is not None:
                self._record(relative, clause, mine=mine, whole=whole)
                return True
        return False

    def _record(
        self, relative: bytes, clause: str, *, mine: bool = False, whole: bool = False
    ) -> None:
        if mine and _STORE in b"/%s/" % relative:
            return  # this program's own files: the owner file of a root inside an entry
        known = self.found.get(relative)
        if known is None or (known.mine and not mine) or (whole and not known.whole):
            self.found[relative] = Use("process", self._who(clause), mine=mine, whole=whole)

    def _who(self, clause: str) -> str:
        words = [os.fsdecode(word) for word in self._words]
        return f"pid {self._pid} ({spell_command(words)}) {clause}"

    def _take_in_link(self, name: str, clause: str) -> bytes:
        try:
            path = procfs.place_of(f"/proc/{self._thread}/{name}")
        except OSError as error:
            procfs.check_seen(error)
            return b""
        if not self._take_in(path, clause):
            self._take_in_detached(name, path, clause)
        return path

    def _take_in_detached(self, link: str, path: bytes, clause: str, *, mine: bool = False) -> None:
        """Record `path`, the target of `link`, if it begins at a mount that is gone."""
        if not self._detached.begins_nowhere(path) or not self._views.shares_mounts(self._thread):
            return
        places = self._detached.places_of(path)
        with contextlib.suppress(OSError):
            # Without a candidate, the file may be on a dead server: do not touch it.
            found = os.stat(f"/proc/{self._thread}/{link}") if places else None
            for place in places:
                if found and os.path.samestat(found, os.lstat(os.path.join(self._root, place))):
                    self._record(place, clause, mine=mine)

    def _take_in_words(self, bases: list[bytes]) -> None:
        """Record the paths on the command line, which need not be open: an interpreter closes its
        script once it is read, a server may open files only on request, and a process that waits
        to open a FIFO has nothing open yet. Options may come before a script.
        """
        words = self._words[: 2 if self._is_own and not self._own_words else _MOST_WORDS]
        is_ours = self._views_here is self._views_of_us
        for base in bases:
            is_here = base.startswith(self._places)
            named = self._named.paths(words, base, bases, is_here=is_here, is_ours=is_ours)
            for index, path in named:
                self._take_in_named(path, base, is_program=index < 2)
            for path in modules_in(words) if is_here else ():
                self._take_in_named(os.path.join(base, path), base, is_program=True)

    def _take_in_named(self, path: bytes, base: bytes, *, is_program: bool) -> None:
        """Record `path` from the command line, or if it does not exist, its nearest existing parent
        (where it may be created) unless that is `base` itself: any word could be such a name.
        """
        places = self._places_of(path)
        if not places:
            return
        tops = {b"", *self._places_of(base)} if base.startswith(self._places) else {b""}
        for relative in places:
            inner = relative
            while inner == relative or inner not in tops:
                try:
                    mode = os.lstat(os.path.join(self._root, inner)).st_mode
                except PermissionError:
                    break
                except OSError:  # it does not exist yet, or never can
                    inner = inner.rpartition(b"/")[0]
                    continue
                mine = self._is_own and not is_program
                if inner == relative and not stat.S_ISDIR(mode):
                    clause = _RUNS if is_program else "was started with a file in it"
                    self._record(inner, clause, mine=mine)
                elif mine or not self._is_own:
                    self._record(inner, "was started with a directory in it", mine=mine)
                break

    def _places_of(self, path: bytes) -> tuple[bytes, ...]:
        """`path`, the path that it resolves to and each symlink in between, relative to the root;
        paths outside the root are left out.
        """
        known = id(self._views_here), path  # many processes name the same paths
        if known not in self._placed:
            ways = [os.path.normpath(path)]
            if self._views_here is self._views_of_us:  # else its symlinks are in another namespace
                ways += self._views.followed(path)
            self._placed[known] = tuple(filter(None, map(self._relative, dict.fromkeys(ways))))
        return self._placed[known]

    def _relative(self, path: bytes) -> bytes | None:
        return next(filter(None, (view.relative(path) for view in self._views_here)), None)

    def _take_in_variables(self, bases: list[bytes], values: tuple[bytes, ...]) -> None:
        for base in bases:
            known = id(self._views_here), base, values  # most processes have the same values
            if known not in self._told:
                found = environments.told_by(values, base, self._root, self._places_of)
                self._told[known] = list(found)
            for relative, clause, whole in self._told[known]:
                self._record(relative, clause, whole=whole)
        views, is_ours = self._views_here, self._views_here is self._views_of_us
        self.makers.take_in(self._pid, self._who, bases, values, views, is_ours=is_ours)

    def _take_in_open(self, cwd: bytes) -> None:
        for name, path in procfs.open_files(self._thread):
            if path.startswith(self._places):
                with contextlib.suppress(OSError):
                    self._take_in_file(name, path)
            elif path.startswith(b"/"):
                self._take_in_detached(f"fd/{name}", path, _WORKS, mine=self._is_own)
            elif path.startswith(b"socket:["):
                inode = path[len(b"socket:[") : -1]
                bound = self._sockets.path_of(self._thread, inode, cwd)
                for relative in self._places_of(bound) if bound is not None else ():
                    self._record(relative, "has a socket in it", mine=self._is_own)
            elif path == _RING:
                with contextlib.suppress(OSError):
                    self._take_in_registered(name)

    def _take_in_file(self, name: str, path: bytes) -> None:
        link = f"/proc/{self._thread}/fd/{name}"
        for _ in range(_LOOKS_AT_ONE):
            said = self._told_of(name)
            is_directory = stat.S_ISDIR(os.stat(link).st_mode)
            seen, path = path, procfs.place_of(link)
            if path == seen:
                break  # else it was closed meanwhile, and its number reused for another file
            if not path.startswith(self._places):
                return
        if path.endswith(_LOST) and not is_directory:
            self._take_in_lost(link, path)
        flags = int(said.partition(b"flags:")[2].split()[0], 8) if b"flags:" in said else 0
        if flags & _READS_ONLY == os.O_APPEND and (is_directory or not _LOOKS & ~flags):
            return  # see `at.O_LOOK`
        clause = "has a directory in it open" if is_directory else _WORKS
        self._take_in(path, clause, mine=self._is_own)

    def _take_in_lost(self, link: str, path: bytes) -> None:
        """Record the paths held by an owner file that was unlinked (by a cleaner of old files or
        `git clean`) while its process, or a fork of that, still has it open.
        """
        inside = self._relative(path) or b""
        if inside.rpartition(b"/")[0] != _OWNERS or not stat.S_ISREG(os.stat(link).st_mode):
            return
        from .unlinked_owner_files import LARGEST, held_by  # rarely needed

        for record in held_by(procfs.read(link, LARGEST)):
            self._record(record, "has made or holds it")

    def _take_in_registered(self, name: str) -> None:
        """Record the files that a process registered with an io_uring and then closed."""
        for line in self._told_of(name).partition(_REGISTERED)[2].split(b"\n"):
            number, _, path = line.partition(b": ")
            if number.strip().isdigit() and path.startswith(b"/"):
                self._take_in(unescape(path), _WORKS, mine=self._is_own)

    def _told_of(self, name: str) -> bytes:
        return procfs.read(f"/proc/{self._thread}/fdinfo/{name}")

    def _take_in_mapped(self) -> None:
        try:
            table = procfs.read(f"/proc/{self._thread}/maps")
        except OSError:
            return
        for view in self._views_here:
            sought = b" " + view.place.replace(b"\n", ESCAPED_NEWLINE)
            start = table.find(sought)
            while start >= 0:
                end = table.find(b"\n", start)
                path = table[start + 1 : end].replace(ESCAPED_NEWLINE, b"\n")
                # This process's own libraries survive without their files; shared data would not.
                if not self._is_own or _is_shared(table, start):
                    self._take_in(path, "has a file in it mapped", mine=self._is_own)
                start = table.find(sought, end)


def _is_shared(table: bytes, start: int) -> bool:
    """Whether the line around `start` in a table of mapped files is of a shared mapping."""
    line = table[table.rfind(b"\n", 0, start) + 1 : start]
    return line.split(None, 2)[1][3:4] == b"s"
