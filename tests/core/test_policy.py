"""Policies: every field is a limit or a protection, and no limit is forgotten anywhere."""

from __future__ import annotations

from typing import Any

import pytest

from common.temp.core.policy import (
    LIMIT_FIELDS,
    PROTECTION_FIELDS,
    SPELLED_LIMITS,
    SUMMED_LIMITS,
    WHOLE,
    Policy,
    needed,
    policy_of_age,
    spell_policy,
)
from common.temp.core.retention import explain
from common.temp.errors import InvalidSettings
from common.temp.store.settings.keys import KEYS
from tests.each import each
from tests.support import HOUR, NOW, entry

NUMBERS = sorted(name for name in LIMIT_FIELDS if Policy._field_defaults[name] is None)
"""The limits that a number sets."""


def other(field: str) -> Any:
    """A value of the field that is not its default."""
    default = Policy._field_defaults[field]
    return not default if isinstance(default, bool) else ("x",) if default == () else 0.5


def test_every_field_is_a_limit_or_a_protection() -> None:
    assert LIMIT_FIELDS | PROTECTION_FIELDS | {"categories"} == {*Policy._fields}
    assert not LIMIT_FIELDS & PROTECTION_FIELDS


@each("field", sorted(LIMIT_FIELDS))
def test_a_limit_that_is_given_replaces_the_configured_one_in_every_category(field: str) -> None:
    configured = Policy(keep_last=1, categories=(("cache", Policy(keep_last=2)),))
    limited = configured.with_limits_of(Policy(**{field: other(field)}))
    assert getattr(limited, field) == other(field)
    # A sum of all entries together is none of each category.
    expected = None if field in SUMMED_LIMITS else other(field)
    assert getattr(limited.of("cache"), field) == expected
    assert (limited.keep_last, limited.of("cache").keep_last) == (1, 2)
    assert limited.with_limits_of(Policy()) == configured


@each("field", sorted(PROTECTION_FIELDS))
def test_a_protection_is_never_replaced_by_limits_that_are_given(field: str) -> None:
    own = Policy(**{field: other(field)})
    configured = own._replace(categories=(("cache", own),))
    for limits in (Policy(everything=True), Policy(**{field: Policy._field_defaults[field]})):
        limited = configured.with_limits_of(limits)
        assert getattr(limited, field) == getattr(limited.of("cache"), field) == other(field)


@each("field", NUMBERS)
def test_a_limit_is_spelled_explained_configurable_and_asks_for_all_of_an_entry(
    field: str,
) -> None:
    assert field in {key.field for key in KEYS.values()}
    if field == "low_water":
        return  # it says only where high_water ends
    assert field in SPELLED_LIMITS
    limits: dict[str, Any] = {field: 1}
    policy = Policy(**limits)
    assert policy.has_limit
    assert spell_policy(policy).startswith(field.replace("_", " "))
    _, reasons = explain([entry()], policy, NOW, entry().path, free=10, capacity=10)
    assert [reason for reason in reasons if reason.rule not in ("in use", "pinned")]
    if field != "max_age":
        assert needed(policy, "debug", NOW, sizes=False) == WHOLE


def test_hours_become_seconds_once() -> None:
    assert policy_of_age("1.5", "--max-age-hours") == Policy(max_age=1.5 * HOUR)
    with pytest.raises(InvalidSettings, match=r"^it: expected a number of hours of 0 or more"):
        policy_of_age("soon", "it")
