"""Plans: steps from verdicts, forecasts, and what really happened."""

from __future__ import annotations

import pytest

from common.temp.core.disposal import Disposal
from common.temp.core.entry import Entry, Inventory, Leftover, Problem, Use
from common.temp.core.plan import Outcome, Plan, Report, Scope, Shortfall, Status, Step, draft
from common.temp.core.policy import Policy
from common.temp.core.reasons import Reason, Verdict
from common.temp.core.retention import judge
from tests.each import each
from tests.support import DAY, HOUR, NOW, entry

_WHY = Reason("expired", "goes", "31 h > 24 h")
_OLD = entry(path="debug/old_1", label="old", changed=NOW - 9 * DAY, size=10_000, shared=4_000)
_OLDER = entry(path="cache/older_1", category="cache", label="older", changed=NOW - 10 * DAY)
_NEW = entry(path="debug/new_1", label="new", changed=NOW - HOUR)
_INVENTORY = Inventory(
    root="/r",
    entries=(_OLD, _NEW, _OLDER),
    problems=(Problem("debug/x", "Permission denied"),),
    leftovers=(Leftover("x", False),),
)
_POLICY = Policy(max_age=DAY)


def _plan(scope: Scope | None = None) -> Plan:
    verdicts = judge(_INVENTORY.entries, _POLICY, NOW)
    return draft(_INVENTORY, verdicts, _POLICY, NOW, scope=scope or Scope())


def test_what_goes_becomes_a_step_and_what_stays_is_kept_with_its_verdict() -> None:
    plan = _plan()
    assert {step.entry.path for step in plan.steps} == {"debug/old_1", "cache/older_1"}
    assert [verdict.entry.path for verdict in plan.kept] == ["debug/new_1"]
    assert plan.steps[0].reason.rule == "expired"


def test_the_oldest_change_goes_first() -> None:
    assert [step.entry.path for step in _plan().steps] == ["cache/older_1", "debug/old_1"]


def test_a_plan_carries_what_the_scan_could_not_see_and_what_was_left() -> None:
    plan = _plan()
    assert (plan.root, plan.policy, plan.drawn_at) == ("/r", _POLICY, NOW)
    assert plan.problems == _INVENTORY.problems
    assert plan.leftovers == _INVENTORY.leftovers


@each(
    ("scope", "steps", "kept", "outside"),
    [
        (Scope(), 2, 1, 0),
        (Scope("debug"), 1, 1, 1),
        (Scope("nothing"), 0, 0, 3),
        (Scope(None, "old*"), 2, 0, 1),
        (Scope("debug", "old*"), 1, 0, 2),
        (Scope(None, "debug/*"), 1, 1, 1),
        (Scope(None, "older"), 1, 0, 2),
    ],
)
def test_a_scope_leaves_the_other_entries_out_of_the_question(
    scope: Scope, steps: int, kept: int, outside: int
) -> None:
    plan = _plan(scope)
    assert (len(plan.steps), len(plan.kept), plan.out_of_scope) == (steps, kept, outside)


def test_the_forecast_leaves_out_what_a_hard_link_outside_keeps() -> None:
    plan = Plan(root="/r", policy=_POLICY, drawn_at=NOW, steps=(Step(_OLD, "delete", _WHY),))
    assert plan.planned_bytes == 6_000


@pytest.mark.parametrize("disposal", ["trash", "archive"])
def test_trash_and_archive_are_not_forecast_to_free_anything(disposal: str) -> None:
    step = Step(_OLD, disposal, _WHY)  # type: ignore[arg-type]
    assert Plan(root="/r", policy=_POLICY, drawn_at=NOW, steps=(step,)).planned_bytes == 0


def test_what_is_archived_on_another_disk_is_forecast_to_free_its_size() -> None:
    step = Step(_OLD, "archive", _WHY)
    plan = Plan(root="/r", policy=_POLICY, drawn_at=NOW, steps=(step,), archives_move=True)
    assert plan.planned_bytes == 6_000


_LOW = Policy(min_free_space=50_000)
_DROPPED = (entry(path="a.tar.gz", size=3_000, shared=1_000), Reason("low space", "goes", "so"))


def _low(*kept: Entry, free: int | None = 5_000, disposal: Disposal = "delete") -> Plan:
    inventory = Inventory(root="/r", entries=(_OLD, *kept), free=free)
    verdicts = judge(inventory.entries, _LOW, NOW, free=free)
    return draft(inventory, verdicts, _LOW, NOW, disposal=disposal, archives=(_DROPPED,))


def test_archives_go_by_steps_of_their_own_with_a_forecast_of_their_own() -> None:
    plan = _low()
    assert [(step.entry.path, step.disposal) for step in plan.archives] == [("a.tar.gz", "drop")]
    assert (plan.planned_archive_bytes, plan.planned_bytes) == (2_000, 6_000)


def test_what_was_set_aside_goes_before_archives() -> None:
    inventory = Inventory(root="/r")
    plan = draft(inventory, (), _LOW, NOW, archives=(_DROPPED,), forgotten=(_DROPPED,))
    assert [step.disposal for step in plan.archives] == ["forget", "drop"]


def test_setting_aside_frees_nothing() -> None:
    assert _low(disposal="undo").planned_bytes == 0


