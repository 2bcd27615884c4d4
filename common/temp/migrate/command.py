"""`temp-migrate` without invoke: reads arguments, checks files, prints results, writes files."""

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
from .engine import examine
from .files import Ground, check_clean, find_grounds, leftovers
from .findings import FileResult
from .output import Seen
from .rework import Options
from .rules import by_code
from .undeclared import CODE as DEPENDENCY
from .undeclared import additions
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
    add_dependency: bool = False


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
    options = Options(
        arguments.unsafe,
        _codes(arguments.select, arguments.ignore),
        add_dependency=arguments.add_dependency,
    )
    if mode == "write":
        for path in paths:
            check_way(absolute(Path(path)))
    grounds = find_grounds(paths)
    if mode == "write":
        for ground in grounds:
            remove_leftovers(ground.top, leftovers(ground))
    run = _Run(mode, arguments.output, ProgressLine("reading:", ("file", "files")))
    try:
        for ground in grounds:
            run.over(ground, options, allow_dirty=arguments.allow_dirty)
    finally:
        run.line.clear()
    sums = output.totals(sum(len(ground.selected) for ground in grounds), run.seen)
    _report(run.seen, sums, mode, arguments.output)
    is_done = True
    if mode == "check":
        items = checklist(paths, grounds, run.seen, options.codes)
        print(checklist_text(items), file=None if arguments.output == "text" else sys.stderr)
        is_done = all(item.is_met for item in items)
    if sums.problems > run.failed:
        return 3
    if mode == "write":
        return int(bool(run.failed))
    return int(bool(sums.left or sums.converted) or not is_done)


class _Run:
    """A run in one mode, and what it has seen so far."""

    def __init__(self, mode: str, form: str, line: ProgressLine) -> None:
        self._mode = mode
        self._shows_diff = mode == "diff" and form == "text"
        self.line = line
        self.seen: list[Seen] = []
        self.failed = 0

    def over(self, ground: Ground, options: Options, *, allow_dirty: bool) -> None:
        """Go through the files of a tree."""
        self._checked = allow_dirty
        waiting = []
        for result in examine(ground, options, progress=self.line):
            if result.needs is not None:
                waiting.append(result)
            else:
                self._take(ground, result)
        # Dependencies come first, so that a killed run leaves no import that fails.
        missing = {}
        for project, added in additions(ground, [r.needs for r in waiting if r.needs]):
            if problem := self._take(ground, added):
                missing[project] = f"{added.path} does not list tempkeep: {problem}"
        for result in waiting:
            assert result.needs is not None
            if result.needs.project in missing:
                result = _unwritten(result, missing[result.needs.project])
                self.failed += 1
            self._take(ground, result)

    def _take(self, ground: Ground, result: FileResult) -> str:
        """Show or write one result; returns the problem if there is one."""
        shown = ground.shown(result.path)
        if result.after is not None:
            self.line.clear()
            if self._shows_diff:
                _print_bytes(output.diff(shown, result))
            if self._mode == "write":
                if not self._checked:
                    check_clean(ground)
                    self._checked = True
                result = _written(ground, result)
                self.failed += bool(result.problem)
        # Drop its text, so that memory does not grow with the tree.
        self.seen.append(Seen(shown, replace(result, before=b"", after=result.after and b"")))
        return result.problem


def _written(ground: Ground, result: FileResult) -> FileResult:
    """`result` after writing it: with the lines of the new file, or with the problem."""
    problem = replace_file(ground.top, result)
    if problem:
        return _unwritten(result, problem)
    converted = (replace(one, status="converted") for one in result.of("convertible"))
    findings = sorted((*converted, *result.remaining), key=lambda one: (one.line, one.column))
    return replace(result, findings=tuple(findings))


def _unwritten(result: FileResult, problem: str) -> FileResult:
    findings = tuple(replace(finding, status="left") for finding in result.findings)
    return replace(result, findings=findings, after=None, problem=problem)


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
            for finding in result.findings:
                if finding.status in shown or finding.code == DEPENDENCY:
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
