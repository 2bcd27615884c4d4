"""The plan for each place, and what remains of it after asking."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..core.plan import Plan, Scope
from ..core.policy import Policy
from ..core.reasons import LOW_SPACE
from ..errors import Refused, StorageError
from ..report.progress import ProgressLine
from ..report.text import plain
from .clean_arguments import CleanArguments, disposal_of, policy_of
from .collecting import collector_at_rest
from .places import Place
from .printing import screen, terminal

if TYPE_CHECKING:
    from ..asking import Dialogue


class Draft(NamedTuple):
    """The plan for a place. If `code` is not 0, there is no plan, and its problem says why."""

    place: Place
    plan: Plan
    code: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do and nothing to report."""
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
    """Return a draft for each of `places`; write nothing. `limits` replace the configured ones.

    Without `sizes`, entries that go regardless of size are not measured.
    """
    from ..store.sweep.prepare import prepare

    scope = Scope(given.category, given.name)
    line = ProgressLine("scanning:")
    drafts = []
    try:
        for place in places:
            # Given limits apply to scratch of no project only with --all-projects.
            theirs = None if place.is_elsewhere and not given.all_projects else limits
            policy = policy_of(place, theirs, given)
            try:
                with collector_at_rest():
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
                        ask_far=not given.background,  # that starts threads
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
    """Return `plan` without archives that go only for low space: the user did not choose them."""
    kept = tuple(step for step in plan.archives if step.reason.rule != LOW_SPACE)
    return plan._replace(archives=kept)


def ask(
    drafts: list[Draft],
    given: CleanArguments,
    now: float,
    *,
    remedy: str = "--yes instead of --ask cleans without asking",
) -> list[Draft]:
    """Return the drafts with the steps that the user chooses. Raises `Declined` for a no.

    Without `--ask`, it shows what goes and asks only on a terminal, and only if everything goes.
    With `--ask`, the error for a missing answer tells the `remedy`.
    """
    from ..asking import Dialogue

    stream = sys.stderr if given.ask else terminal()
    if stream is None:
        return drafts
    remedy = remedy if given.ask else "--yes cleans without asking"
    dialogue = Dialogue(stream, screen(stream), now, remedy)
    steps = sum(len(draft.plan.steps) for draft in drafts)
    if given.ask:
        drafts = _choose(dialogue, drafts)
    going = [draft for draft in drafts if draft.plan.policy.everything or given.ask]
    asked = [step for draft in going for step in draft.plan.steps]
    if asked and not given.dry_run:
        if not given.ask or len(asked) < steps:
            dialogue.show(asked, _titles(going))
        besides = [step for draft in drafts for step in draft.plan.archives]
        dialogue.confirm(asked, _linked(drafts), besides)
    return drafts


def _titles(drafts: Sequence[Draft]) -> list[str]:
    """Return the title of the place of each step."""
    return [draft.place.title for draft in drafts for _ in draft.plan.steps]


def _linked(drafts: Sequence[Draft]) -> list[str]:
    """Return the locations of the roots behind symlinks from which something would go."""
    return [
        draft.place.located()
        for draft in drafts
        if draft.plan.steps and draft.place.leads_to() is not None
    ]


def _choose(dialogue: Dialogue, drafts: list[Draft]) -> list[Draft]:
    steps = [step for draft in drafts for step in draft.plan.steps]
    for where in _linked(drafts):
        dialogue.say(f"entries in {plain(where)}")
    chosen = dialogue.choose(steps, _titles(drafts)) if steps else set()
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
