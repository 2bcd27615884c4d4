"""Words and numbers used by all reports. Text from the disk is made safe to print here."""

from __future__ import annotations

import time

from ..core.entry import Entry, Problem
from ..core.units import spell_duration


def plain(text: str) -> str:
    """`text`, made safe to print.

    Every character that a terminal might act on is escaped, and so is the start of a command in the
    log of a GitHub workflow.
    """
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)
    if "::" in text and text.lstrip().startswith("::"):
        text = text.replace("::", "\\x3a:", 1)
    return text.replace("##[", "\\x23#[")


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as kept by os.fsdecode
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def instant(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the second."""
    try:
        told = time.gmtime(int(seconds))
    except (OverflowError, ValueError, OSError):
        return str(int(seconds))
    if not 1 <= told.tm_year <= 9999:  # the range for which ISO 8601 has digits
        return str(int(seconds))
    return f"{told.tm_year:04}-{time.strftime('%m-%dT%H:%M:%SZ', told)}"


def counted(number: int, noun: str = "entry", plural: str = "entries") -> str:
    """`1 entry`, `3 entries`."""
    return f"{number} {noun if number == 1 else plural}"


def age_seconds(entry: Entry, now: float) -> int:
    """Whole seconds since the entry arrived, last changed or was last used."""
    return max(0, int(now - entry.last))


def age(entry: Entry, now: float) -> str:
    """The age of an entry, such as `31 h`."""
    return spell_duration(max(0.0, now - entry.last))


def ago(entry: Entry, now: float) -> str:
    """The age of an entry in a sentence, such as `31 h ago`."""
    return f"{age(entry, now)} ago"


def problem_line(title: str, problem: Problem) -> str:
    """One line for stderr."""
    return f"problem: {plain(title)}: {plain(problem.path)}: {plain(problem.what)}"


def located(root: object, leads_to: object | None) -> str:
    """The path of a root, and where it leads if it is a link."""
    return f"{root} -> {leads_to}" if leads_to is not None else str(root)
