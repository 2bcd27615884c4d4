"""Which flat entries an adoption moves, and why the others stay."""

from __future__ import annotations

from typing import Any

from common.temp.core.adoption import Survey, draft_adoption
from common.temp.core.entry import Inventory, Problem, Use
from tests.each import each
from tests.support import NOW, entry

FLAT: dict[str, Any] = {"path": "demo_1699990000", "category": "uncategorized"}


def drafted(*, linked: dict[str, str] | None = None, **overrides: Any) -> Survey:
    """What would become of one flat entry."""
    found = Inventory(root="/r", entries=(entry(**{**FLAT, **overrides}),))
    return draft_adoption(found, linked or {}, ("gold*",), NOW)


def test_a_flat_entry_moves() -> None:
    (moved,) = drafted().moves
    assert moved.path == "demo_1699990000"


def test_an_entry_of_a_category_is_not_spoken_of() -> None:
    assert drafted(path="debug/demo_1699990000") == Survey(root="/r")


@each(
    ("overrides", "said"),
    [
        ({"use": Use("owner", "pid 1 (x)")}, "in use: pid 1 (x)"),
        ({"use": Use("owner", "pid 1 (x)", mine=True)}, "in use: pid 1 (x)"),
        ({"pin": "needed"}, "pinned: needed"),
        ({"path": "gold_1699990000"}, "excluded: matches gold*"),
        ({"mounted": "x"}, "mounted: another filesystem is mounted at x"),
        ({"unreadable": "denied"}, "unreadable: denied, so its age is unknown"),
        ({"kind": "file"}, "not a directory: only directories move"),
        ({"kind": "symlink"}, "not a directory: only directories move"),
        ({"stamp": None}, "no stamp: a program may rely on its path"),
        (
            {"linked": {"demo_1699990000": "the symlink a leads to it"}},
            "linked: the symlink a leads",
        ),
    ],
)
def test_what_is_protected_or_cannot_follow_stays(overrides: dict[str, Any], said: str) -> None:
    survey = drafted(**overrides)

    assert survey.moves == ()
    assert str(survey.kept[0].reason).startswith(said)


def test_one_from_the_future_moves_since_its_age_does_not_matter() -> None:
    assert len(drafted(future=True, changed=NOW + 500).moves) == 1


def test_the_problems_of_the_scan_are_told() -> None:
    problem = Problem("x", "cannot be read")
    assert draft_adoption(Inventory("/r", problems=(problem,)), {}, (), NOW).problems == (problem,)
