"""Entries and the other results of a scan."""

from __future__ import annotations

import pytest

from common.temp.core.entry import Inventory, Leftover, Problem, Use
from tests.each import each
from tests.support import entry


@pytest.mark.parametrize(
    ("path", "name"), [("debug/demo_1", "demo_1"), ("demo_1", "demo_1"), ("a/b c", "b c")]
)
def test_the_name_of_an_entry_is_the_last_part_of_its_path(path: str, name: str) -> None:
    assert entry(path=path).name == name


@each(
    ("value", "attribute"),
    [
        (entry(), "path"),
        (Use("lock", "somebody"), "who"),
        (Problem("a", "b"), "what"),
        (Leftover("a", False), "name"),
        (Inventory(root="/r"), "entries"),
    ],
)
def test_what_a_scan_hands_out_cannot_be_changed(value: object, attribute: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, attribute, None)


def test_a_problem_is_blocking_unless_it_is_said_not_to_be() -> None:
    assert Problem("a", "b").blocking
    assert not Problem("a", "b", False).blocking
