"""The decision on an entry, its reasons in words, and what would change it."""

from __future__ import annotations

from typing import Final, Literal

from .entry import Entry
from .named_tuple import NamedTuple

Effect = Literal["goes", "stays", "silent"]

LOW_SPACE: Final = "low space"
"""The rule that removes entries if less is free than `min_free_space` or `low_water` asks for."""

ARCHIVE_KEEPS_SPACE: Final = "archive on the same disk"
"""The rule that keeps entries that would go only because space is low, if archiving them would free
no space."""

WITHIN_LIMITS: Final = "within limits"
"""The rule that keeps an entry that no limit chooses."""

KEEP_FILES: Final = "keep files"
"""The rule that keeps a whole entry because of files in it."""

KEEP_LAST_GOOD: Final = "keep last good"
"""The rule that keeps the newest good runs; reported only if a limit chooses one."""

KEEP_WITHIN: Final = "keep within"
"""The rule that keeps an entry for a time after its last change."""

NO_LIMIT: Final = "no limit"
"""The rule that keeps an entry to which no limit applies."""

UNSAVED: Final = "unsaved work"
"""The rule that keeps an entry with version-controlled work that exists nowhere else."""

UNFINISHED: Final = "to be finished"
"""The rule that removes the rest of an entry that a clean could only remove in part."""

ARTEFACT: Final = "artefact"
"""The rule that removes build artefacts, and their category."""

UNDO_OVER: Final = "undo time is over"
"""The rule that removes an entry that was set aside, once it can no longer be undone."""


class Reason(NamedTuple):
    """What one rule says about one entry: the rule's name, its effect, and the evidence."""

    rule: str
    effect: Effect
    evidence: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.evidence}" if self.evidence else self.rule


class Verdict(NamedTuple):
    """The decision on one entry, with its reasons, the deciding one first.

    `goes_in` is the seconds until the entry is too old if nothing changes: 0 if it goes now, `None`
    if it never goes by its age.
    """

    entry: Entry
    keep: bool
    reasons: tuple[Reason, ...]
    goes_in: float | None = None

    @property
    def reason(self) -> Reason:
        """The deciding reason."""
        return self.reasons[0]


def what_would_change(verdict: Verdict) -> str:
    """What would reverse this verdict, in words: a sentence for each condition."""
    if not verdict.keep:
        return (
            "It stays if it is pinned (`temp-pin`), if `exclude` matches it, "
            "or while a process uses it."
        )
    remedies = [_REMEDIES[reason.rule] for reason in verdict.reasons if reason.effect == "stays"]
    if verdict.reason.rule not in (NO_LIMIT, WITHIN_LIMITS) and all(
        reason.effect == "stays" for reason in verdict.reasons
    ):
        remedies.append("when it is over a limit, or with --everything")
    return f"It can go {', and '.join(remedies)}."


_REMEDIES: Final = {
    "in use": "when that process has ended, or with --include-in-use --name",
    "pinned": "after `temp-unpin`",
    UNSAVED: "when that is committed and pushed, or with --include-in-use --name",
    "excluded": "when no pattern in `exclude` matches it",
    "keep last": "when newer ones of its name exist or keep_last is smaller",
    KEEP_FILES: "when no pattern in `keep_files` matches what is in it",
    KEEP_LAST_GOOD: "when newer good ones of its name exist or with `keep_last_good = 0`",
    KEEP_WITHIN: "when it has been unchanged for longer",
    "unreadable": "with --everything, or once it can be read",
    "mounted": "when that filesystem is unmounted",
    ARCHIVE_KEEPS_SPACE: "without `archive`, or with an archive_location on another disk",
    NO_LIMIT: "with --everything or under a policy",
    WITHIN_LIMITS: "when it is over one of these limits, or with --everything",
}
