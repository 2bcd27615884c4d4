"""Files with several names: counted once, and freed with the last name."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.temp.core.entry import Entry, Inventory
from common.temp.core.links import INODES, freed, once
from common.temp.core.plan import draft
from common.temp.core.policy import Policy
from common.temp.core.retention import archives_to_drop, freed_anyway, judge, undoable_to_forget
from common.temp.report.clean import plan_text
from common.temp.report.totals import category_totals, sizes, summary
from tests.each import each
from tests.support import DAY, NOW, entry, link

BLOB = 1000


def linked(number: int, *inodes: int, names: int = 3, own: int = 10, **overrides: object) -> Entry:
    """An entry with `own` bytes and a name of each of the files, the higher its number the older.

    Each file has `BLOB` bytes.
    """
    known = {
        "path": f"debug/{number}",
        "label": str(number),
        "changed": NOW - number,
        "size": own + BLOB * len(inodes),
        "inodes": 2 + len(inodes),
        "links": tuple(link(BLOB, inode, names=names) for inode in inodes),
    }
    return entry(**known | overrides)


def gone(entries: list[Entry], policy: Policy, free: int | None = None) -> list[str]:
    verdicts = judge(entries, policy, NOW, free=free)
    return [one.entry.label for one in verdicts if not one.keep]


# -- the limits -----------------------------------------------------------------------------------


@each(
    ("limit", "goes"),
    [(1040, []), (1039, ["4"]), (1029, ["3", "4"]), (1009, ["1", "2", "3", "4"])],
)
def test_a_file_is_in_the_total_size_once_with_its_newest_name(limit: int, goes: list[str]) -> None:
    entries = [linked(number, 7) for number in (1, 2, 3)] + [linked(4)]
    assert gone(entries, Policy(max_total_size=limit)) == goes
    own = Policy(categories=(("debug", Policy(max_total_size=limit)),))
    assert gone(entries, own) == goes


def test_each_category_counts_the_file_by_itself() -> None:
    here = linked(1, 7)
    there = linked(2, 7)._replace(category="cache", path="cache/2")
    each = Policy(max_total_size=BLOB + 20)
    assert gone([here, there], each) == []
    assert gone([here, there], Policy(categories=(("cache", each),))) == []
    less = Policy(max_total_size=BLOB + 9)
    assert gone([here, there], Policy(categories=(("cache", less),))) == ["2"]


@pytest.mark.parametrize(
    ("limit", "goes", "reason"),
    [
        (7, [], "within limits: 7 files and directories with all newer entries, limit 7"),
        (6, ["3"], "over files: 7 files and directories with all newer entries, limit 6"),
        (0, ["1", "2", "3"], "over files: 7 files and directories with all newer entries, limit 0"),
    ],
)
def test_max_files_counts_files_and_directories_each_once(
    limit: int, goes: list[str], reason: str
) -> None:
    entries = [linked(number, 7) for number in (1, 2, 3)]
    assert gone(entries, Policy(max_files=limit)) == goes
    assert gone(entries, Policy(categories=(("debug", Policy(max_files=limit)),))) == goes
    assert str(judge(entries, Policy(max_files=limit), NOW)[2].reason) == reason


def test_low_space_takes_all_names_of_a_file_where_that_is_enough_and_not_more() -> None:
    entries = [linked(number, 7) for number in (1, 2, 3)]
    assert gone([linked(0), *entries], Policy(min_free_space=BLOB), free=0) == ["1", "2", "3"]
    assert gone(entries, Policy(min_free_space=20), free=0) == ["2", "3"]


# -- the forecast ---------------------------------------------------------------------------------


def test_what_goes_together_frees_what_it_shares() -> None:
    old = [linked(number, 7, changed=NOW - 2 * DAY) for number in (1, 2, 3)]
    verdicts = judge(old, Policy(max_age=DAY), NOW)
    plan = draft(Inventory("/r"), verdicts, Policy(max_age=DAY), NOW)
    assert (plan.planned_bytes, plan.linked_bytes) == (BLOB + 30, 0)
    assert "hard links" not in plan_text("demo", plan)
    assert freed_anyway(old, Policy(max_age=DAY), NOW) == BLOB + 30
    assert summary(verdicts).startswith("3 entries, 1.0 KiB on disk, 1.0 KiB reclaimable")


def test_what_a_name_elsewhere_keeps_is_never_freed() -> None:
    old = [linked(number, 7, names=4, changed=NOW - 2 * DAY) for number in (1, 2, 3)]
    plan = draft(Inventory("/r"), judge(old, Policy(max_age=DAY), NOW), Policy(), NOW)
    assert (plan.planned_bytes, plan.linked_bytes) == (30, BLOB)
    assert "free 30 B (1000 B stay, held by hard links elsewhere)" in plan_text("demo", plan)
    stays = [*old[:2], linked(3, 7, pin="why")]
    verdicts = judge(stays, Policy(max_age=DAY), NOW)
    assert sizes(verdicts) == (BLOB + 30, 20)
    assert category_totals(verdicts) == {"debug": (3, BLOB + 30, 20)}


def test_a_set_that_goes_from_two_categories_is_freed_with_the_last() -> None:
    store = linked(1, 7, names=2, changed=NOW - 2 * DAY)
    user = linked(2, 7, names=2, changed=NOW - 2 * DAY)._replace(category="work")
    verdicts = judge([user, store], Policy(max_age=DAY), NOW)
    assert category_totals(verdicts) == {
        "debug": (1, BLOB + 10, 10),
        "work": (1, BLOB + 10, BLOB + 10),
    }
    assert sizes(verdicts) == (BLOB + 20, BLOB + 20)


def test_what_was_set_aside_and_what_goes_free_together() -> None:
    held, going = linked(1, 7, names=2), linked(2, 7, names=2)
    why = judge([held], Policy(everything=True), NOW)[0].reason
    verdicts = judge([going], Policy(everything=True), NOW)
    plan = draft(Inventory("/r"), verdicts, Policy(), NOW, forgotten=[(held, why)])
    assert (plan.planned_archive_bytes, plan.planned_bytes) == (10, BLOB + 10)


def test_archives_that_share_a_file_go_until_it_is_freed() -> None:
    policy = Policy(min_free_space=BLOB)
    held = [linked(number, 7) for number in (1, 2, 3)]
    dropped = archives_to_drop([*held, linked(0)], policy, free=0)
    assert [one.label for one, _ in dropped] == ["3", "2", "1"]
    over = [(one, 0.0 if one.label == "3" else DAY) for one in (*held, linked(0))]
    forgotten = undoable_to_forget(over, policy, NOW, free=0)
    assert [one.label for one, _ in forgotten] == ["3", "2", "1"]


# -- whatever the links are -----------------------------------------------------------------------


class _Graph(NamedTuple):
    """How many names each file has outside, and in each entry."""

    sizes: list[int]
    outside: list[int]
    inside: list[list[int]]

    def entries(self) -> list[Entry]:
        """The entries as a scan sees them."""
        files = range(len(self.sizes))
        names = [self.outside[at] + sum(held[at] for held in self.inside) for at in files]
        return [
            entry(
                path=f"debug/{number}",
                changed=NOW - number,
                size=1 + sum(self.sizes[at] for at in files if held[at]),
                inodes=1 + sum(1 for at in files if held[at]),
                links=tuple(
                    link(self.sizes[at], at + 1, names=names[at], met=held[at])
                    for at in files
                    if 0 < held[at] < names[at]
                ),
            )
            for number, held in enumerate(self.inside)
        ]

    def held(self, entries: list[int]) -> int:
        """What `du` says of these entries together."""
        return len(entries) + sum(
            size
            for at, size in enumerate(self.sizes)
            if any(self.inside[number][at] for number in entries)
        )

    def freed(self, entries: list[int]) -> int:
        """What removing these frees: files without a name in what is left."""
        left = [number for number in range(len(self.inside)) if number not in entries]
        return len(entries) + sum(
            size
            for at, size in enumerate(self.sizes)
            if not self.outside[at]
            and any(self.inside[number][at] for number in entries)
            and not any(self.inside[number][at] for number in left)
        )


@st.composite
def _graphs(draw: st.DrawFn) -> _Graph:
    files = draw(st.integers(0, 4))

    def numbers(most: int) -> list[int]:
        return draw(st.lists(st.integers(0, most), min_size=files, max_size=files))

    held = [numbers(2) for _ in range(draw(st.integers(1, 5)))]
    return _Graph([size * 512 for size in numbers(9)], numbers(1), held)


@given(_graphs(), st.randoms(use_true_random=False), st.integers(0, 10_000))
def test_each_file_is_counted_once_and_freed_once(graph: _Graph, random, limit: int) -> None:  # type: ignore[no-untyped-def]
    entries = graph.entries()
    order = [*range(len(entries))]
    random.shuffle(order)
    in_turn = [entries[number] for number in order]
    for end, (size, gone_bytes) in enumerate(
        zip(accumulate(once(in_turn)), accumulate(freed(in_turn)), strict=True), 1
    ):
        assert size == graph.held(order[:end])
        assert gone_bytes == graph.freed(order[:end])
    kept = [one.keep for one in judge(entries, Policy(max_total_size=limit), NOW)]
    stays = [number for number, keep in enumerate(kept) if keep]
    assert kept == sorted(kept, reverse=True)
    assert graph.held(stays) <= limit or not stays
    assert len(stays) == len(entries) or graph.held([*stays, len(stays)]) > limit
    assert sum(once(entries, INODES)) == len(entries) + sum(
        any(held[at] for held in graph.inside) for at in range(len(graph.sizes))
    )
