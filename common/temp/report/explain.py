"""The text output of `temp-explain`: one entry, rule by rule."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.reasons import Reason, Verdict, what_would_change
from ..core.units import spell_size
from .text import ago, counted, instant, plain


def explanation(
    verdict: Verdict, reasons: Sequence[Reason], now: float, elsewhere: str = ""
) -> str:
    """Why an entry stays or goes, rule by rule, and what would change that.

    If the root is a link, `elsewhere` is where it leads.
    """
    entry = verdict.entry
    where = f" in {plain(entry.changed_in)}" if entry.changed_in else ""
    last = f"last change {instant(entry.changed)} ({ago(entry, now)}){where}"
    if entry.changed < entry.last:
        since = "last used" if entry.used == entry.last else "arrived"
        last = f"last change {instant(entry.changed)}{where}, {since} {ago(entry, now)}"
    made_by = f"made by {plain(entry.made_by)}" if entry.made_by else "made by an unknown process"
    marks = {"goes": "-", "stays": "+", "silent": " "}
    return "\n".join(
        [
            f"{plain(entry.path)}: {'stays' if verdict.keep else 'would go'}, "
            f"{plain(str(verdict.reason))}",
            f"  {spell_size(entry.size)} in {counted(entry.files, 'file', 'files')}, {last}",
            *_links(entry.shared),
            f"  {made_by}",
            *([f"  in {plain(elsewhere)}"] if elsewhere else []),
            "",
            "rule by rule (- removes it, + keeps it):",
            *(f"  {marks[reason.effect]} {plain(str(reason))}" for reason in reasons),
            "",
            plain(what_would_change(verdict)),
        ]
    )


def _links(shared: int) -> list[str]:
    """A line on bytes that removing this entry alone does not free, if there are any."""
    return [f"  {spell_size(shared)} of it has hard links elsewhere too"] if shared else []
