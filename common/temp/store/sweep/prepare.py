"""Makes the plan of a sweep: the entries to remove, and what is deleted before them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...core.archive_limits import archives_over
from ...core.cases import Disk
from ...core.disposal import DISPOSALS, Disposal
from ...core.entry import Entry, Inventory, Leftover, Problem
from ...core.layouts import SCRATCH, STORE, UNDO, Layout
from ...core.links import freed
from ...core.plan import ALL, Plan, Scope, draft
from ...core.policy import Policy, needed
from ...core.reasons import Reason
from ...core.retention import archives_to_drop, freed_anyway, judge, without_space_in_vain
from ...core.units import DAY
from ...errors import TempError
from ..root.linked_roots import check_link_of_project
from ..scanning.examining import Progress
from ..scanning.scan import scan

if TYPE_CHECKING:
    from ..archive.archives import Archive
    from ..shelf.undo import UndoArea


def prepare(
    root: Path,
    policy: Policy,
    now: float,
    *,
    layout: Layout = SCRATCH,
    disposal: Disposal = "delete",
    scope: Scope = ALL,
    archive: Archive | None = None,
    undo_for: float = DAY,
    sizes: bool = True,
    ask_far: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The plan of a sweep of `root`. Writes nothing. Raises `StorageError` or `Refused`.

    `layout` defines what an entry of `root` is. Set-aside entries whose undo time is over go first,
    and entries archived from `root` that exceed a limit of the `archive`. If the disk is low and
    the `scope` is all entries, the other set-aside entries go too, and then archived ones on the
    same disk. Entries that this sweep sets aside can be restored for `undo_for` seconds. Without
    `sizes`, entries that go regardless of their content are not measured, and symlinks that will
    dangle are not reported. Without `ask_far`, an archive reached over a network is not queried.
    `workers` is as in `scan`.
    """
    _check_archive(archive, disposal)
    check_link_of_project(root)
    inventory = scan(
        root,
        now,
        layout=layout,
        need=lambda category: needed(policy, category, now, sizes=sizes),
        progress=progress,
        workers=workers,
        foreign_for=policy.foreign_for,
    )
    whole = scope == ALL
    first = goes_first(
        inventory, policy, now, disposal=disposal, archive=archive, whole=whole, ask_far=ask_far
    )
    free, capacity = inventory.free, inventory.capacity
    verdicts = judge(
        inventory.entries, policy, now, free=free, capacity=capacity, coming=first.coming
    )
    if archives_in_vain(disposal, archive, root):
        verdicts = without_space_in_vain(verdicts)
    plan = draft(
        first.added_to(inventory),
        verdicts,
        policy,
        now,
        disposal=disposal,
        scope=scope,
        archives=first.archives,
        archives_move=_moves(archive, root),
        forgotten=first.forgotten,
        undo_for=undo_for,
    )
    return _looked_into(plan, inventory, links=sizes)


def _check_archive(archive: Archive | None, disposal: Disposal) -> None:
    if archive is not None:
        archive.check()
        if DISPOSALS[disposal].needs_archive:
            archive.check_usable()


def _looked_into(plan: Plan, inventory: Inventory, *, links: bool) -> Plan:
    """The plan, adjusted for files that are kept, and, if `links`, with a problem for each symlink
    that will dangle.
    """
    if plan.policy.keeps_files:
        from .kept_files import with_files_kept

        plan = with_files_kept(plan)
    if links and plan.steps:
        from .dangling_links import dangling

        going = [step.entry.path for step in plan.steps]
        problems = tuple(dangling(Path(plan.root), inventory.entries, going))
        plan = plan._replace(problems=(*plan.problems, *problems))
    return plan


