"""`temp-check`: whether all scratch is within a budget, and which entries take the most."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..choices import TABLE_OR_JSON, choose
from ..core.budget import Budget, Usage, excesses, together
from ..core.entry import Problem
from ..core.links import INODES, once
from ..core.reasons import Verdict
from ..core.units import read_count, read_duration, read_size
from ..errors import OVER_BUDGET, InvalidSettings, Refused, StorageError
from ..report.budget import Checked, check_project, check_text, tracked_lines
from ..store.root.leftovers import measure_leftovers
from .forecast import look
from .places import Place, find_places
from .printing import print_problems, screen

if TYPE_CHECKING:
    from ..core.links import Tree

_CULPRITS: Final = 5


class CheckArguments(NamedTuple):
    """The arguments of `temp-check` as they were typed."""

    max_size: str | None = None
    min_free: str | None = None
    max_entries: str | None = None
    max_files: str | None = None
    max_age: str | None = None
    tracked: bool = False
    output: str = "table"
    all_projects: bool = False

    def budget(self) -> Budget:
        """Return the budget they describe. Raises `InvalidSettings`."""
        return Budget(
            None if self.max_size is None else read_size(self.max_size, "--max-size"),
            None if self.min_free is None else read_size(self.min_free, "--min-free"),
            None if self.max_entries is None else read_count(self.max_entries, "--max-entries"),
            None if self.max_files is None else read_count(self.max_files, "--max-files"),
            None if self.max_age is None else read_duration(self.max_age, "--max-age"),
        )


def check(given: CheckArguments) -> int:
    """Print whether all scratch is within its budget, and what exceeds it; return the exit code."""
    choose(given.output, "--format", TABLE_OR_JSON)
    budget = given.budget()
    now = time.time()
    needs_none = given.tracked and not budget.has_limit
    budgets = [] if needs_none else _budgets(budget, given.all_projects)
    checked = [_compare(limit, places, now) for limit, places in budgets]
    in_git: list[tuple[str, int]] = []
    if given.tracked:
        from ..store.project.tracked import tracked_scratch

        in_git = tracked_scratch(Path.cwd())
    if given.output == "json":
        from ..report.json import document

        said = [{"path": path, "files": files} for path, files in in_git] if given.tracked else None
        print(document("check", now, [check_project(one, now) for one in checked], tracked=said))
    else:
        for one in checked:
            print(check_text(one, now, screen()))
        if given.tracked:
            print("\n".join(tracked_lines(in_git)) or "git tracks nothing in .tmp or .temp")
    problems = [(one.title, problem) for one in checked for problem in one.problems]
    code = max(print_problems(problems), int(bool(in_git)))
    return OVER_BUDGET if any(one.over for one in checked) else code


def _budgets(given: Budget, all_projects: bool) -> list[tuple[Budget, list[Place]]]:
    """Return each budget with the roots it covers. Raises `InvalidSettings` if there is none.

    A given budget covers all roots together; without one, each root has its configured budget.
    """
    places = {
        os.path.realpath(place.root): place
        for place in reversed(find_places(all_projects))
        if not (place.abandoned_only or place.is_elsewhere)
    }
    each = [*reversed(places.values())]
    if given.has_limit:
        return [(given, each)]
    policies = [(place.settings.policy, place) for place in each]
    configured = [
        (Budget(policy.max_total_size, policy.min_free_space, None, policy.max_files), [place])
        for policy, place in policies
    ]
    budgets = [(budget, its) for budget, its in configured if budget.has_limit]
    if not budgets:
        raise InvalidSettings(
            "temp-check needs a limit: --max-size, --min-free, --max-entries, --max-files or "
            "--max-age, or max_total_size, max_files or min_free_space in the settings"
        )
    return budgets


def _compare(budget: Budget, places: Sequence[Place], now: float) -> Checked:
    """Compare the entries of all `places` together with `budget`."""
    usages: list[Usage] = []
    verdicts: list[tuple[str, Verdict]] = []
    problems: list[Problem] = []
    aside = undoable = 0
    for place in places:
        try:
            forecast = look(place, now)
            left, unread = measure_leftovers(place.root)
        except (StorageError, Refused) as error:
            problems.append(place.problem(error))
            continue
        inventory, judged = forecast.inventory, forecast.verdicts()
        trees: list[Tree] = [*inventory.entries, *inventory.undoable, *left]
        sizes, inodes = once(trees), sum(once(trees, INODES))
        oldest = max((now - one.entry.last for one in judged), default=0.0)
        usages.append(
            Usage(sum(sizes), inventory.free, len(judged), str(place.root), inodes, oldest)
        )
        if budget.min_free is not None and inventory.free is None:
            problems.append(Problem(place.root.name, "its filesystem does not say what is free"))
        verdicts += [(place.title, verdict) for verdict in judged]
        problems += [*inventory.problems, *unread]
        undoable += sum(sizes[len(judged) : len(judged) + len(inventory.undoable)])
        aside += sum(sizes[len(judged) + len(inventory.undoable) :])
    usage = together(usages)
    over = excesses(budget, usage)
    limits = {excess.limit for excess in over}
    if limits == {"max age"}:
        verdicts = [one for one in verdicts if now - one[1].entry.last > (budget.max_age or 0)]

    def most(one: tuple[str, Verdict]) -> tuple[float, str]:
        entry = one[1].entry
        if limits == {"max age"}:
            return entry.last, entry.path
        return -(entry.inodes if limits == {"max files"} else entry.size), entry.path

    verdicts.sort(key=most)
    culprits = tuple(verdicts[:_CULPRITS]) if over else ()
    others = len(verdicts) - len(culprits) if over else 0
    found = (over, culprits, aside, undoable, tuple(problems), others)
    return Checked(places[0].title, budget, usage, *found)
