"""The interface of archives, and the kinds of archives, each with a row in `KINDS`.

Only the module of a kind knows how it stores entries. A new kind needs a module with an `Archive`
and a `Deposit`, a row here, and its scheme in `SCHEMES` of the settings.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ...core.archive_limits import NO_LIMITS, ArchiveLimits
from ..settings.settings import OBJECT_STORES, Settings, scheme_of

if TYPE_CHECKING:
    from ...core.entry import Entry, Leftover
    from ...core.plan import Outcome, Step
    from ..claiming.many_removals import Remover
    from ..shelf.belongs import Place
    from ..shelf.listing import Archived
    from ..shelf.moving import Protection
    from ..system.archive_formats import ArchiveFormat
    from ..trees.contents import Item
    from ..trees.removed import Removed

Part = Callable[[int, str], Callable[[str], bool] | None]
"""Called with the open parent directory of an entry, and its name; returns a function that tells
which paths in the entry are archived, or `None` if all of it is."""


class Deposit(Protocol):
    """One entry on its way into an archive. Close it after use: this removes what was not kept.

    First try `move`, which few kinds support; otherwise `pack` and, once the entry is claimed,
    `publish`. Each step raises `NotDisposed` if it fails; then the entry is still in its place.
    """

    @property
    @abstractmethod
    def where(self) -> str:
        """The location of the archived entry, for messages."""

    @property
    @abstractmethod
    def state(self) -> str:
        """The state of the entry right before it was packed; see `contents.state`."""

    @property
    @abstractmethod
    def left_out(self) -> tuple[str, ...]:
        """The sockets in it, which were not packed."""

    @property
    @abstractmethod
    def packed_bytes(self) -> int | None:
        """The bytes that the packed entry takes in the archive; `None` if it was moved."""

    @abstractmethod
    def pack(self) -> None:
        """Store an unpublished copy, read it back and compare it with the entry."""

    @property
    @abstractmethod
    def receipt(self) -> str:
        """The text by which `Archive.find` finds the packed entry, once it is published."""

    @abstractmethod
    def publish(self) -> None:
        """Publish the packed entry atomically, without overwriting anything: in an object store,
        write the manifest if there is none of that name.
        """

    @abstractmethod
    def keep(self) -> None:
        """Make `close` keep it in the archive."""

    @abstractmethod
    def close(self) -> None:
        """Close all descriptors, and remove what was not kept."""

    def move(self) -> bool:
        """Move the entry there by one rename, and return whether that worked; if so, it is kept."""
        return False

    def check_moved(self, before: tuple[float, str], protection: Protection) -> None:
        """Put the moved entry back and raise `NotClaimed` if it must not go; see `Move`."""
        return


class Archive(Protocol):
    """A place where entries are archived. It may not exist yet.

    Methods that access it raise `StorageError` (one line, with a remedy) if it cannot be reached,
    and `Refused` if it cannot be trusted.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """Its path or URL, for messages and to recognise it by."""

    @abstractmethod
    def is_at(self, location: str) -> bool:
        """Whether `location`, which is untrusted, is that of this archive."""

    limits: ArchiveLimits = NO_LIMITS
    """The limits for entries that came from one root."""

    is_near: bool = True
    """Whether it is on this machine, or mounted here, so that reading it costs nothing."""

    def check(self) -> None:
        """Raise `Refused` if it cannot be trusted."""
        return

    def check_usable(self) -> None:
        """Raise `InvalidSettings` if nothing can be archived there. Uses no network."""
        return

    # -- put, list, get, drop ---------------------------------------------------------------------

    @abstractmethod
    def deposit(
        self, root: Path, step: Step, now: float, form: ArchiveFormat, part: Part | None = None
    ) -> Deposit:
        """Begin to archive the entry of `step` in `root`. `part` finds the part of it to archive,
        which is copied, never moved. Raises `InvalidSettings` for an unknown format.
        """

    @abstractmethod
    def listed(self, root: Path) -> list[Archived]:
        """The archived entries, oldest first; `root` may be in the directory of the archive."""

    @abstractmethod
    def contents(self, archived: Archived, *, contents: bool = True) -> Iterator[Item]:
        """The items of the archived entry; for a directory, see `tree`. Raises `OSError` if it
        cannot be read, `Refused` if it is not a valid archive. The caller verifies the items.
        """

    @abstractmethod
    def drop(self, archived: Archived, state: object = None) -> Removed:
        """Delete the archived entry, and then its manifest. With the result of `state`, this
        process has it locked, and it stays if it has changed since. Raises `NotClaimed`.
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
        """Delete the entries of `steps` one by one, unless they are pinned or there is an
        `objection` at that time. Yields each outcome. Without a `remover`, does not wait for
        deletions.
        """

    def droppable(self, root: Path, *, proven: bool = False) -> list[Entry]:
        """The entries that may be deleted there if they exceed a limit, or the disk is low: those
        that came from `root`, measured, each with its name in the archive as `path`. If `proven`,
        only those with a manifest.
        """
        return []

    # -- whole in one place -----------------------------------------------------------------------

    @abstractmethod
    def receipt(self, archived: Archived) -> str:
        """The text by which `find` finds it again."""

    @abstractmethod
    def find(self, receipt: str, root: Path) -> Archived | None:
        """The archived entry of that receipt, if it is there, whole and unchanged.

        The receipt is untrusted. Raises `Unreadable` if it is not valid, and `StorageError` if the
        archive cannot be read.
        """

    @abstractmethod
    def tidy(self, remover: Remover) -> tuple[int, Removed]:
        """Finish the leftovers of killed processes there. Returns their number and the result."""

    def leftovers(self) -> list[Leftover]:
        """The leftovers for `tidy`, as far as they are on this machine."""
        return []

    # -- only for directories ---------------------------------------------------------------------

    def locked(self, archived: Archived) -> AbstractContextManager[None]:
        """Keep other processes from deleting or restoring it during the block."""
        return nullcontext()

    def move(self, archived: Archived, place: Place) -> bool:
        """Move it to its place by one rename, and return whether that worked."""
        return False

    def state(self, archived: Archived) -> object:
        """Its current state, to detect changes. Raises `Refused` if a process works in it."""
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
"""The functions that make an archive for `archive_of`, by URL scheme; a path has none."""


def archive_of(settings: Settings, runs: Path | None = None) -> Archive:
    """The archive that the settings name, or else the default one: that of the project or, if
    given, that of `runs`, a root of pipeline runs.
    """
    return KINDS[scheme_of(settings.archive_location or "")](settings, runs)


def archive_beside(runs: Path) -> Archive:
    """The default archive of the pipeline root `runs`."""
    return archive_of(Settings(runs), runs)
