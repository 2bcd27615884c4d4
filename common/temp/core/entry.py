"""What a scan saw, as values."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Use(NamedTuple):
    """Why an entry counts as in use.

    `how` is the kind of evidence: a live owner, a lock on the directory, a process that works
    inside, or an owner that this platform cannot check. `mine` tells the calling process's own.
    """

    how: Literal["owner", "lock", "process", "unknown"]
    who: str
    mine: bool = False


class Entry(NamedTuple):
    """One entry: what is listed, kept or cleaned.

    `path` is relative to the root, with `/` between its parts. Sizes are bytes: `size` is what
    the entry takes on disk, `shared` the part of it that removing would not free because a hard
    link outside the entry keeps it. `changed` is the newest modification anywhere inside, in
    seconds since 1970, found in `changed_in` (relative to the entry, "" for itself), and `used`
    when it was last given out by `cache_dir` or `hold` (0 if it never was).
    `unreadable` says what could not be looked at, `future` that a time in it has not come yet,
    `mounted` where another filesystem is mounted inside, `work` what version control has in it and
    nowhere else. Of a `partial` one not all was looked at,
    because what was seen decides: its sizes and counts are not all, nor is `changed` the newest.
    """

    path: str
    category: str
    label: str
    stamp: int | None = None
    kind: Literal["directory", "file", "symlink", "other"] = "directory"
    size: int = 0
    apparent: int = 0
    shared: int = 0
    files: int = 0
    directories: int = 0
    changed: float = 0.0
    changed_in: str = ""
    used: float = 0.0
    use: Use | None = None
    pin: str | None = None
    work: str | None = None
    made_by: str | None = None
    device: int = 0
    inode: int = 0
    unreadable: str | None = None
    future: bool = False
    mounted: str | None = None
    partial: bool = False

    @property
    def last(self) -> float:
        """When it last changed or was used, by which its age is told."""
        return max(self.changed, self.used)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class Problem(NamedTuple):
    """What a scan could not read or believe: `path` relative to the root, and one clause.

    `blocking` says that what was seen is incomplete, so that a command ends with exit code 1.
    """

    path: str
    what: str
    blocking: bool = True


class Leftover(NamedTuple):
    """What a killed sweep left claimed in the holding area, or a running one still frees.

    `entries` is how many entries it is: more than one for those that were moved aside together.
    """

    name: str
    being_freed: bool
    entries: int = 1


class Undoable(NamedTuple):
    """What was cleaned and can still be undone, by the name by which it is restored.

    It takes `size` bytes on disk until a clean that comes after `until` (seconds since 1970), which
    frees all of them but the `shared`; without that, nothing says when it goes, and it stays.
    `goes` says that the next clean deletes it, be it because the disk is low.
    """

    name: str
    size: int
    until: float | None
    shared: int = 0
    goes: bool = False


class Inventory(NamedTuple):
    """What one scan saw of one root. `free` is the free bytes of its filesystem, if known, and
    `capacity` those that are used or free: without the ones that are set aside for root.
    """

    root: str
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    free: int | None = None
    capacity: int | None = None
    undoable: tuple[Undoable, ...] = ()
