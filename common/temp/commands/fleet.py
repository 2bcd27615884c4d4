"""`temp-report`: merges the reports of many hosts into one view."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..choices import REPORT_FORMATS, choose
from ..core.fields import Unreadable
from ..core.fleet import Fleet, Merging, read_document
from ..core.units import read_duration
from ..errors import InvalidSettings
from ..report.text import plain
from ..store.system.reading import read_file, read_json
from .printing import complain, screen

_MOST_BYTES: Final = 16 << 20
"""The largest document that is read; longer lists of entries are not meant for merging."""


class ReportArguments(NamedTuple):
    """The arguments of `temp-report` as they were typed."""

    paths: Sequence[str]
    merge: bool = False
    output: str = "table"
    expect: str | None = None
    stale: str | None = None
    file: str | None = None


def merge(given: ReportArguments) -> int:
    """Print the merged reports, or write them to a file; return the exit code."""
    choose(given.output, "--format", REPORT_FORMATS)
    if not (given.merge and given.paths):
        raise InvalidSettings(
            "temp-report: give --merge and the files that `temp-status --format json` wrote"
        )
    stale = None if given.stale is None else read_duration(given.stale, "--stale")
    expected = [] if given.expect is None else _expected(given.expect)
    merging, unread = Merging(), []
    for path in given.paths:
        try:
            merging.add(read_document(_read(path)))
        except Unreadable as error:
            unread.append(f"{path}: {error}")
    now = time.time()
    fleet = merging.fleet(now, expected, stale)
    text = _text(fleet, now, unread, given)
    if given.file is not None:
        from ..store.project.output_file import write_named

        write_named(Path(given.file), f"{text}\n", "choose another --output")
    else:
        print(text)
    for line in unread:
        complain(f"problem: {plain(line)}")
    return int(bool(unread) or not fleet.is_well)


def _read(path: str) -> object:
    try:
        return read_json(path, _MOST_BYTES, follow=True)
    except (FileNotFoundError, NotADirectoryError):
        raise Unreadable("there is no such file") from None


def _text(fleet: Fleet, now: float, unread: Sequence[str], given: ReportArguments) -> str:
    if given.output == "json":
        from ..report.fleet import fleet_json

        return fleet_json(fleet, now, unread)
    if given.output == "html":
        from ..report.fleet_page import fleet_page

        return fleet_page(fleet, now, unread)
    from ..report.fleet import fleet_text

    return fleet_text(fleet, screen() if given.file is None else None)


def _expected(text: str) -> list[str]:
    """Return the hosts of a comma-separated list, or of the lines of the file after `@`. Raises
    `InvalidSettings`.
    """
    if not text.startswith("@"):
        names = text.split(",")
    else:
        try:
            lines = read_file(text[1:], follow=True).decode("utf-8", "replace").splitlines()
        except (Unreadable, OSError) as error:
            why = error if isinstance(error, Unreadable) else "there is no such file"
            raise InvalidSettings(f"--expect: {text[1:]}: {why}") from None
        names = [line.partition("#")[0] for line in lines]
    found = [name.strip() for name in names if name.strip()]
    if not found:
        raise InvalidSettings("--expect: expected names of hosts, as a,b or @FILE, and got none")
    return found
