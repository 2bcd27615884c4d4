"""The output of a run as text, JSON, SARIF and GitHub annotations."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from ..report.text import counted, plain
from .findings import FileResult, Finding
from .line_diff import unified
from .rules import by_code

SCHEMA: Final = 1
_SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"


class Seen(NamedTuple):
    """A result with the path that is shown for its file."""

    shown: str
    result: FileResult


class Totals(NamedTuple):
    """The totals of a run."""

    files: int
    changed: int
    converted: int
    left: int
    unsafe: int
    skipped: int
    problems: int


def totals(files: int, seen: Iterable[Seen]) -> Totals:
    """The totals of a run over `files` files."""
    count: Counter[str] = Counter()
    for _, result in seen:
        count["changed"] += result.after is not None
        count["skipped"] += bool(result.skipped)
        count["problems"] += bool(result.problem)
        for finding in result.findings:
            if finding.status == "left":
                count["left"] += 1
                count["unsafe"] += finding.fix == "unsafe"
            else:
                count["converted"] += 1
    return Totals(
        files,
        count["changed"],
        count["converted"],
        count["left"],
        count["unsafe"],
        count["skipped"],
        count["problems"],
    )


def diff(shown: str, result: FileResult) -> bytes:
    """The unified diff of one file for `git apply` and `patch`, in the encoding of the file."""
    assert result.after is not None
    path = shown.replace(os.sep, "/")
    return unified(result.before, result.after, _quoted(f"a/{path}"), _quoted(f"b/{path}"))


def _quoted(name: str) -> bytes:
    """`name` as written by git in a diff: quoted if it has special characters."""
    raw = name.encode(errors="surrogateescape")
    if name.isprintable() and not set(name) & {'"', "\\"}:
        return raw
    spelled = (
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
        for byte in raw
    )
    return f'"{"".join(spelled)}"'.encode()


def finding_line(shown: str, finding: Finding) -> str:
    """The line for one finding: where it is, what is wrong, and what to do by hand."""
    line = f"{plain(shown)}:{finding.line}:{finding.column}: {finding.code} {finding.message}"
    if finding.status == "left" and finding.fix == "unsafe":
        line += " [--unsafe rewrites it]"
    if finding.advice:
        line += f"; {finding.advice}"
    return plain(line)


def problem_line(shown: str, result: FileResult) -> str:
    """The line for a file that could not be processed."""
    return plain(f"{shown}: {result.problem}")


def summary(sums: Totals, *, written: bool) -> str:
    """The last line of a run."""
    verb = "converted" if written else "can be converted"
    parts = [
        counted(sums.files, "file", "files"),
        f"{counted(sums.converted, 'site', 'sites')} {verb} in "
        f"{counted(sums.changed, 'file', 'files')}",
        f"{sums.left} left" + (f" ({sums.unsafe} by --unsafe)" if sums.unsafe else ""),
        f"{sums.skipped} skipped",
    ]
    if sums.problems:
        parts.append(f"{sums.problems} not readable")
    return ", ".join(parts)


# -- for programs ---------------------------------------------------------------------------------


def as_json(seen: Sequence[Seen], sums: Totals) -> str:
    """One JSON document."""
    said = {
        "schema": SCHEMA,
        "kind": "migrate",
        "findings": [
            {
                "path": shown,
                "line": finding.line,
                "column": finding.column,
                "last_line": finding.last_line,
                "code": finding.code,
                "message": finding.message,
                "advice": finding.advice,
                "fix": finding.fix or None,
                "status": finding.status,
            }
            for shown, result in seen
            for finding in result.findings
        ],
        "problems": [
            {"path": shown, "what": result.problem} for shown, result in seen if result.problem
        ],
        "skipped": [
            {"path": shown, "what": result.skipped} for shown, result in seen if result.skipped
        ],
        "summary": sums._asdict(),
    }
    return json.dumps(said, indent=2, ensure_ascii=True)


def as_sarif(seen: Sequence[Seen], version: str) -> str:
    """One SARIF 2.1.0 document."""
    used = sorted({finding.code for _, result in seen for finding in result.findings})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": by_code()[code].title},
            "fullDescription": {"text": by_code()[code].explain.strip()},
        }
        for code in used
    ]
    results = [
        {
            "ruleId": finding.code,
            "ruleIndex": used.index(finding.code),
            "level": "warning" if finding.fix else "note",
            "message": {"text": "; ".join(filter(None, [finding.message, finding.advice]))},
            "locations": [_location(shown, finding)],
        }
        for shown, result in seen
        for finding in result.findings
        if finding.status != "converted"
    ]
    notes = [
        {
            "level": "error",
            "message": {"text": result.problem},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(shown)}}}],
        }
        for shown, result in seen
        if result.problem
    ]
    run: dict[str, Any] = {
        "tool": {
            "driver": {"name": "tempkeep", "semanticVersion": version, "rules": rules},
        },
        "invocations": [{"executionSuccessful": not notes, "toolExecutionNotifications": notes}],
        "columnKind": "utf16CodeUnits",
        "results": results,
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def _location(shown: str, finding: Finding) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    region["endLine"] = finding.last_line
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(shown)}, "region": region}}


def _uri(shown: str) -> str:
    from urllib.parse import quote

    return quote(shown.replace(os.sep, "/").encode(errors="surrogateescape"))


def as_github(seen: Sequence[Seen]) -> str:
    """Workflow commands, one for each finding that is not converted yet."""
    lines = []
    for shown, result in seen:
        path = _escaped(plain(shown), properties=True)
        for finding in result.findings:
            if finding.status == "converted":
                continue
            text = "; ".join(filter(None, [finding.message, finding.advice]))
            where = f"file={path},line={finding.line},endLine={finding.last_line}"
            lines.append(
                f"::warning {where},col={finding.column},title={finding.code}::{_escaped(text)}"
            )
        if result.problem:
            lines.append(f"::error file={path},title=tempkeep::{_escaped(result.problem)}")
    return "\n".join(lines)


def _escaped(text: str, *, properties: bool = False) -> str:
    table = {"%": "%25", "\r": "%0D", "\n": "%0A"}
    if properties:
        table |= {":": "%3A", ",": "%2C"}
    return "".join(table.get(letter, letter) for letter in "\n".join(map(plain, text.split("\n"))))


# -- documentation --------------------------------------------------------------------------------


def explanation(code: str) -> str:
    """The documentation of one rule."""
    rule = by_code()[code]
    kinds = {"safe": "rewritten by default", "unsafe": "rewritten by --unsafe", "": "reported"}
    return f"{rule.code}: {rule.title} ({kinds[rule.fix]})\n\n{rule.explain.strip()}"
