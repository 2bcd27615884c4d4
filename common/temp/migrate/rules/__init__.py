"""The rules, in the order in which they are asked about a site; see `by_hand` for TK101, 102, 105,
107, 108 and 109, which only list what they find.
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
    *("tk100", "tk103", "tk104", "tk106", "by_hand", "tk190", "tk900", "tk901"),
)


NEVER: Final = b"\0never\0"
"""The word of a rule that no Python file is asked about."""


class Rule(NamedTuple):
    """What is found and rewritten under a code.

    `fix` is what its rewrite is at best; `explain` says why, with an example, and when it is
    unsafe. A file that lacks one of `words` is not asked about; of some with `|` between them one
    is enough.
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
