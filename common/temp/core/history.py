"""The record of a sweep in the history, and its conversion to and from JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from . import fields
from .fields import Unreadable
from .links import once
from .plan import Outcome, Report, Status
from .policy import spell_policy

_INSTANT: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_ORDER: Final[dict[Status, int]] = {"failed": 0, "skipped": 1, "done": 2}


class Who(NamedTuple):
    """Who swept: `face` is the task or class that was called, `command` the process's command."""

    user: str
    host: str
    pid: int
    face: str
    command: str


class PastStep(NamedTuple):
    """The outcome for one entry, as text. If it was dropped, `path` is its path in the archive.

    Any text is accepted for `disposal` and `status`, since later versions may add values.
    """

    path: str
    disposal: str
    status: str
    reason: str
    detail: str
    freed_bytes: int


class PastSweep(NamedTuple):
    """One sweep of the history. `at` is when it began, ISO 8601 in UTC.

    `gone`, `failed` and `skipped` count entries; `dropped` counts what earlier sweeps had archived
    or set aside and this one deleted for good, `finished` the leftovers of killed sweeps. `rules`
    counts the entries that each rule removed. `steps` may be cut, and `left_out` is how many are
    missing. A `background` sweep had not yet freed the space, and an `interrupted` one did not get
    to all of its entries. `left_bytes` is the size of the remaining entries, `None` if the sweep
    did not measure all of them.
    """

    at: str
    seconds: float
    who: Who
    policy: str
    background: bool
    interrupted: bool
    gone: int
    failed: int
    skipped: int
    dropped: int
    finished: int
    freed_bytes: int
    rules: tuple[tuple[str, int], ...]
    steps: tuple[PastStep, ...]
    left_out: int = 0
    left_bytes: int | None = None


def remembered(
    report: Report,
    who: Who,
    at: str,
    seconds: float,
    *,
    interrupted: bool = False,
    freed_bytes: int = 0,
    most: int = 200,
) -> PastSweep:
    """The record of the sweep in `report`, with at most `most` entries, failures first.

    `freed_bytes` is the count made while deleting, which for an interrupted sweep exceeds what the
    report knows.
    """
    every = (*report.dropped, *report.outcomes)
    counts = Counter(outcome.status for outcome in report.outcomes)
    rules = Counter(outcome.step.reason.rule for outcome in every if outcome.status == "done")
    ordered = sorted(every, key=lambda outcome: _ORDER[outcome.status])
    return PastSweep(
        at=at,
        seconds=round(seconds, 3),
        who=who,
        policy=_policy_of(report),
        background=report.background,
        interrupted=interrupted,
        gone=counts["done"],
        failed=counts["failed"],
        skipped=counts["skipped"],
        dropped=sum(outcome.status == "done" for outcome in report.dropped),
        finished=report.finished,
        freed_bytes=max(report.freed_bytes, freed_bytes),
        rules=tuple(rules.most_common()),
        steps=tuple(map(_step, ordered[:most])),
        left_out=max(0, len(ordered) - most),
        left_bytes=None if interrupted else _left(report),
    )


def _left(report: Report) -> int | None:
    """The bytes on disk of the remaining entries; `None` if unknown."""
    plan = report.plan
    failed = [one for one in report.outcomes if one.status == "failed"]
    left = [*(verdict.entry for verdict in plan.kept), *(one.step.entry for one in failed)]
    # A plan may cover only some entries. A skipped one may have grown since, or be gone.
    if (
        len(plan.kept) + len(plan.steps) != plan.entries
        or any(entry.partial for entry in left)
        or any(one.status == "skipped" for one in report.outcomes)
    ):
        return None
    stays = sum(one.step.stays or 0 for one in report.done if one.stays)
    return max(0, sum(once(left)) + stays - sum(one.freed_bytes for one in failed))


def _step(outcome: Outcome) -> PastStep:
    step = outcome.step
    reason = str(step.reason)
    return PastStep(
        step.entry.path, step.disposal, outcome.status, reason, outcome.detail, outcome.freed_bytes
    )


def _policy_of(report: Report) -> str:
    steps = report.plan.steps
    if steps and all(step.reason.rule == "planned" for step in steps):
        return "a plan file"
    return spell_policy(report.plan.policy)


# -- as JSON ------------------------------------------------------------------------------------


def as_said(sweep: PastSweep) -> dict[str, Any]:
    """`sweep` as a JSON object; `read_said` is the inverse."""
    return {
        "at": sweep.at,
        "seconds": sweep.seconds,
        "user": sweep.who.user,
        "host": sweep.who.host,
        "pid": sweep.who.pid,
        "face": sweep.who.face,
        "command": sweep.who.command,
        "policy": sweep.policy,
        "background": sweep.background,
        "interrupted": sweep.interrupted,
        "gone": sweep.gone,
        "failed": sweep.failed,
        "skipped": sweep.skipped,
        "dropped": sweep.dropped,
        "finished_leftovers": sweep.finished,
        "freed_bytes": sweep.freed_bytes,
        "rules": dict(sweep.rules),
        "entries": [step._asdict() for step in sweep.steps],
        "entries_left_out": sweep.left_out,
        "left_bytes": sweep.left_bytes,
    }


def read_said(said: object) -> PastSweep:
    """The sweep in the JSON object `said`. Raises `Unreadable` if it is not one."""
    told = fields.table(said)
    at = fields.text(told, "at")
    if not re.fullmatch(_INSTANT, at):
        raise Unreadable("at is not a time")
    rules = fields.table(told.get("rules"), "rules")
    return PastSweep(
        at=at,
        seconds=fields.number(told, "seconds"),
        who=Who(
            fields.text(told, "user"),
            fields.text(told, "host"),
            fields.whole(told, "pid"),
            fields.text(told, "face"),
            fields.text(told, "command"),
        ),
        policy=fields.text(told, "policy"),
        background=told.get("background") is True,
        interrupted=told.get("interrupted") is True,
        gone=fields.whole(told, "gone"),
        failed=fields.whole(told, "failed"),
        skipped=fields.whole(told, "skipped"),
        dropped=fields.whole(told, "dropped"),
        finished=fields.whole(told, "finished_leftovers"),
        freed_bytes=fields.whole(told, "freed_bytes"),
        rules=tuple((rule, fields.whole(rules, rule)) for rule in rules),
        steps=tuple(_read_step(fields.table(one)) for one in fields.items(told, "entries")),
        left_out=fields.whole(told, "entries_left_out"),
        left_bytes=fields.optional(fields.whole, told, "left_bytes"),
    )


def _read_step(said: Mapping[str, object]) -> PastStep:
    path, disposal, status, reason, detail = (
        fields.text(said, key) for key in ("path", "disposal", "status", "reason", "detail")
    )
    return PastStep(path, disposal, status, reason, detail, fields.whole(said, "freed_bytes"))
