"""The rules, in the order in which they are applied to a site.

A rule is a module with `RULES`, whose name is in `_MODULES`. TK101, 102, 105, 107, 108 and 109 only
report findings: they are rows of the table in `by_hand`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Final, NamedTuple

from ..findings import Finding, Fix
from ..module import Module

_MODULES: Final = (
    *("tk001", "tk002", "tk003", "tk005", "tk004", "tk006", "tk007", "tk008"),
    *(
        "tk100",
        "tk103",
        "tk104",
        "tk106",
        "by_hand",
        "tk110",
        "tk111",
        "tk190",
        "tk900",
        "tk901",
        "tk902",
    ),
)


NEVER: Final = b"\0never\0"
"""The word of a rule that does not run on Python files."""


class Rule(NamedTuple):
    """What is found and rewritten under a code.

    `fix` is the safest kind of its rewrites. `explain` gives the reason, an example, and when the
    rewrite is unsafe. The rule only runs on files that contain each of `words`; a word with `|`
    lists alternatives.
    """

    code: str
    title: str
    fix: Fix
    explain: str
    words: tuple[bytes, ...]
    find: Callable[[Module], Iterator[Finding]]


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule."""
    found: list[Rule] = []
    for name in _MODULES:
        found += import_module(f".{name}", __name__).RULES
    codes = [rule.code for rule in found]
    if len(set(codes)) < len(codes):
        raise ValueError(f"two rules have the same code: {', '.join(codes)}")
    return tuple(found)


@cache
def by_code() -> dict[str, Rule]:
    """Every rule by its code."""
    return {rule.code: rule for rule in all_rules()}
