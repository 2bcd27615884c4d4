"""Cleans for which no limit is given or configured, so that everything unprotected goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..core.policy import Policy
from ..errors import Refused
from ..report.text import plain
from .clean_arguments import CleanArguments, policy_of
from .drafts import Draft
from .places import Place
from .printing import complain, terminal

_REMEDY: Final = 'set max_age = "7d" or another limit in [tool.tempkeep]'


def check_policy(places: Sequence[Place], limits: Policy | None, given: CleanArguments) -> None:
    """Raise `Refused` if one of `places` requires a policy and has none.

    `limits` replace the configured ones.
    """
    titles = [
        place.title
        for place in places
        if (given.require_policy or place.settings.require_policy)
        and policy_of(place, limits, given).unconfigured
    ]
    if titles:
        raise Refused(
            f"no policy is configured for {_named(titles)}, and one is required; {_REMEDY}, or "
            "give one on the command line (--everything cleans all that nothing protects)"
        )


def warn_unattended(drafts: Sequence[Draft]) -> None:
    """Without a terminal to ask on, warn that everything goes, why, and how to change that."""
    titles = [
        draft.place.title for draft in drafts if draft.plan.policy.unconfigured and draft.plan.steps
    ]
    if titles and terminal() is None:
        complain(
            f"no policy is configured for {_named(titles)}, so all that nothing protects goes; "
            f"{_REMEDY}, or refuse to clean without one (require_policy = true)"
        )


def _named(titles: Sequence[str]) -> str:
    others = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
    return f"{plain(titles[0])}{others}"
