"""Plans: steps from verdicts, forecasts, and what did happen."""

from __future__ import annotations

import pytest

from common.temp.core.entry import Inventory, Leftover, Problem
from common.temp.core.plan import Outcome, Plan, Report, Scope, Status, Step, draft
from common.temp.core.retention import Policy, Reason, judge
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


@pytest.mark.parametrize(
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


def _outcome(status: Status, freed: int = 0) -> Outcome:
    return Outcome(Step(_OLD, "delete", _WHY), status, "", freed)


def test_freed_bytes_are_those_of_the_outcomes_and_of_finished_leftovers() -> None:
    outcomes = (_outcome("done", 5), _outcome("failed", 2), _outcome("skipped"))
    report = Report(plan=_plan(), outcomes=outcomes, finished=1, finished_bytes=100)
    assert report.freed_bytes == 107
    assert report.done == outcomes[:1]


@pytest.mark.parametrize(
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
