"""What is planned for each place, and what a person takes out of that when asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..core.plan import Plan, Scope
from ..core.retention import LOW_SPACE, Policy
from ..errors import Refused, StorageError
from ..report.progress import ProgressLine
from ..report.text import plain
from .arguments import CleanArguments, disposal_of, policy_of
from .places import Place
from .printing import terminal

if TYPE_CHECKING:
    from ..asking import Dialogue


class Draft(NamedTuple):
    """What is planned for a place; with a `code`, it cannot be, and the plan's problem says why."""

    place: Place
    plan: Plan
    code: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do and nothing to say."""
        plan = self.plan
        return not (
            plan.steps
            or plan.archives
            or plan.kept
            or plan.leftovers
            or plan.problems
            or plan.out_of_scope
        )


def draft_all(
    places: Sequence[Place],
    limits: Policy | None,
    given: CleanArguments,
    now: float,
    *,
    sizes: bool,
) -> list[Draft]:
    """A draft for each of `places`; nothing is written. `limits` replace the configured ones.

    Without `sizes` the entries that go whatever they hold are not measured.
    """
    from ..store.sweep.prepare import prepare

    scope = Scope(given.category, given.name)
    line = ProgressLine("scanning:")
    drafts = []
    try:
        for place in places:
            # What lies elsewhere is only spoken of together with that of other projects.
            theirs = None if place.is_elsewhere and not given.all_projects else limits
            policy = policy_of(place, theirs, given)
            try:
                plan = prepare(
                    place.root,
                    policy,
                    now,
                    layout=place.layout(),
                    disposal=disposal_of(place, given),
                    scope=scope,
                    archive=place.archive,
                    undo_for=place.settings.undo_for,
                    sizes=sizes,
                    workers=place.settings.workers,
                    progress=line,
                )
                drafts.append(Draft(place, plan))
            except (StorageError, Refused) as error:
                problems = (place.problem(error),)
                plan = Plan(root=str(place.root), policy=policy, drawn_at=now, problems=problems)
                drafts.append(Draft(place, plan, error.exit_code))
    finally:
        line.clear()
    return drafts


def without_low_space(plan: Plan) -> Plan:
    """`plan` without what goes only because the disk is low: that was not among what was chosen."""
    kept = tuple(step for step in plan.archives if step.reason.rule != LOW_SPACE)
    return plan._replace(archives=kept)


def ask(drafts: list[Draft], given: CleanArguments) -> list[Draft]:
    """The drafts with what is to go of them, by what a person answers. Raises `Refused` for a no.

    Without `--ask` only who can answer is asked, and only before everything goes.
    """
    from ..asking import Dialogue

    stream = sys.stderr if given.ask else terminal()
    if stream is None:
        return drafts
    dialogue = Dialogue(stream)
    if given.ask:
        drafts = _choose(dialogue, drafts)
    asked = [
        step
        for draft in drafts
        if draft.plan.policy.everything or given.ask
        for step in draft.plan.steps
    ]
    if asked and not given.dry_run:
        dialogue.confirm(asked, _linked(drafts))
    return drafts


def _linked(drafts: Sequence[Draft]) -> list[str]:
    """The roots behind links among those from which something is to go."""
    return [
        draft.place.located()
        for draft in drafts
        if draft.plan.steps and draft.place.leads_to() is not None
    ]


def _choose(dialogue: Dialogue, drafts: list[Draft]) -> list[Draft]:
    steps = [step for draft in drafts for step in draft.plan.steps]
    titles = [draft.place.title for draft in drafts for _ in draft.plan.steps]
    for where in _linked(drafts):
        dialogue.say(f"entries in {plain(where)}")
    chosen = dialogue.choose(steps, titles) if steps else set()
    left: list[Draft] = []
    first = 0
    for draft in drafts:
        plan = draft.plan
        kept = tuple(step for at, step in enumerate(plan.steps, first) if at in chosen)
        first += len(plan.steps)
        outside = plan.out_of_scope + len(plan.steps) - len(kept)
        plan = plan._replace(steps=kept, out_of_scope=outside)
        left.append(draft._replace(plan=without_low_space(plan)))
    return left
