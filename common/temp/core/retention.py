"""The decision: which entries go, which stay, and why. Pure: no disk, no clock, no printing.

Limits choose, protections keep. A limit considers all entries, but no protections and no other
limits. So two things always hold: raising a limit never removes more, and protecting one entry
never removes another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .cases import Case, Disk, Limit, Protection, Rules, Silence, asked, cases_of
from .entry import Entry, database_of, has_companions
from .limits import LIMIT_RULES
from .links import Freeing, freed
from .named_tuple import NamedTuple
from .policy import Policy
from .protections import ENDED_BY_A_START, PROTECTION_RULES, is_plain
from .reasons import (
    ARCHIVE_KEEPS_SPACE,
    KEEP_LAST_GOOD,
    KEEP_WITHIN,
    LOW_SPACE,
    NO_LIMIT,
    UNDO_OVER,
    WITHIN_LIMITS,
    Reason,
    Verdict,
)
from .units import spell_excess, spell_size


def judge(
    entries: Iterable[Entry],
    policy: Policy,
    now: float,
    *,
    free: int | None = None,
    capacity: int | None = None,
    coming: int = 0,
) -> tuple[Verdict, ...]:
    """A verdict for each entry, in their order, with its reasons.

    `now` is in seconds since 1970. `free` is the free bytes of the filesystem; without it,
    `min_free_space` chooses nothing. `capacity` is the sum of used and free bytes; without it, the
    water marks choose nothing. `coming` is the bytes that are freed before any entry goes.
    """
    entries = tuple(entries)
    cases = cases_of(entries, policy, now, Disk(free, capacity, coming))
    rules = _rules_of(policy)
    verdicts = tuple([_verdict(case, rules[id(case.policy)]) for case in cases])
    if has_companions(entries):
        from .databases import together  # few roots hold databases

        return together(verdicts)
    return verdicts


def without_space_in_vain(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts of a sweep with its archive on the same disk: low space archives nothing."""
    return tuple(
        Verdict(one.entry, True, (_KEEPS_SPACE, *one.reasons))
        if not one.keep and one.reason.rule == LOW_SPACE
        else one
        for one in verdicts
    )


_KEEPS_SPACE: Final = Reason(ARCHIVE_KEEPS_SPACE, "stays", "archiving it frees nothing")


def freed_anyway(entries: Iterable[Entry], policy: Policy, now: float) -> int:
    """The bytes of the entries that go for a reason other than low space."""
    verdicts = judge(entries, policy, now)
    return sum(freed(one.entry for one in verdicts if not one.keep))


def undo_over(set_aside: float, undo_for: float | None, now: float) -> Reason | None:
    """Why an entry that was set aside at that time is deleted; `None` if it can still be restored.

    It can be restored for `undo_for` seconds, or without limit if that is `None`.
    """
    if undo_for is None:
        return None
    over = spell_excess(max(0.0, now - set_aside), undo_for)
    return Reason(UNDO_OVER, "goes", over) if over else None


def undoable_to_forget(
    held: Iterable[tuple[Entry, float | None]],
    policy: Policy,
    now: float,
    *,
    free: int | None,
    capacity: int | None = None,
    anyway: int = 0,
) -> tuple[tuple[Entry, Reason], ...]:
    """The entries of `held` to delete, each with its reason: first those that can no longer be
    restored, then the oldest, until `min_free_space` and `low_water` are met.

    Each entry comes with the seconds for which it can be restored; its `changed` is when it was set
    aside. Pinned ones stay. `free` is `None` if free space does not matter, `capacity` is as in
    `judge`, and `anyway` is the bytes that are freed besides.
    """
    found = []
    rest = []
    freeing = Freeing()
    coming = anyway
    for entry, undo_for in held:
        over = undo_over(entry.changed, undo_for, now) if entry.pin is None else None
        if over is None:
            rest.append(entry)
        else:
            found.append((entry, over))
            coming += freeing.add(entry)
    low = archives_to_drop(
        rest,
        policy,
        free=free,
        capacity=capacity,
        coming=coming,
        first="set-aside entries",
        freeing=freeing,
    )
    return (*found, *low)