def test_what_is_lacking_is_said_with_what_holds_it() -> None:
    plan = _low(
        entry(path="debug/used_1", use=Use("owner", "x"), size=7_000),
        entry(path="debug/also_1", use=Use("lock", "y"), size=1_000),
        entry(path="debug/pin_1", pin="why", size=500),
    )
    held = (("in use", 8_000), ("pinned", 500))
    assert plan.shortfall() == Shortfall(50_000, 5_000 + 2_000 + 6_000, held)
    assert plan.shortfall(20_000) == Shortfall(50_000, 20_000, held)


def test_what_stays_because_enough_would_be_free_without_it_holds_nothing() -> None:
    plan = _low(entry(path="debug/used_1", use=Use("owner", "x")), free=49_000)
    assert [verdict.entry.path for verdict in plan.kept] == ["debug/used_1"]
    assert plan.shortfall(49_500) == Shortfall(50_000, 49_500, ())


def test_it_is_told_where_less_came_free_than_was_forecast_and_more_could_go() -> None:
    plan = _low(entry(path="debug/new_1", size=100), free=49_000)
    assert plan.shortfall(49_500) == Shortfall(50_000, 49_500, (), more=True)


def test_what_goes_only_for_want_of_space_goes_last_and_by_its_cost() -> None:
    policy = Policy(
        max_age=30 * HOUR, high_water=0.5, categories=(("work", Policy(cost=2, max_age=1e9)),)
    )
    entries = tuple(
        entry(path=path, category=path.partition("/")[0], changed=NOW - hours * HOUR)
        for path, hours in (("work/a", 20), ("debug/b", 9), ("debug/c", 10), ("debug/d", 31))
    )
    inventory = Inventory(root="/r", entries=entries, free=0, capacity=100_000)
    verdicts = judge(entries, policy, NOW, free=0, capacity=100_000)
    steps = draft(inventory, verdicts, policy, NOW).steps
    assert [step.entry.path for step in steps] == ["debug/d", "debug/c", "debug/b", "work/a"]


@pytest.mark.parametrize(
    ("disposal", "where"),
    [("trash", "in the trash"), ("archive", "in the archive"), ("undo", "to be undone")],
)
def test_what_only_moves_on_the_same_disk_holds_its_space(disposal: Disposal, where: str) -> None:
    assert _low(disposal=disposal).shortfall() == Shortfall(50_000, 7_000, ((where, 10_000),))


def test_what_could_not_be_moved_there_is_not_said_to_be_there() -> None:
    plan = _low(disposal="undo")
    outcomes = tuple(Outcome(step, "failed", "no space left") for step in plan.steps)
    lacking = Report(plan, outcomes, free=0).shortfall
    assert lacking == Shortfall(50_000, 0, (("not removed", 10_000),))


def test_nothing_is_lacking_where_nobody_asked_or_can_tell_or_enough_is_free() -> None:
    assert _plan().shortfall() is None
    assert _low(free=None).shortfall() is None
    assert _low().shortfall(50_000) is None
    assert _low(free=42_000).shortfall() is None


def _outcome(status: Status, freed: int = 0) -> Outcome:
    return Outcome(Step(_OLD, "delete", _WHY), status, "", freed)


def test_freed_bytes_are_those_of_the_outcomes_and_of_finished_leftovers() -> None:
    outcomes = (_outcome("done", 5), _outcome("failed", 2), _outcome("skipped"))
    report = Report(plan=_plan(), outcomes=outcomes, finished=1, finished_bytes=100)
    assert report.freed_bytes == 107
    assert report.done == outcomes[:1]


def test_an_archive_that_went_counts_as_freed_and_one_that_failed_as_failed() -> None:
    report = Report(plan=_low(), dropped=(_outcome("done", 30), _outcome("skipped")))
    assert (report.freed_bytes, report.failed, report.done) == (30, False, ())
    assert report._replace(dropped=(_outcome("failed"),)).failed


@each(
    ("status", "problem", "failed"),
    [
        ("done", None, False),
        ("skipped", None, False),
        ("failed", None, True),
        ("skipped", Problem("debug/old_1", "Permission denied"), True),
        ("done", Problem("debug/other_1", "Permission denied"), True),
        ("done", Problem("debug/old_1", "Permission denied"), False),
        ("done", Problem("debug/other_1", "vanished", blocking=False), False),
    ],
)
def test_a_sweep_failed_if_something_failed_or_was_not_seen_and_is_still_there(
    status: Status, problem: Problem | None, failed: bool
) -> None:
    problems = () if problem is None else (problem,)
    report = Report(plan=_plan(), outcomes=(_outcome(status),), problems=problems)
    assert report.failed is failed


def test_what_a_clean_began_to_remove_is_deleted_whatever_happens_to_the_rest() -> None:
    begun, other = entry(unfinished=True, changed=0.0), entry(path="debug/b_1600000000")
    reason = Reason("expired", "goes", "")
    found = draft(
        Inventory("/r", (begun, other)),
        [Verdict(begun, False, (reason,)), Verdict(other, False, (reason,))],
        Policy(),
        NOW,
        disposal="archive",
    )
    assert [step.disposal for step in found.steps] == ["delete", "archive"]
    assert found.disposal == "archive"
