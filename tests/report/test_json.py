"""The JSON for programs: integer bytes, ISO 8601 times, a schema version."""

from __future__ import annotations

import json
import os
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from common.temp.core.entry import Inventory, Leftover, Problem, Undoable, Use
from common.temp.core.plan import Outcome, Plan, Report, Step
from common.temp.core.policy import Policy
from common.temp.core.reasons import Reason
from common.temp.core.retention import judge
from common.temp.report.json import clean_project, document, status_project
from tests.support import DAY, NOW, check_report, entry, link

WHY = Reason("expired", "goes", "48 h > 24 h")
OLD = entry(path="debug/old_1700000000", label="old", changed=NOW - 2 * DAY, size=8192, shared=4096)


def _status(*entries: Any, shown: int | None = None) -> dict[str, Any]:
    verdicts = judge(entries, Policy(max_age=DAY), NOW)
    inventory = Inventory(
        root="/r",
        entries=entries,
        problems=(Problem("debug/x", "Permission denied"), Problem("y", "vanished", False)),
        leftovers=(Leftover("z", True),),
        free=1024,
    )
    return status_project("demo", inventory, verdicts, verdicts[:shown], NOW)


def test_an_entry_has_all_that_is_known_in_exact_units() -> None:
    one = entry(
        apparent=5000, shared=512, files=2, directories=1, inodes=3, changed=NOW - 60.5,
        changed_in="a/b", use=Use("owner", "python (pid 7)"), pin="why", made_by="python (pid 7)",
        unreadable="Permission denied",
    )  # fmt: skip
    assert _status(one)["entries"] == [
        {
            "path": "debug/demo_1699990000",
            "category": "debug",
            "name": "demo_1699990000",
            "label": "demo",
            "made_at": "2023-11-14T19:26:40Z",
            "made_by": "python (pid 7)",
            "kind": "directory",
            "size_bytes": 4096,
            "apparent_bytes": 5000,
            "shared_bytes": 512,
            "files": 2,
            "directories": 1,
            "inodes": 3,
            "arrived_at": None,
            "changed_at": "2023-11-14T22:12:19Z",
            "changed_in": "a/b",
            "last_used_at": None,
            "age_seconds": 60,
            "in_use": {"how": "owner", "who": "python (pid 7)"},
            "pinned": "why",
            "unsaved_work": None,
            "run_ended": None,
            "unreadable": "Permission denied",
            "goes": False,
            "goes_in_seconds": None,
            "reasons": [
                {"rule": "in use", "effect": "stays", "evidence": "python (pid 7)"},
                {"rule": "pinned", "effect": "stays", "evidence": "why"},
                {
                    "rule": "unreadable",
                    "effect": "stays",
                    "evidence": "Permission denied, so its age is unknown",
                },
            ],
        }
    ]


def test_what_is_not_known_of_an_entry_is_null() -> None:
    (one,) = _status(entry(path="plain", label="plain", stamp=None))["entries"]
    assert [one[key] for key in ("made_at", "made_by", "in_use", "pinned", "unreadable")] == (
        [None] * 5
    )


def test_an_age_counts_from_the_arrival_if_that_is_later() -> None:
    (one,) = _status(entry(arrived=NOW))["entries"]
    assert (one["age_seconds"], one["arrived_at"]) == (0, "2023-11-14T22:13:20Z")


def test_the_totals_count_also_what_is_not_shown() -> None:
    found = _status(entry(), OLD, shown=1)
    assert len(found["entries"]) == 1
    assert found["totals"] == {
        "entries": 2,
        "size_bytes": 12288,
        "reclaimable_bytes": 4096,
        "categories": {"debug": {"entries": 2, "size_bytes": 12288, "reclaimable_bytes": 4096}},
        "undoable": {"entries": 0, "size_bytes": 0, "reclaimable_bytes": 0},
    }


def test_what_was_set_aside_is_on_disk_besides_and_told_with_its_time() -> None:
    held = (
        Undoable("debug__a", 8192, NOW - 1, (link(4096),), goes=True),
        Undoable("debug__b", 4096, NOW + DAY),
        Undoable("by-hand", 100, None),
    )
    inventory = Inventory(root="/r", undoable=held)
    found = status_project("demo", inventory, [], [], NOW)
    assert found["undoable"] == [
        {"name": "debug__a", "size_bytes": 8192, "until": "2023-11-14T22:13:19Z"},
        {"name": "debug__b", "size_bytes": 4096, "until": "2023-11-15T22:13:20Z"},
        {"name": "by-hand", "size_bytes": 100, "until": None},
    ]
    totals = found["totals"]
    assert (totals["entries"], totals["size_bytes"]) == (0, 0)
    assert totals["undoable"] == {"entries": 3, "size_bytes": 12388, "reclaimable_bytes": 4096}


def test_a_status_has_the_root_its_problems_and_its_leftovers() -> None:
    found = _status()
    assert (found["project"], found["root"], found["free_bytes"]) == ("demo", "/r", 1024)
    assert found["problems"] == [
        {"path": "debug/x", "what": "Permission denied", "blocking": True},
        {"path": "y", "what": "vanished", "blocking": False},
    ]
    assert found["leftovers"] == [{"name": "z", "being_freed": True, "entries": 1}]


