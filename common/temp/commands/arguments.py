"""The arguments of `temp-clean`: which exclude each other, and what they mean for each root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..choices import TABLE_OR_JSON, choose
from ..core.plan import Disposal
from ..core.retention import STRATEGIES, Policy
from ..core.units import HOUR, read_number
from ..errors import InvalidSettings
from ..store.root.settings import check_strategy, with_limits_of
from .places import Place


class CleanArguments(NamedTuple):
    """The arguments of `temp-clean` as they were typed."""

    max_age_hours: str | None = None
    category: str | None = None
    name: str | None = None
    strategy: str | None = None
    everything: bool = False
    dry_run: bool = False
    trash: bool = False
    undoable: bool = False
    yes: bool = False
    force: bool = False
    include_in_use: bool = False
    background: bool = False
    ask: bool = False
    plan: str | None = None
    apply: str | None = None
    scheduled: bool = False
    output: str = "table"
    all_projects: bool = False

    @property
    def archives(self) -> bool:
        """Whether the given strategy is the one that archives."""
        return self.strategy == "archive"


BACKGROUND_DELETES: Final = "--background can only delete, not trash, archive or set aside"

_EXCLUSIONS: Final[tuple[tuple[Callable[[CleanArguments], object], str], ...]] = (
    (
        lambda given: given.plan is not None and not given.dry_run,
        "--plan needs --dry-run: it writes what that shows",
    ),
    (
        lambda given: given.plan is not None and given.include_in_use,
        "--plan takes no --include-in-use: what is in use will have changed by then",
    ),
    (
        lambda given: given.everything and (given.max_age_hours or given.strategy),
        "--everything takes no limit; leave out one of them",
    ),
    (
        lambda given: given.include_in_use and not given.name,
        "--include-in-use needs --name: say which entries to take from a running process",
    ),
    (
        lambda given: given.trash and given.archives,
        "--trash and --strategy archive exclude each other; choose one",
    ),
    (
        lambda given: given.undoable and given.trash,
        "--undoable and --trash exclude each other; choose one",
    ),
    (
        lambda given: given.undoable and given.background,
        "--undoable and --background exclude each other; choose one",
    ),
    (
        lambda given: given.undoable and given.archives,
        "--undoable and --strategy archive exclude each other; choose one",
    ),
    (
        lambda given: given.ask and (given.yes or given.force),
        "--ask excludes --yes and --force; choose one",
    ),
)
"""Which arguments exclude each other, and the message for each case."""


def check_arguments(given: CleanArguments) -> None:
    """Raise `InvalidSettings` if arguments exclude each other, or the format is unknown."""
    choose(given.output, "--format", TABLE_OR_JSON)
    for applies, message in _EXCLUSIONS:
        if applies(given):
            raise InvalidSettings(message)


def check_only_apply(given: CleanArguments) -> None:
    """Raise `InvalidSettings` for an argument that the plan decides."""
    choose(given.output, "--format", TABLE_OR_JSON)
    rest = given._replace(
        background=False, output="table", yes=False, force=False, all_projects=False
    )
    if rest != CleanArguments(apply=given.apply):
        raise InvalidSettings(
            "--apply carries out the plan as it is; leave out the other arguments"
        )


def limits_of(given: CleanArguments) -> Policy | None:
    """The given limits, which replace all configured ones; `None` without any."""
    limits = None
    if given.strategy is not None:
        limits = STRATEGIES[check_strategy(given.strategy, "--strategy")]
    if given.max_age_hours is not None:
        hours = read_number(given.max_age_hours, "--max-age-hours", "number of hours")
        limits = (limits or Policy())._replace(max_age=hours * HOUR)
    if given.everything:
        limits = Policy(everything=True)
    return limits


def policy_of(place: Place, limits: Policy | None, given: CleanArguments) -> Policy:
    """The policy of a clean at `place` with these arguments and `limits`."""
    policy = place.policy()
    if limits is not None and not place.abandoned_only:
        policy = with_limits_of(place.settings.protections(), limits)
        if given.scheduled:
            # Whatever its limits are, a scheduled clean also has to act on a full disk.
            high, low = place.settings.high_water, place.settings.low_water
            policy = policy._replace(high_water=high, low_water=low)
    if given.include_in_use and not place.abandoned_only:
        categories = tuple(
            (name, own._replace(spare_in_use=False, spare_work=False))
            for name, own in policy.categories
        )
        policy = policy._replace(spare_in_use=False, spare_work=False, categories=categories)
    return policy


def disposal_of(place: Place, given: CleanArguments) -> Disposal:
    """The disposal of a clean at `place` with these arguments."""
    if given.undoable:
        return "undo"
    if place.abandoned_only:
        return "delete"
    if given.trash:
        return "trash"
    if given.strategy is not None:
        return "archive" if given.archives or place.settings.archive else "delete"
    return place.settings.disposal
