"""The values that a scan returns: entries, problems, leftovers and the inventory of a root."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from .links import Link
from .named_tuple import NamedTuple

CLOCK_SKEW: Final = 60.0
"""Seconds by which a network filesystem's clock may run ahead before a time counts as future."""


class Use(NamedTuple):
    """Why an entry counts as in use.

    `how` is the kind of evidence: a live owner, a lock on the directory, a process using it, or an
    owner that cannot be checked on this platform. `mine` means the calling process (for `process`,
    something it has open itself); `whole` means that the entire directory is needed. Of a directory
    in which a process makes entries, only those are in use that changed `since` (seconds since
    1970).
    """

    how: Literal["owner", "lock", "process", "unknown"]
    who: str
    mine: bool = False
    whole: bool = False
    since: float = 0.0


Ending = Literal["", "unknown", "running", "success", "failed", "died", "given up"]
"""How a run ended; "" for an entry of a face that does not record endings.

"died" is a run whose process ended before the run did; "unknown" means that there is no record.
"""

FAILED: Final[frozenset[Ending]] = frozenset({"failed", "died", "given up"})
"""The endings of runs that are not good ones."""


COMPANIONS: Final = ("-journal", "-wal", "-shm", ".wal")
"""The suffixes of the files in which SQLite, and for the last one DuckDB, keeps parts of a
database."""


class Entry(NamedTuple):
    """One entry: what is listed, kept or cleaned.

    - `path`: relative to the root, with `/` between its parts
    - `size`: bytes on disk; `links` are the files in it that also have names elsewhere
    - `inodes`: its files and directories; a file with several names counts once
    - `arrived`: when it was created, in seconds since 1970; 0 if that does not count
    - `changed`: the newest modification anywhere inside that is not in the future, found in
      `changed_in` (relative to the entry, "" for itself)
    - `seen`: the same as read from the disk: later than `changed` if a clean has touched the entry
    - `used`: when `cache_dir` or `hold` last gave it out, in seconds since 1970; 0 for never
    - `unreadable`: what could not be read
    - `future`: the latest time in the future, from a modification inside or its name; 0 for none
    - `unfinished`: a clean began to remove it, and could not finish
    - `mounted`: where another filesystem is mounted inside it
    - `ending`: how the run ended, if it is one
    - `work`: the version-controlled work that exists only in it
    - `partial`: the scan stopped early because it had seen enough to decide, so sizes, counts and
      `changed` are incomplete
    - `any_case`: its filesystem ignores case in names
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
        """The bytes that removing it alone would not free, as hard links elsewhere keep them."""
        return sum(link.size for link in self.links)

    @property
    def last(self) -> float:
        """The latest of its arrival, last change and last use: its age counts from then."""
        return max(self.arrived, self.changed, self.used)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def names(self) -> tuple[str, str, str, str]:
        """The texts that a glob for its name is matched against."""
        return self.name, self.label, self.path, listed(self.category, self.path)


def has_companions(entries: Iterable[Entry]) -> bool:
    """Whether one of them may be part of an SQLite database that is another entry."""
    return any(one.kind == "file" and one.path.endswith(COMPANIONS) for one in entries)


def database_of(path: str) -> str:
    """The path of the database to which the file at `path` belongs; `path` itself if to none."""
    if not path.endswith(COMPANIONS):
        return path  # as most
    return path.removesuffix(next(filter(path.endswith, COMPANIONS)))


def composed(text: str) -> str:
    """`text` with each letter and its accents as one character, as people type it; a Mac may write
    names that look the same in several.
    """
    if text.isascii():
        return text
    import unicodedata  # few names need it

    return unicodedata.normalize("NFC", text)


def listed(category: str, path: str) -> str:
    """The path of an entry with its category, even if the entry is in no category directory."""
    begin = f"{category}/"
    return path if path.startswith(begin) else f"{begin}{path}"


class Problem(NamedTuple):
    """Something a scan could not read or trust: `path` relative to the root, and one clause.

    `blocking` means that the scan is incomplete, and a command ends with exit code 1.
    """

    path: str
    what: str
    blocking: bool = True


class Leftover(NamedTuple):
    """A claim left in the holding area by a killed sweep, or still being freed by a running one.

    `entries` is the number of entries in it: more than one if they were moved aside together.
    """

    name: str
    being_freed: bool
    entries: int = 1


class Undoable(NamedTuple):
    """A cleaned entry that can still be restored by its `name`.

    It takes `size` bytes on disk until a clean after `until` (seconds since 1970) frees them,
    except for `links` that have names elsewhere. Without `until` it stays, since its end is not
    known. `goes` means that the next clean deletes it, because of its age or because the disk is
    low.
    """

    name: str
    size: int
    until: float | None
    links: tuple[Link, ...] = ()
    inodes: int = 0
    goes: bool = False


class Inventory(NamedTuple):
    """The result of scanning one root. `free` is the free bytes of its filesystem, if known, and
    `capacity` the used and free bytes together, without those reserved for the root user.
    """

    root: str
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    free: int | None = None
    capacity: int | None = None
    undoable: tuple[Undoable, ...] = ()
