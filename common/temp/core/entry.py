"""What a scan saw, as values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from .links import Link
from .named_tuple import NamedTuple

CLOCK_SKEW: Final = 60.0
"""Seconds by which a network filesystem's clock may run ahead before a time counts as future."""


class Use(NamedTuple):
    """Why an entry counts as in use.

    `how` is the kind of evidence: a live owner, a lock on the directory, a process that works
    inside, or an owner that this platform cannot check. `mine` means the calling process,
    of a process what it has open itself; `whole` that all of the directory is needed.
    """

    how: Literal["owner", "lock", "process", "unknown"]
    who: str
    mine: bool = False
    whole: bool = False


Ending = Literal["", "unknown", "running", "success", "failed", "died", "given up"]
"""How a run ended; "" for an entry of a face that does not know how things end.

"died" is a run without an end whose process was killed; "unknown" one of which nothing tells.
"""

FAILED: Final[frozenset[Ending]] = frozenset({"failed", "died", "given up"})
"""The endings that make no good run."""


COMPANIONS: Final = ("-journal", "-wal", "-shm", ".wal")
"""What the names of the files end with in which SQLite, and last DuckDB, keep a part of a
database."""


class Entry(NamedTuple):
    """One entry: what is listed, kept or cleaned.

    - `path`: relative to the root, with `/` between its parts
    - `size`: bytes on disk; `links` are the files in it that have names outside of it too
    - `inodes`: its files and directories, each file counted once whatever its names
    - `arrived`: when it came to be, in seconds since 1970; 0 where that does not count
    - `changed`: the newest modification anywhere inside that is not in the future, found in
      `changed_in` (relative to the entry, "" for itself)
    - `seen`: the same as the disk has it: later than `changed` where a clean has left its traces
    - `used`: when `cache_dir` or `hold` last gave it out, in seconds since 1970; 0 for never
    - `unreadable`: what could not be read
    - `future`: the latest time in the future, of a modification inside or in its name; 0 for none
    - `unfinished`: a clean began to remove it, and could not remove all of it
    - `mounted`: where another filesystem is mounted inside
    - `ending`: how the run ended, if it is one
    - `work`: what version control has in it and nowhere else
    - `partial`: the scan stopped early because what it saw decides, so sizes, counts and `changed`
      are incomplete
    - `any_case`: its filesystem ignores the case of letters in names
    """

    path: str
    category: str
    label: str
    stamp: int | None = None
    kind: Literal["directory", "file", "symlink", "other"] = "directory"
    size: int = 0
    apparent: int = 0
    links: tuple[Link, ...] = ()
    files: int = 0
    directories: int = 0
    inodes: int = 0
    arrived: float = 0.0
    changed: float = 0.0
    changed_in: str = ""
    seen: float = 0.0
    used: float = 0.0
    use: Use | None = None
    pin: str | None = None
    work: str | None = None
    ending: Ending = ""
    made_by: str | None = None
    device: int = 0
    inode: int = 0
    unreadable: str | None = None
    future: float = 0.0
    unfinished: bool = False
    mounted: str | None = None
    partial: bool = False
    any_case: bool = False

    @property
    def shared(self) -> int:
        """The bytes that removing it alone would not free, because links elsewhere keep them."""
        return sum(link.size for link in self.links)

    @property
    def last(self) -> float:
        """When it arrived, last changed or was last used: its age counts from then."""
        return max(self.arrived, self.changed, self.used)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def names(self) -> tuple[str, str, str, str]:
        """What a glob for its name may match."""
        return self.name, self.label, self.path, listed(self.category, self.path)


def has_companions(entries: Iterable[Entry]) -> bool:
    """Whether one of them may be a part of a database that is another one."""
    return any(one.kind == "file" and one.path.endswith(COMPANIONS) for one in entries)


def database_of(path: str) -> str:
    """The path of the database of which a part may be kept at `path`; `path` itself if none."""
    return path.removesuffix(next(filter(path.endswith, COMPANIONS), ""))


def listed(category: str, path: str) -> str:
    """The path of an entry with its category, also where it lies in no directory of that."""
    begin = f"{category}/"
    return path if path.startswith(begin) else f"{begin}{path}"


class Problem(NamedTuple):
    """What a scan could not read or believe: `path` relative to the root, and one clause.

    `blocking` means that the scan is incomplete, so that a command ends with exit code 1.
    """

    path: str
    what: str
    blocking: bool = True


class Leftover(NamedTuple):
    """What a killed sweep left claimed in the holding area, or a running one is still freeing.

    `entries` is the number of entries: more than one if they were moved aside together.
    """

    name: str
    being_freed: bool
    entries: int = 1


class Undoable(NamedTuple):
    """What was cleaned and can still be undone, with the name to restore it by.

    It takes `size` bytes on disk until a clean after `until` (seconds since 1970), which frees
    them, but for `links` that have names elsewhere. Without `until` it stays, since nothing says
    when it goes. `goes` means that the next clean deletes it, for its age or because the disk is
    low.
    """

    name: str
    size: int
    until: float | None
    links: tuple[Link, ...] = ()
    inodes: int = 0
    goes: bool = False


class Inventory(NamedTuple):
    """What one scan saw of one root. `free` is the free bytes of its filesystem, if known, and
    `capacity` the used and free bytes together, without those reserved for root.
    """

    root: str
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    free: int | None = None
    capacity: int | None = None
    undoable: tuple[Undoable, ...] = ()
