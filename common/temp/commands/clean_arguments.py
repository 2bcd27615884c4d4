"""The arguments of `temp-clean`, which exclude each other, and what they mean for each root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..choices import TABLE_OR_JSON, choose
from ..core.disposal import DISPOSALS, Disposal
from ..core.policy import STRATEGIES, Policy
from ..core.units import HOUR, read_duration, read_number
from ..errors import InvalidSettings
from ..store.settings.values import check_strategy
from .places import Place


class CleanArguments(NamedTuple):
    """The arguments of `temp-clean` as they were typed."""

    max_age: str | None = None
    max_age_hours: float | str | None = None
    category: str | None = None
    name: str | None = None
    strategy: str | None = None
    everything: bool = False
    dry_run: bool = False
    flags: tuple[Disposal, ...] = ()
    """The disposals whose flag was given."""
    yes: bool = False
    force: bool = False
    include_in_use: bool = False
    background: bool = False
    ask: bool = False
    plan: str | None = None
    apply: str | None = None
    scheduled: bool = False
    require_policy: bool = False
    output: str = "table"
    all_projects: bool = False

    @property
    def asked(self) -> tuple[Disposal, ...]:
        """The disposals that these arguments request; two exclude each other."""
        return (*self.flags, "archive") if self.strategy == "archive" else self.flags


def flagged(**given: bool) -> tuple[Disposal, ...]:
    """The disposals whose flag was given."""
    return tuple(disposal for disposal in DISPOSALS if given.get(disposal))


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
        lambda given: given.everything and (given.max_age or given.max_age_hours or given.strategy),
        "--everything takes no limit; leave out one of them",
    ),
    (
        lambda given: given.include_in_use and not given.name,
        "--include-in-use needs --name: say which entries to take from a running process",
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
    asked = [DISPOSALS[disposal] for disposal in given.asked]
    flags = [row.flag for row in asked]
    if given.background and not all(row.may_detach for row in asked):
        flags.append("--background")
    if len(flags) > 1:
        raise InvalidSettings(f"{flags[0]} and {flags[1]} exclude each other; choose one")


def check_only_apply(given: CleanArguments) -> None:
    """Raise `InvalidSettings` for an argument that the plan already fixes."""
    choose(given.output, "--format", TABLE_OR_JSON)
    rest = given._replace(
        everything=False,
        background=False,
        output="table",
        yes=False,
        force=False,
        all_projects=False,
    )
    if rest != CleanArguments(apply=given.apply):
        raise InvalidSettings(
            "--apply carries out the plan as it is; leave out the other arguments"
        )


def limits_of(given: CleanArguments) -> Policy | None:
    """Return the given limits, which replace all configured ones; `None` if there are none."""
    limits = None
    if given.strategy is not None:
        limits = STRATEGIES[check_strategy(given.strategy, "--strategy")]
    age = age_of(given.max_age, given.max_age_hours, "--max-age")
    if age is not None:
        limits = (limits or Policy())._replace(max_age=age)
    if given.everything:
        limits = Policy(everything=True)
    return limits


def age_of(age: str | None, hours: float | str | None, flag: str) -> float | None:
    """Return the seconds in an age such as `7d`, or in a number of hours, which has its own flag.

    Raises `InvalidSettings`.
    """
    if age is not None and hours is not None:
        raise InvalidSettings(f"{flag} and {flag}-hours set the same; leave out one")
    if hours is not None:
        try:
            return read_number(hours, f"{flag}-hours", "number of hours", HOUR)
        except InvalidSettings as error:
            raise InvalidSettings(f"{error}; {flag} takes a time with a unit") from None
    return None if age is None else read_duration(age, flag)


def policy_of(place: Place, limits: Policy | None, given: CleanArguments) -> Policy:
    """Return the policy of a clean at `place` with these arguments and `limits`."""
    policy = place.policy()
    if limits is not None and not place.abandoned_only:
        policy = policy.with_limits_of(limits)
        if given.scheduled:
            # Whatever its limits, a scheduled clean must also act on a full disk.
            marks = place.settings.policy
            policy = policy._replace(high_water=marks.high_water, low_water=marks.low_water)
    if given.include_in_use and not place.abandoned_only:
        policy = policy.everywhere(spare_in_use=False, spare_work=False)
    return policy


def disposal_of(place: Place, given: CleanArguments) -> Disposal:
    """Return the disposal of a clean at `place` with these arguments."""
    if not given.asked:
        return place.disposal
    disposal = given.asked[0]
    if place.abandoned_only and DISPOSALS[disposal].spares_abandoned:
        return "delete"
    return disposal
