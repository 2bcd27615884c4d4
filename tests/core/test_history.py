"""The history of sweeps, as values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.temp.core.disposal import Disposal
from common.temp.core.entry import Entry
from common.temp.core.history import Who, as_said, read_said, remembered
from common.temp.core.plan import Outcome, Plan, Report, Status, Step
from common.temp.core.policy import STRATEGIES, Policy, spell_policy
from common.temp.core.reasons import Reason, Verdict
from tests.each import each
from tests.support import DAY, HOUR, NOW, entry

WHO = Who("me", "here", 17, "temp-clean", "inv temp-clean")
AT = "2026-11-21T09:42:05Z"


def outcome(
    name: str, status: Status = "done", disposal: Disposal = "delete", rule: str = "expired"
) -> Outcome:
    freed = 4096 if status == "done" else 0
    step = Step(entry(path=f"debug/{name}"), disposal, Reason(rule, "goes", "31 h > 24 h"))
    return Outcome(step, status, "" if status == "done" else "why", freed)


def report(*outcomes: Outcome, policy: Policy | None = None, **more: Any) -> Report:
    steps = tuple(one.step for one in outcomes)
    plan = Plan("/r", policy or Policy(max_age=DAY), NOW, steps)
    return Report(plan, outcomes, **more)


def test_a_sweep_is_remembered_with_what_became_of_each_entry() -> None:
    done = report(outcome("a"), outcome("b", "skipped"), outcome("c", "failed"), finished=2)
    sweep = remembered(done, WHO, AT, 0.12345)
    assert (sweep.at, sweep.seconds, sweep.who) == (AT, 0.123, WHO)
    assert (sweep.gone, sweep.failed, sweep.skipped, sweep.finished) == (1, 1, 1, 2)
    assert (sweep.policy, sweep.freed_bytes, sweep.rules) == (
        "max age 24 h",
        4096,
        (("expired", 1),),
    )
    assert (sweep.background, sweep.interrupted) == (False, False)


def test_what_failed_comes_first_and_is_listed_however_many_went() -> None:
    done = report(*(outcome(f"x{n}") for n in range(500)), outcome("bad", "failed"))
    sweep = remembered(done, WHO, AT, 1, most=200)
    assert (sweep.steps[0].path, sweep.steps[0].status) == ("debug/bad", "failed")
    assert (len(sweep.steps), sweep.left_out, sweep.gone) == (200, 301, 500)
    assert sweep.rules == (("expired", 500),)


@pytest.mark.parametrize("disposal", ["drop", "forget"])
def test_what_was_kept_until_now_and_dropped_is_counted_by_itself(disposal: Disposal) -> None:
    sweep = remembered(report(dropped=(outcome("a", disposal=disposal),)), WHO, AT, 1)
    assert (sweep.dropped, sweep.gone, sweep.freed_bytes) == (1, 0, 4096)
    assert [(step.path, step.disposal) for step in sweep.steps] == [("debug/a", disposal)]


def test_what_was_freed_in_entries_that_are_not_done_counts() -> None:
    sweep = remembered(report(outcome("a")), WHO, AT, 1, interrupted=True, freed_bytes=9000)
    assert (sweep.interrupted, sweep.freed_bytes) == (True, 9000)


def test_what_is_left_is_known_if_all_of_it_was_measured() -> None:
    def left(done: Report, *kept: Entry, **more: Any) -> int | None:
        verdicts = tuple(Verdict(one, True, ()) for one in kept)
        entries = len(done.plan.steps) + len(kept)
        plan = done.plan._replace(**{"kept": verdicts, "entries": entries, **more})
        return remembered(done._replace(plan=plan), WHO, AT, 1).left_bytes

    known = entry(path="debug/k", size=1024)
    assert left(report(outcome("a")), known, known) == 2048
    assert left(report(outcome("a"), outcome("b", "failed")), known) == 1024 + entry().size
    assert left(report(outcome("a"), outcome("b", "skipped")), known) is None
    assert left(report(outcome("a")), known._replace(partial=True)) is None
    assert left(report(outcome("a")), known, entries=3) is None
    assert left(report(outcome("a")), known, entries=None) is None
    assert remembered(report(outcome("a")), WHO, AT, 1, interrupted=True).left_bytes is None


def test_of_a_plan_from_a_file_that_is_the_policy() -> None:
    done = report(outcome("a", rule="planned"), policy=Policy(max_age=0))
    assert remembered(done, WHO, AT, 1).policy == "a plan file"


@each(
    ("policy", "text"),
    [
        (Policy(), "no limit"),
        (Policy(everything=True), "everything"),
        (Policy(abandoned=True), "abandoned"),
        (Policy(max_age=30 * HOUR), "max age 30 h"),
        (STRATEGIES["aggressive"], "aggressive: max age 3 d, max count 3"),
        (
            STRATEGIES["moderate"]._replace(min_free_space=5 << 30, max_total_size=20 << 30),
            "moderate: max age 7 d, max count 5, max total size 20.0 GiB, min free space 5.0 GiB",
        ),
        (Policy(everything=True, spare_in_use=False), "everything, what is in use too"),
        (Policy(high_water=0.85, low_water=0.8), "high water 85 %, low 80 %"),
        (Policy(max_count=2, high_water=0.85), "max count 2, high water 85 %, low 85 %"),
        (
            Policy(max_count=2, categories=(("cache", Policy(max_age=DAY)),)),
            "max count 2, its own in cache",
        ),
        (Policy(max_count=2, categories=(("cache", Policy(max_count=2)),)), "max count 2"),
        (Policy(everything=True, categories=(("cache", Policy()),)), "everything"),
    ],
)
def test_a_policy_is_told_by_its_strategy_and_limits(policy: Policy, text: str) -> None:
    assert spell_policy(policy) == text


def test_what_is_written_as_json_is_read_again() -> None:
    done = report(outcome("a\udcff\n\x1b"), outcome("b", "failed"), background=True)
    for interrupted in (True, False):
        sweep = remembered(done, WHO, AT, 0.5, interrupted=interrupted)
        assert read_said(json.loads(json.dumps(as_said(sweep)))) == sweep
    older = {key: value for key, value in as_said(sweep).items() if key != "left_bytes"}
    assert read_said(older) == sweep._replace(left_bytes=None)


WRONG: list[tuple[str, object]] = [
    ("at", "yesterday"),
    ("at", "2026-11-21T09:42:05Z\n"),
    ("at", None),
    ("seconds", -1),
    ("seconds", float("inf")),
    ("seconds", True),
    ("pid", "17"),
    ("gone", -1),
    ("gone", 1.5),
    ("freed_bytes", 2**63),
    ("freed_bytes", True),
    ("left_bytes", -1),
    ("face", 7),
    ("rules", []),
    ("rules", {"x": "y"}),
    ("entries", {}),
    ("entries", ["debug/x"]),
    ("entries", [{"path": 3}]),
]


@each(("key", "value"), WRONG)
def test_what_is_not_of_its_kind_tells_of_no_sweep(key: str, value: object) -> None:
    said = as_said(remembered(report(outcome("a")), WHO, AT, 1))
    with pytest.raises((ValueError, KeyError)):
        read_said({**said, key: value})


@each("said", [None, [], "x", 1, {}])
def test_what_is_no_table_tells_of_no_sweep(said: object) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_said(said)