class First(NamedTuple):
    """What is deleted before any entry: set-aside and archived entries, with the reasons.

    `leftovers` and `problems` are those of the undo area and the archive. `archives_move` means
    that the archive is on another disk.
    """

    archives_move: bool = False
    forgotten: tuple[tuple[Entry, Reason], ...] = ()
    archives: tuple[tuple[Entry, Reason], ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    problems: tuple[Problem, ...] = ()

    def added_to(self, inventory: Inventory) -> Inventory:
        """The inventory plus these leftovers and problems."""
        return inventory._replace(
            leftovers=(*inventory.leftovers, *self.leftovers),
            problems=(*inventory.problems, *self.problems),
        )

    @property
    def coming(self) -> int:
        """The forecast of the bytes that this frees on the disk of the root."""
        archives = () if self.archives_move else self.archives
        return sum(freed(one for one, _ in (*self.forgotten, *archives)))


def goes_first(
    inventory: Inventory,
    policy: Policy,
    now: float,
    *,
    disposal: Disposal,
    archive: Archive | None,
    whole: bool = True,
    ask_far: bool = True,
) -> First:
    """What a sweep of that root deletes before any entry. Writes nothing.

    If the disk is low and the sweep covers the `whole` root, this includes entries that can still
    be restored, and then archived entries: only as many as are needed in addition to the entries
    that go anyway. Without `ask_far`, an archive reached over a network is not queried.
    """
    root = Path(inventory.root)
    free, capacity = inventory.free, inventory.capacity
    wanted = policy.wanted_free(free, capacity)
    is_low = free is not None and wanted is not None and free < wanted and whole
    frees = DISPOSALS[disposal].frees_space(archives_move=_moves(archive, root))
    anyway = freed_anyway(inventory.entries, policy, now) if is_low and frees else 0
    first = First(archives_move=_moves(archive, root))
    for holder in holders_of(root, archive):
        try:
            left = holder.leftovers()
            if holder is not archive:
                from ..shelf.undo import to_forget, unusable

                odd = tuple(unusable(root))
                first = first._replace(problems=(*first.problems, *odd))
                near = free if is_low else None
                goes = to_forget(root, policy, now, free=near, capacity=capacity, anyway=anyway)
                first = first._replace(forgotten=goes)
            elif archive is not None and (ask_far or archive.is_near):
                disk = Disk(free if is_low else None, capacity, first.coming + anyway)
                goes = _from_archive(archive, root, policy, now, disk)
                first = first._replace(archives=goes)
            first = first._replace(leftovers=(*first.leftovers, *left))
        except TempError as error:
            problem = Problem(holder.location, str(error))
            first = first._replace(problems=(*first.problems, problem))
    return first


def _from_archive(
    archive: Archive, root: Path, policy: Policy, now: float, disk: Disk
) -> tuple[tuple[Entry, Reason], ...]:
    """The archived entries to delete: those over a limit of the archive and then, if that helps a
    low `disk`, the oldest.
    """
    is_low = disk.free is not None and archive.shares_disk(root)
    over: tuple[tuple[Entry, Reason], ...] = ()
    if archive.limits.are_set:
        over = archives_over(archive.droppable(root, proven=True), archive.limits, now)
    if not is_low:
        return over
    gone = {one.path for one, _ in over}
    low = archives_to_drop(
        [one for one in archive.droppable(root) if one.path not in gone],
        policy,
        free=disk.free,
        capacity=disk.capacity,
        coming=disk.coming + sum(freed(one for one, _ in over)),
    )
    return (*over, *low)


def holders_of(root: Path, archive: Archive | None) -> Iterator[UndoArea | Archive]:
    """The places that may hold entries cleaned from `root`: its undo area and the archive."""
    if (root / STORE / UNDO).is_dir():
        from ..shelf.undo import UndoArea

        yield UndoArea(root)
    if archive is not None:
        yield archive


def archives_in_vain(disposal: Disposal, archive: Archive | None, root: Path) -> bool:
    """Whether entries are archived on the same disk, which frees no space."""
    return DISPOSALS[disposal].needs_archive and not _moves(archive, root)


def _moves(archive: Archive | None, root: Path) -> bool:
    """Whether archived entries end up on another disk."""
    return archive is not None and not archive.shares_disk(root)
