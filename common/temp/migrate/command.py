"""`temp-migrate` without invoke: reads arguments, checks files, prints and writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..choices import MIGRATE_FORMATS, choose
from ..errors import InvalidSettings
from ..report.progress import ProgressLine
from ..report.text import plain
from ..store.project.project import absolute, check_way
from . import output
from .checklist import checklist, checklist_text
from .engine import Options, examine
from .files import Ground, check_clean, find_grounds, leftovers
from .findings import FileResult
from .output import Seen
from .rules import by_code
from .write import remove_leftovers, replace_file


class MigrateArguments(NamedTuple):
    """The arguments of `temp-migrate` as given."""

    paths: Sequence[str] = ()
    diff: bool = False
    check: bool = False
    write: bool = False
    unsafe: bool = False
    select: str | None = None
    ignore: str | None = None
    output: str = "text"
    allow_dirty: bool = False
    explain: str | None = None


def migrate(arguments: MigrateArguments) -> int:
    """Rewrite, or show what would be rewritten and what is left. Returns the exit code.

    0: nothing to do, or all written. 1: findings are left, or a rewrite failed. 2: a bad argument.
    3: a file could not be read.
    """
    if arguments.explain is not None:
        print(output.explanation(_code(arguments.explain, "--explain")))
        return 0
    paths = [os.path.expanduser(path) for path in arguments.paths]
    mode = _mode(arguments)
    choose(arguments.output, "--format", MIGRATE_FORMATS)
    options = Options(arguments.unsafe, _codes(arguments.select, arguments.ignore))
    if mode == "write":
        for path in paths:
            check_way(absolute(Path(path)))
    grounds = find_grounds(paths)
    if mode == "write":
        for ground in grounds:
            remove_leftovers(ground.top, leftovers(ground))
    seen: list[Seen] = []
    failed = 0
    line = ProgressLine("reading:", ("file", "files"))
    try:
        for ground in grounds:
            checked = arguments.allow_dirty
            for result in examine(ground, options, progress=line):
                shown = ground.shown(result.path)
                if result.after is not None:
                    line.clear()
                    if mode == "diff" and arguments.output == "text":
                        _print_bytes(output.diff(shown, result))
                    if mode == "write":
                        if not checked:
                            check_clean(ground)
                            checked = True
                        result = _written(ground, result)
                        failed += bool(result.problem)
                # Drop its text, so that memory does not grow with the tree.
                seen.append(Seen(shown, replace(result, before=b"", after=result.after and b"")))
    finally:
        line.clear()
    sums = output.totals(sum(len(ground.selected) for ground in grounds), seen)
    _report(seen, sums, mode, arguments.output)
    is_done = True
    if mode == "check":
        items = checklist(paths, grounds, seen, options.codes)
        print(checklist_text(items), file=None if arguments.output == "text" else sys.stderr)
        is_done = all(item.is_met for item in items)
    if sums.problems > failed:
        return 3
    if mode == "write":
        return int(bool(failed))
    return int(bool(sums.left or sums.converted) or not is_done)


def _written(ground: Ground, result: FileResult) -> FileResult:
    """`result` after writing it; with the problem if that failed."""
    problem = replace_file(ground.top, result)
    if problem:
        findings = tuple(replace(finding, status="left") for finding in result.findings)
        return replace(result, findings=findings, after=None, problem=problem)
    findings = tuple(
        replace(finding, status="converted") if finding.status == "convertible" else finding
        for finding in result.findings
    )
    return replace(result, findings=findings)


def _report(seen: Sequence[Seen], sums: output.Totals, mode: str, form: str) -> None:
    if form == "json":
        print(output.as_json(seen, sums))
        return
    if form == "sarif":
        from .. import __version__

        print(output.as_sarif(seen, __version__))
        return
    if form == "github":
        lines = output.as_github(seen)
        print(lines, end="\n" if lines else "")
    else:
        shown = ("left", "convertible") if mode == "check" else ("left",)
        for path, result in seen:
            for finding in result.of(*shown):
                print(output.finding_line(path, finding))
    for path, result in seen:
        if result.problem:
            print(output.problem_line(path, result), file=sys.stderr)
    stream = sys.stderr if form == "github" else sys.stdout
    print(output.summary(sums, written=mode == "write"), file=stream)


def _print_bytes(text: bytes) -> None:
    """Print a diff in the file's encoding; on a terminal, with control characters escaped."""
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", None)
    if sys.stdout.isatty():
        for line in os.fsdecode(text).split("\n")[:-1]:
            print("\t".join(map(plain, line.split("\t"))))
    elif stream is None:
        print(text.decode(errors="backslashreplace"), end="")
    else:
        stream.write(text)
        stream.flush()


def _mode(arguments: MigrateArguments) -> str:
    given = [name for name in ("diff", "check", "write") if getattr(arguments, name)]
    if len(given) > 1:
        raise InvalidSettings(f"--{given[0]} and --{given[1]} exclude each other; choose one")
    return given[0] if given else "diff"


def _codes(select: str | None, ignore: str | None) -> frozenset[str]:
    """The codes of the rules to run; a prefix (`TK1`) selects all codes that start with it."""
    chosen = _named(select, "--select") if select is not None else frozenset(by_code())
    chosen -= _named(ignore, "--ignore") if ignore is not None else frozenset()
    if not chosen:
        raise InvalidSettings("--select and --ignore leave no rule; drop one of them")
    return chosen


def _named(text: str, flag: str) -> frozenset[str]:
    found: set[str] = set()
    for part in text.split(","):
        wanted = part.strip().upper()
        codes = [code for code in by_code() if wanted and code.startswith(wanted)]
        if not codes:
            raise InvalidSettings(f"{flag}: no rule {part.strip()!r}; there are {_all()}")
        found |= set(codes)
    return frozenset(found)


def _code(text: str, flag: str) -> str:
    code = text.strip().upper()
    if code not in by_code():
        raise InvalidSettings(f"{flag}: no rule {text!r}; there are {_all()}")
    return code


def _all() -> str:
    return ", ".join(by_code())