_PLAN = Plan(
    root="/r",
    policy=Policy(),
    drawn_at=NOW,
    steps=(Step(OLD, "delete", WHY), Step(entry(), "delete", WHY)),
    kept=judge([entry(path="debug/new_1")], Policy(max_age=DAY), NOW),
    problems=(Problem("debug/x", "Permission denied"),),
)


def test_a_dry_run_has_planned_entries_and_nothing_freed() -> None:
    found = clean_project("demo", _PLAN, None)
    assert found == {
        "project": "demo",
        "root": "/r",
        "planned_bytes": 8192,
        "freed_bytes": 0,
        "background": False,
        "finished_leftovers": 0,
        "entries": [
            {
                "path": path,
                "category": "debug",
                "disposal": "delete",
                "size_bytes": size,
                "stays_bytes": None,
                "reason": {"rule": "expired", "effect": "goes", "evidence": "48 h > 24 h"},
                "status": "planned",
                "detail": "",
                "freed_bytes": 0,
                "undo_until": None,
            }
            for path, size in (("debug/old_1700000000", 8192), ("debug/demo_1699990000", 4096))
        ],
        "archives": [],
        "shortfall": None,
        "kept": [
            {
                "path": "debug/new_1",
                "reasons": [{"rule": "within limits", "effect": "stays", "evidence": "1 h ≤ 24 h"}],
            }
        ],
        "problems": [{"path": "debug/x", "what": "Permission denied", "blocking": True}],
    }


def test_what_was_not_measured_is_null_and_not_nothing() -> None:
    unmeasured = entry(size=0, partial=True)
    plan = _PLAN._replace(steps=(_PLAN.steps[0], Step(unmeasured, "delete", WHY)))
    found = clean_project("demo", plan, Report(plan=plan))
    assert found["planned_bytes"] is None
    assert [one["size_bytes"] for one in found["entries"]] == [8192, None]


def test_a_report_has_what_became_of_each_entry() -> None:
    report = Report(
        plan=_PLAN,
        outcomes=(
            Outcome(_PLAN.steps[0], "done", "", 4096),
            Outcome(_PLAN.steps[1], "failed", "Permission denied", 512),
        ),
        finished=1,
        finished_bytes=100,
        problems=(Problem("z", "cannot be deleted: no"),),
    )
    found = clean_project("demo", _PLAN, report)
    assert [(one["status"], one["detail"], one["freed_bytes"]) for one in found["entries"]] == [
        ("done", "", 4096),
        ("failed", "Permission denied", 512),
    ]
    assert (found["freed_bytes"], found["finished_leftovers"]) == (4708, 1)
    assert [problem["path"] for problem in found["problems"]] == ["z"]


def test_the_archives_that_go_and_a_shortfall_are_in_it() -> None:
    low = Reason("low space", "goes", "1.0 KiB free, 9.8 KiB wanted, oldest archives first")
    drop = Step(entry(path="debug__x.tar.gz", size=512), "drop", low)
    plan = _PLAN._replace(
        policy=Policy(min_free_space=20_000), free=1024, steps=(), archives=(drop,)
    )
    found = clean_project("demo", plan, None)
    assert [(one["path"], one["disposal"], one["status"]) for one in found["archives"]] == [
        ("debug__x.tar.gz", "drop", "planned")
    ]
    assert found["shortfall"] == {"wanted_bytes": 20_000, "free_bytes": 1536, "held_bytes": {}}
    report = Report(plan=plan, dropped=(Outcome(drop, "done", "", 600),), free=20_000)
    found = clean_project("demo", plan, report)
    assert [(one["status"], one["freed_bytes"]) for one in found["archives"]] == [("done", 600)]
    assert (found["freed_bytes"], found["shortfall"]) == (600, None)
    check_report(json.loads(document("clean", NOW, [found], dry_run=False)))


def test_a_document_has_its_kind_its_time_and_the_version_of_its_schema() -> None:
    assert json.loads(document("clean", NOW, [{"project": "demo"}], dry_run=True)) == {
        "schema": 1,
        "kind": "clean",
        "at": "2023-11-14T22:13:20Z",
        "dry_run": True,
        "projects": [{"project": "demo"}],
    }


def test_a_name_that_is_no_utf_8_comes_back_as_the_bytes_it_was() -> None:
    raw = b"debug/a\xff\x1b\n_1"
    text = document("status", NOW, [_status(entry(path=os.fsdecode(raw)))])
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    path = json.loads(text)["projects"][0]["entries"][0]["path"]
    assert os.fsencode(path) == raw


def test_the_schema_accepts_no_other_keys_and_no_fractions_of_bytes() -> None:
    here = {"host": "h", "boot": None, "version": "1"}
    good = json.loads(document("status", NOW, [_status(OLD)], **here))
    check_report(good)
    for path, value in (("size_bytes", 1.5), ("size_bytes", "1"), ("more", 1), ("kind", "pipe")):
        bad = json.loads(json.dumps(good))
        bad["projects"][0]["entries"][0][path] = value
        with pytest.raises(jsonschema.ValidationError):
            check_report(bad)
