"""The arguments of `temp-clean`: what excludes what, and what they mean for each root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..core.disposal import DISPOSALS, Disposal
from ..core.retention import STRATEGIES, Policy
from ..core.units import HOUR, read_number
from ..errors import InvalidSettings
from ..store.root.settings import check_strategy, with_limits_of
from .places import Place
from .printing import TABLE_OR_JSON, choice


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
    def asked(self) -> tuple[Disposal, ...]:
        """The disposals that these arguments ask for; two exclude each other."""
        named: dict[Disposal, bool] = {
            "undo": self.undoable,
            "trash": self.trash,
            "archive": self.strategy == "archive",
        }
        return tuple(disposal for disposal, is_asked in named.items() if is_asked)


_EXCLUSIONS: Final[tuple[tuple[Callable[[CleanArguments], object], str], ...]] = (
    (
        lambda given: given.plan is not None and not given.dry_run,
        "--plan needs --dry-run: it writes down what that shows",
    ),
    (
        lambda given: given.plan is not None and given.include_in_use,
        "--plan takes no --include-in-use: who uses what will have changed",
    ),
    (
        lambda given: given.everything and (given.max_age_hours or given.strategy),
        "--everything takes no limit; leave out the one or the other",
    ),
    (
        lambda given: given.include_in_use and not given.name,
        "--include-in-use needs --name: say which entries to take from a running process",
    ),
    (
        lambda given: given.ask and (given.yes or given.force),
        "--ask asks, and --yes and --force do not; choose one",
    ),
)
"""What cannot be asked for together, and what is said then."""


def check_arguments(given: CleanArguments) -> None:
    """Raise `InvalidSettings` if two of the arguments exclude each other, or one is none."""
    choice(given.output, "--format", TABLE_OR_JSON)
    for applies, message in _EXCLUSIONS:
        if applies(given):
            raise InvalidSettings(message)
    asked = [DISPOSALS[disposal] for disposal in given.asked]
    flags = [row.flag for row in asked]
    if given.background and not all(row.may_detach for row in asked):
        flags.append("--background")
    if len(flags) > 1:
        raise InvalidSettings(f"{flags[0]} and {flags[1]} exclude each other; choose one")


def check_only_apply(given: CleanArguments) -> None:
    """Raise `InvalidSettings` if something is asked for that only the plan can say."""
    choice(given.output, "--format", TABLE_OR_JSON)
    rest = given._replace(
        background=False, output="table", yes=False, force=False, all_projects=False
    )
    if rest != CleanArguments(apply=given.apply):
        raise InvalidSettings("--apply does what the plan says; leave out what says otherwise")


def limits_of(given: CleanArguments) -> Policy | None:
    """The limits that were given, which replace all configured ones; `None` without."""
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
    """What a clean with those arguments and `limits` follows at `place`."""
    policy = place.policy()
    if limits is not None and not place.abandoned_only:
        policy = with_limits_of(place.settings.protections(), limits)
        if given.scheduled:
            # Whatever else it was told to go by, a full disk is what it is there for.
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
    """What such a clean does with the entries that go at `place`."""
    disposal = given.asked[0] if given.asked else place.settings.disposal
    if place.abandoned_only and DISPOSALS[disposal].spares_abandoned:
        return "delete"
    return disposal
