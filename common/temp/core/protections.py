"""The protections, which keep entries: each rule says whether it does, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from operator import attrgetter
from typing import Final

from .cases import Case, Protection, Rules, spell_rank
from .entry import FAILED, Entry, composed, database_of, listed
from .layouts import PIPELINE, UNCATEGORIZED
from .reasons import KEEP_LAST_GOOD, KEEP_WITHIN, UNSAVED, Effect, Reason
from .units import spell_comparison

GOOD_KEPT: Final = 1
"""The good runs that stay if nothing is configured, unless the user asked for everything."""

_NOT_IN_USE: Final = Reason("in use", "silent", "by no process")
_NOT_PINNED: Final = Reason("pinned", "silent", "no")


def _in_use(case: Case) -> Reason | None:
    use = case.entry.use
    if use is None:
        return _NOT_IN_USE
    if use.mine and use.how != "process" and case.policy.everything:
        return Reason("in use", "silent", "by this process, which requested everything")
    if not case.policy.spare_in_use:
        return Reason("in use", "silent", f"{use.who}, overridden by --include-in-use")
    return Reason("in use", "stays", use.who)


def _pinned(case: Case) -> Reason | None:
    if case.entry.pin is None:
        return _NOT_PINNED
    return Reason("pinned", "stays", case.entry.pin or "no reason given")


def _unsaved(case: Case) -> Reason | None:
    work = case.entry.work
    if work is None:
        return None
    if case.policy.abandoned or not case.policy.spare_work:
        ignored = "" if case.policy.spare_in_use else ", overridden by --include-in-use"
        return Reason(UNSAVED, "silent", f"{work}{ignored}")
    return Reason(UNSAVED, "stays", work)


def _unreadable(case: Case) -> Reason | None:
    """An entry that cannot be read stays: no limit can be shown to apply, except `everything`."""
    if case.entry.unreadable is None:
        return None
    if case.policy.everything or case.policy.abandoned:
        return Reason(
            "unreadable", "silent", f"{case.entry.unreadable}, but its age does not matter"
        )
    return Reason("unreadable", "stays", f"{case.entry.unreadable}, so its age is unknown")


def _mounted(case: Case) -> Reason | None:
    if case.entry.mounted is None:
        return None
    return Reason("mounted", "stays", f"another filesystem is mounted at {case.entry.mounted}")


def _excluded(case: Case) -> Reason | None:
    patterns = case.policy.exclude
    if not patterns:
        return None
    pattern = matching_pattern(case.entry, patterns)
    if pattern is None:
        return _matches_none(patterns)
    return Reason("excluded", "stays", f"matches {pattern}")


@lru_cache(maxsize=64)
def _matches_none(patterns: tuple[str, ...]) -> Reason:
    return Reason("excluded", "silent", f"matches none of {', '.join(patterns)}")


def _keep_last(case: Case) -> Reason | None:
    wanted = case.policy.keep_last
    if wanted is None:
        return None
    effect: Effect = "stays" if case.rank <= wanted else "silent"
    return Reason("keep last", effect, f"{case.place}, keep_last is {wanted}")


def _keep_last_good(case: Case) -> Reason | None:
    """The newest good runs stay; and runs that may be good, if fewer are known to be."""
    policy, ending = case.policy, case.entry.ending
    if not ending:
        return None
    wanted = policy.keep_last_good
    if wanted is None:
        wanted = 0 if policy.everything and not policy.unconfigured else GOOD_KEPT
    if not wanted:
        return None
    if ending in FAILED:
        return Reason(KEEP_LAST_GOOD, "silent", f"it {ending}, so it is not a good run")
    good = f"of the good {case.entry.label}"
    if ending != "success":
        good = f"{case.entry.label} that may be good ({ending})"
    effect: Effect = "stays" if case.good_rank <= wanted else "silent"
    evidence = f"{spell_rank(case.good_rank)} {good}, keep_last_good is {wanted}"
    return Reason(KEEP_LAST_GOOD, effect, evidence)


def _keep_within(case: Case) -> Reason | None:
    span = case.policy.keep_within
    if not span:  # 0 keeps nothing, as a max_age of 0 keeps nothing
        return None
    effect: Effect = "stays" if case.age <= span else "silent"
    age, limit = spell_comparison(case.age, span)
    return Reason(KEEP_WITHIN, effect, f"{age} {'≤' if effect == 'stays' else '>'} {limit}")


PROTECTION_RULES: Final[Rules[Protection]] = {
    _in_use: (),
    _pinned: (),
    _unsaved: (),
    _excluded: ("exclude",),
    _keep_last: ("keep_last",),
    _keep_last_good: (),
    _keep_within: ("keep_within",),
    _mounted: (),
    _unreadable: (),
}
"""The protections, in the order in which a person would name them."""

OF_ENTRY: Final[Mapping[Protection, str]] = {
    _in_use: "use",
    _pinned: "pin",
    _unsaved: "work",
    _keep_last_good: "ending",
    _mounted: "mounted",
    _unreadable: "unreadable",
}
"""The rules that apply without a policy, each with the field of an entry that it depends on.
"""

_what_protects = attrgetter(*OF_ENTRY.values())
_NOTHING: Final = _what_protects(Entry("", "", ""))


def is_plain(entry: Entry) -> bool:
    """Whether nothing about the entry itself protects it. Then only rules that a policy sets can
    keep it: those of `PROTECTION_RULES` with a field.
    """
    return _what_protects(entry) == _NOTHING


ENDED_BY_A_START: Final = frozenset(
    {"excluded", "keep last", KEEP_LAST_GOOD, KEEP_WITHIN, "unreadable"}
)
"""The protections that no longer keep an entry once a clean has begun to remove it."""


def matching_pattern(entry: Entry, patterns: Sequence[str]) -> str | None:
    """The first of the shell globs that matches the entry: its path `category/name`, also with
    `.tmp/` before it, its name, or its category (`cache`, or `cache/` as in a `.gitignore`).

    A glob without a wildcard also matches runs that contain it in their name, unless it is the name
    of a run.
    """
    any_case = entry.any_case
    found = excluding(entry.path, entry.category, patterns, any_case=any_case)
    if found is not None or not entry.ending:
        return found
    fold = str.casefold if any_case else str
    name = fold(composed(entry.name))
    for pattern in patterns:
        if (
            pattern
            and fold(composed(pattern)) in name
            and not PIPELINE.holds(pattern, is_directory=True)
        ):
            return pattern
    return None


def excluding(path: str, category: str, patterns: Sequence[str], *, any_case: bool) -> str | None:
    """The first of the shell globs that matches the path, its name or the category. With
    `any_case`, case is ignored, as the filesystem does.
    """
    path, category = composed(path), composed(category)
    name = path.rpartition("/")[2]
    whole = listed(category, path)
    was = f"{UNCATEGORIZED}/{category}"  # as it is listed while it counts as one entry
    for text, said, matches in _compiled(tuple(patterns), any_case):
        if matches(whole) or matches(name) or matches(category) or matches(path):
            return text
        if said and (said == was or said.startswith(f"{path}/")):  # names something inside it
            return text
    if (database := database_of(path)) != path:
        return excluding(database, category, patterns, any_case=any_case)
    return None


@lru_cache(maxsize=64)
def _compiled(
    patterns: tuple[str, ...], any_case: bool
) -> tuple[tuple[str, str, Callable[[str], object]], ...]:
    """The matcher of each pattern, and the pattern's text if it may be a path."""
    flags = re.IGNORECASE if any_case else re.NOFLAG  # a `RegexFlag` in a key is slow to hash
    return tuple(
        (text, composed(text) if "/" in text else "", re.compile(_in_root(text), flags).match)
        for text in patterns
    )


def _in_root(pattern: str) -> str:
    """The regular expression for `pattern`, which may be a path in the project or an absolute path,
    and may name something inside an entry (`cache/x/**`, `cache/x/final.bin`).
    """
    from .globs import without_braces  # a policy without globs does not need it

    found = set()
    for glob in without_braces(composed(pattern)):
        below = re.sub(r"^(.*/)?\.te?mp/", "", glob).removeprefix("./").strip("/")
        parts = re.sub(r"/\*\*?$", "", below).split("/")
        found |= {
            below,
            *("/".join(parts[:count]) for count in range(2, len(parts))),
            "/".join(parts),
        }
    return "|".join(map(translate, found))
