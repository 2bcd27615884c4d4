"""What an archive can do, and the kinds of archives there are: a row of `KINDS` for each.

Nobody but the module of a kind knows how it stores. A new kind is a module with an `Archive` and a
`Deposit`, a row here, and its scheme in `SCHEMES` of the settings.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ...core.archive_limits import NO_LIMITS, ArchiveLimits
from ..root.settings import OBJECT_STORES, Settings, scheme_of

if TYPE_CHECKING:
    from ...core.entry import Entry, Leftover
    from ...core.plan import Outcome, Step
    from ..claiming.many import Remover
    from ..shelf.belongs import Place
    from ..shelf.listing import Archived
    from ..shelf.moving import Protection
    from ..system.archive_formats import ArchiveFormat
    from ..trees.contents import Item
    from ..trees.removed import Removed

Part = Callable[[int, str], Callable[[str], bool] | None]
"""Called with the open directory that an entry is in, and its name; tells which paths in the entry
are archived, or `None` if all of it is."""


class Deposit(Protocol):
    """One entry on its way into an archive. Close it after use: that takes back what was not kept.

    First `move`, which few kinds can; else `pack` and, once the entry is claimed, `publish`. Each
    step raises `NotDisposed` if it fails; the entry is then where it was.
    """

    @property
    @abstractmethod
    def where(self) -> str:
        """Where it is once it is there, for people."""

    @property
    @abstractmethod
    def state(self) -> str:
        """How the entry was right before it was packed; see `contents.state`."""

    @property
    @abstractmethod
    def left_out(self) -> tuple[str, ...]:
        """The sockets in it that were not packed."""

    @property
    @abstractmethod
    def packed_bytes(self) -> int | None:
        """How many bytes what was packed takes in the archive; `None` if it was moved."""

    @abstractmethod
    def pack(self) -> None:
        """Store a copy that does not count yet, read it back and compare it with the entry."""

    @property
    @abstractmethod
    def receipt(self) -> str:
        """By what `Archive.find` knows what was packed, once it is published."""

    @abstractmethod
    def publish(self) -> None:
        """Make what was packed count, by one step that nothing can cut in two, never over anything:
        in an object store, write the manifest if there is none of that name.
        """

    @abstractmethod
    def keep(self) -> None:
        """Keep it in the archive when this is closed."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open, and take back what was not kept."""

    def move(self) -> bool:
        """Move the entry there by one rename, and return whether that worked; if so, it is kept."""
        return False

    def check_moved(self, before: tuple[float, str], protection: Protection) -> None:
        """Put back what was moved, and raise `NotClaimed`, if it must not go; see `Move`."""
        return


class Archive(Protocol):
    """Where entries are archived. It may not exist yet.

    Whatever asks it raises `StorageError` (one line, with what to do) if it cannot be reached, and
    `Refused` if it cannot be trusted.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """Where it is, for people, and to know it again by."""

    @abstractmethod
    def is_at(self, location: str) -> bool:
        """Whether `location`, which anybody may have written, is that of this archive."""

    limits: ArchiveLimits = NO_LIMITS
    """What it keeps of what came from one root."""

    is_near: bool = True
    """Whether it is on this machine, or mounted here, so that to look at it costs nothing."""

    def check(self) -> None:
        """Raise `Refused` if it cannot be trusted."""
        return

    def check_usable(self) -> None:
        """Raise `InvalidSettings` if nothing can be archived there. Nothing is asked over a
        network.
        """
        return

    # -- put, list, get, drop ---------------------------------------------------------------------

    @abstractmethod
    def deposit(
        self, root: Path, step: Step, now: float, form: ArchiveFormat, part: Part | None = None
    ) -> Deposit:
        """Begin to archive the entry of `step` in `root`. `part` finds what of it is archived: a
        part is copied, never moved. Raises `InvalidSettings` for an unknown format.
        """

    @abstractmethod
    def listed(self, root: Path) -> list[Archived]:
        """What is archived, oldest first; `root` may lie in the directory of the archive."""

    @abstractmethod
    def contents(self, archived: Archived, *, contents: bool = True) -> Iterator[Item]:
        """The items of what was archived; for a directory, see `tree`. Raises `OSError` if it
        cannot be read, `Refused` if it is not a valid archive. Whoever reads it verifies it.
        """

    @abstractmethod
    def drop(self, archived: Archived, state: object = None) -> Removed:
        """Delete what was archived, and then its manifest. With what `state` told, this process has
        it locked, and it stays if it has changed since. Raises `NotClaimed`.
        """

    @abstractmethod
    def drop_all(
        self,
        steps: Iterable[Step],
        remover: Remover | None,
        objection: Callable[[Step], str],
        *,
        spare_in_use: bool,
    ) -> Iterator[Outcome]:
        """Delete what `steps` name, one after the other, unless it is pinned or there is an
        `objection` at that time. Yields each outcome. Without a `remover`, nothing is waited for.
        """

    def droppable(self, root: Path, *, proven: bool = False) -> list[Entry]:
        """What may be deleted there if it is over a limit, or the disk is low: the entries that
        came from `root`, measured, each with its name in the archive as `path`. If they must be
        `proven`, only those with a manifest.
        """
        return []

    # -- whole in one place -----------------------------------------------------------------------

    @abstractmethod
    def receipt(self, archived: Archived) -> str:
        """By what `find` knows it again."""

    @abstractmethod
    def find(self, receipt: str, root: Path) -> Archived | None:
        """What that receipt was made for, if it is there, whole and the same.

        Anybody may have written the receipt. Raises `Unreadable` if it is none, and `StorageError`
        if that is unknown.
        """

    @abstractmethod
    def tidy(self, remover: Remover) -> tuple[int, Removed]:
        """Finish what killed processes left there: how many things, and what that freed."""

    def leftovers(self) -> list[Leftover]:
        """What `tidy` would finish, as far as it lies on this machine."""
        return []

    # -- what only a directory can do -------------------------------------------------------------

    def locked(self, archived: Archived) -> AbstractContextManager[None]:
        """Keep other processes from deleting or restoring it meanwhile."""
        return nullcontext()

    def move(self, archived: Archived, place: Place) -> bool:
        """Move it to its place by one rename, and return whether that worked."""
        return False

    def state(self, archived: Archived) -> object:
        """How it is now, to tell whether it changes. Raises `Refused` if a process works in it."""
        return None

    def shares_disk(self, root: Path) -> bool:
        """Whether it is on the disk of `root`, so that archiving frees nothing there."""
        return False


def _local(settings: Settings, runs: Path | None) -> Archive:
    from .local import LocalArchive

    path = settings.archive_path(runs)
    assert path is not None, "a location without a scheme is a path"
    return LocalArchive(path, settings.archive_limits)


def _objects(settings: Settings, runs: Path | None) -> Archive:
    from .objects import object_archive

    return object_archive(settings)


KINDS: Final[Mapping[str, Callable[[Settings, Path | None], Archive]]] = {
    "": _local,
    **dict.fromkeys(OBJECT_STORES, _objects),
}
"""What makes the archive for `archive_of`, by the scheme of its location; a path has none."""


def archive_of(settings: Settings, runs: Path | None = None) -> Archive:
    """The archive that the settings name. If they name none, the project has one, and so has
    `runs`, a root of runs of a pipeline.
    """
    return KINDS[scheme_of(settings.archive_location or "")](settings, runs)


def archive_beside(runs: Path) -> Archive:
    """The archive that `runs` of a pipeline have if no setting names another."""
    return archive_of(Settings(runs), runs)
