"""The JSON output: integer bytes, ISO 8601 times, a schema version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.entry import Entry, Inventory, Problem
from ..core.links import once
from ..core.plan import Outcome, Plan, Report, Step
from ..core.reasons import Reason, Verdict
from ..core.scheduled import Scheduled
from .text import age_seconds, instant
from .totals import category_totals, sizes, undoable_goes

SCHEMA = 1


def _reason(reason: Reason) -> dict[str, str]:
    return {"rule": reason.rule, "effect": reason.effect, "evidence": reason.evidence}


def _entry(entry: Entry, now: float) -> dict[str, Any]:
    return {
        "path": entry.path,
        "category": entry.category,
        "name": entry.name,
        "label": entry.label,
        "made_at": None if entry.stamp is None else instant(entry.stamp),
        "made_by": entry.made_by,
        "kind": entry.kind,
        "size_bytes": entry.size,
        "apparent_bytes": entry.apparent,
        "shared_bytes": entry.shared,
        "files": entry.files,
        "directories": entry.directories,
        "inodes": entry.inodes,
        "arrived_at": instant(entry.arrived) if entry.arrived else None,
        "changed_at": instant(entry.changed),
        "changed_in": entry.changed_in,
        "last_used_at": instant(entry.used) if entry.used else None,
        "age_seconds": age_seconds(entry, now),
        "in_use": None if entry.use is None else {"how": entry.use.how, "who": entry.use.who},
        "pinned": entry.pin,
        "unsaved_work": entry.work,
        "run_ended": entry.ending or None,
        "unreadable": entry.unreadable,
    }


def _problems(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [
        {"path": problem.path, "what": problem.what, "blocking": problem.blocking}
        for problem in problems
    ]


def _totals(inventory: Inventory, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    size, reclaimable = sizes(verdicts)
    return {
        "entries": len(verdicts),
        "size_bytes": size,
        "reclaimable_bytes": reclaimable,
        "categories": {
            category: {"entries": count, "size_bytes": held, "reclaimable_bytes": goes}
            for category, (count, held, goes) in category_totals(verdicts).items()
        },
        "undoable": {
            "entries": len(inventory.undoable),
            "size_bytes": sum(once(inventory.undoable)),
            "reclaimable_bytes": undoable_goes(inventory)[1],
        },
    }


def status_project(
    title: str,
    inventory: Inventory,
    verdicts: Sequence[Verdict],
    shown: Sequence[Verdict],
    now: float,
    leads_to: str | None = None,
    filesystem: str = "",
    scheduled: Scheduled | None = None,
) -> dict[str, Any]:
    """One root of a status. If the root is a link, `leads_to` is where it leads. `filesystem` is
    its device and type, if known.
    """
    device, _, kind = filesystem.partition(" ")
    return {
        "project": title,
        "root": inventory.root,
        "leads_to": leads_to,
        "filesystem": {"device": device, "type": kind} if filesystem else None,
        "free_bytes": inventory.free,
        "scheduled": None
        if scheduled is None
        else {"succeeded_at": scheduled.succeeded or None, "failed": scheduled.failed},
        "entries": [
            {
                **_entry(verdict.entry, now),
                "goes": not verdict.keep,
                "goes_in_seconds": None if verdict.goes_in is None else int(verdict.goes_in),
                "reasons": [_reason(reason) for reason in verdict.reasons],
            }
            for verdict in shown
        ],
        "totals": _totals(inventory, verdicts),
        "undoable": [
            {
                "name": one.name,
                "size_bytes": one.size,
                "until": None if one.until is None else instant(one.until),
            }
            for one in inventory.undoable
        ],
        "problems": _problems(inventory.problems),
        "leftovers": [
            {
                "name": leftover.name,
                "being_freed": leftover.being_freed,
                "entries": leftover.entries,
            }
            for leftover in inventory.leftovers
        ],
    }


def clean_project(title: str, plan: Plan, report: Report | None) -> dict[str, Any]:
    """One root of a clean; of a dry run if there is no `report`."""
    shortfall = report.shortfall if report and report.free is not None else plan.shortfall()
    return {
        "project": title,
        "root": plan.root,
        "planned_bytes": plan.planned_bytes if plan.is_measured else None,
        "freed_bytes": 0 if report is None else report.freed_bytes,
        "background": report is not None and report.background,
        "finished_leftovers": 0 if report is None else report.finished,
        "entries": _steps(plan.steps, () if report is None else report.outcomes),
        "archives": _steps(plan.archives, () if report is None else report.dropped),
        "shortfall": None
        if shortfall is None
        else {
            "wanted_bytes": shortfall.wanted,
            "free_bytes": shortfall.reached,
            "held_bytes": dict(shortfall.held),
        },
        "kept": [
            {"path": verdict.entry.path, "reasons": [_reason(r) for r in verdict.reasons]}
            for verdict in plan.kept
        ],
        "problems": _problems(plan.problems if report is None else report.problems),
    }


def _steps(steps: Iterable[Step], outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    became = {outcome.step.entry.path: outcome for outcome in outcomes}
    said = []
    for step in steps:
        outcome = became.get(step.entry.path)
        said.append(
            {
                "path": step.entry.path,
                "category": step.entry.category,
                "disposal": step.disposal,
                # Entries that go whatever their size are not measured; the bytes they freed are.
                "size_bytes": None if step.entry.partial else step.entry.size,
                "stays_bytes": step.stays,
                "reason": _reason(step.reason),
                "status": "planned" if outcome is None else outcome.status,
                "detail": "" if outcome is None else outcome.detail,
                "freed_bytes": 0 if outcome is None else outcome.freed_bytes,
                "undo_until": None
                if outcome is None or outcome.until is None
                else instant(outcome.until),
            }
        )
    return said


def document(kind: str, now: float, projects: Sequence[dict[str, Any]], **more: Any) -> str:
    """The JSON text of a whole output. Bytes that are not UTF-8 are escaped as surrogates."""
    said = {"schema": SCHEMA, "kind": kind, "at": instant(now), **more, "projects": projects}
    return json.dumps(said, indent=2, ensure_ascii=True)