def archives_to_drop(
    archives: Iterable[Entry],
    policy: Policy,
    *,
    free: int | None,
    capacity: int | None = None,
    coming: int = 0,
    first: str = "oldest archives",
    freeing: Freeing | None = None,
) -> tuple[tuple[Entry, Reason], ...]:
    """The `archives` to delete before any entry goes, oldest first, until `min_free_space` and
    `low_water` are met; each with its reason.

    Their `changed` is when they were archived. Pinned ones stay. All are on the filesystem with
    `free` free bytes; `capacity` and `coming` are as in `judge`. The evidence names what goes
    `first`; `freeing` is the sum of the bytes freed before.
    """
    limit = policy.wanted_free(free, capacity)
    if limit is None or free is None:
        return ()
    evidence = f"{spell_size(free)} free, {spell_size(limit)} wanted, {first} first"
    freeing = freeing or Freeing()
    found = []
    for archived in sorted(archives, key=lambda entry: (entry.changed, entry.path)):
        if free + coming >= limit:
            break
        if archived.pin is None:
            coming += freeing.add(archived)
            found.append((archived, Reason(LOW_SPACE, "goes", evidence)))
    return tuple(found)


def explain(
    entries: Iterable[Entry],
    policy: Policy,
    now: float,
    path: str,
    *,
    free: int | None = None,
    capacity: int | None = None,
    coming: int = 0,
) -> tuple[Verdict, tuple[Reason, ...]]:
    """The verdict on the entry at `path`, and the reason of each rule that applies to it.

    Raises `LookupError` if there is no such entry.
    """
    from .databases import together  # few commands need it

    wanted = (path, database_of(path))
    cases = cases_of(tuple(entries), policy, now, Disk(free, capacity, coming))
    found = {case.entry.path: case for case in cases if case.entry.path in wanted}
    if path not in found:
        raise LookupError(path)
    case = found[path]
    limits = [_spelled(limit(case)) for limit in LIMIT_RULES]
    said = [*(protection(case) for protection in PROTECTION_RULES), *limits]
    over = ENDED_BY_A_START if case.entry.unfinished else frozenset()
    verdicts = [_verdict(one, _rules_of(policy)[id(one.policy)]) for one in found.values()]
    verdict = next(one for one in together(verdicts) if one.entry.path == path)
    return verdict, tuple(
        reason._replace(effect="silent") if reason.rule in over else reason
        for reason in said
        if reason is not None
    )


class _Asked(NamedTuple):
    """The rules that may apply under one policy: the limits, the protections, and those of the
    protections that do not depend on the entry itself.
    """

    limits: tuple[Limit, ...]
    protections: tuple[Protection, ...]
    of_policy: tuple[Protection, ...]


def _rules_of(policy: Policy) -> dict[int, _Asked]:
    """The rules to ask under `policy` and that of each category, by the `id` of the policy."""
    by_policy: Rules[Protection] = {
        rule: fields for rule, fields in PROTECTION_RULES.items() if fields
    }
    return {
        id(own): _Asked(
            asked(LIMIT_RULES, own, policy), asked(PROTECTION_RULES, own), asked(by_policy, own)
        )
        for own in (policy, *(own for _, own in policy.categories))
    }


def _verdict(case: Case, rules: _Asked) -> Verdict:
    entry = case.entry
    going: list[Reason] = []
    silent: list[Silence] = []
    for limit in rules.limits:
        said = limit(case)
        if isinstance(said, Reason):
            going.append(said)
        elif said is not None:
            silent.append(said)
    staying = [
        reason
        for protection in (rules.of_policy if is_plain(entry) else rules.protections)
        if (reason := protection(case)) is not None and reason.effect == "stays"
    ]
    if staying and entry.unfinished:
        staying = [reason for reason in staying if reason.rule not in ENDED_BY_A_START]
    if going and not staying:
        return tuple.__new__(Verdict, (entry, False, tuple(going), 0.0))
    goes_in = _goes_in(case, staying)
    if not going:
        staying = [reason for reason in staying if reason.rule != KEEP_LAST_GOOD]
    if staying:
        return Verdict(entry, True, (*staying, *going), goes_in)
    if not silent:
        return Verdict(entry, True, (_NO_LIMIT_APPLIES,))
    evidence = "; ".join([spell().evidence for spell in silent])
    within = Reason(WITHIN_LIMITS, "stays", evidence)
    return Verdict(entry, True, (within,), goes_in)


def _spelled(said: Reason | Silence | None) -> Reason | None:
    return said if said is None or isinstance(said, Reason) else said()


def _goes_in(case: Case, staying: Sequence[Reason]) -> float | None:
    """The seconds until the entry goes by its age; `None` if it never does, or if unknown."""
    limit = case.policy.max_age
    if limit is None or case.entry.future:
        return None
    if staying and any(one.rule != KEEP_WITHIN for one in staying):
        return None
    return max(0.0, limit - case.age, (case.policy.keep_within or 0.0) - case.age)


_NO_LIMIT_APPLIES: Final = Reason(NO_LIMIT, "stays", "none applies to it")
