"""`# tempkeep: keep TK004 why`: comments that keep a line as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .findings import Finding
from .module import Module

CODE: Final = "TK190"
_COMMENT: Final = re.compile(r"#\s*tempkeep:\s*keep\b(?P<rest>[^#]*)", re.IGNORECASE)
MARK: Final = b"tempkeep:"
"""Every file with a suppression contains this."""

_CODES: Final = re.compile(
    r"\s*:?\s*(?P<codes>TK\d+(?:\s*,\s*TK\d+)*)?\W*(?P<reason>.*)", re.DOTALL
)


def apply(module: Module, findings: Sequence[Finding], codes: frozenset[str]) -> list[Finding]:
    """`findings` without the suppressed ones, plus one for each suppression that lacks a rule or
    reason, or suppresses nothing. `codes` are the rules that ran.
    """
    if MARK not in module.source.data:
        return list(findings)
    by_line: dict[int, list[Finding]] = {}
    for finding in findings:
        for line in range(finding.line, finding.last_line + 1):
            by_line.setdefault(line, []).append(finding)
    gone: set[int] = set()
    about: list[Finding] = []
    for comment in module.source.comments:
        said = _COMMENT.search(comment.text)
        if said is None:
            continue
        match = _CODES.match(said["rest"])
        named = re.findall(r"TK\d+", (match["codes"] or "") if match else "")
        reason = match["reason"].strip() if match else ""
        here = [
            finding
            for finding in by_line.get(comment.line, ())
            if id(finding) not in gone and (not named or finding.code in named)
        ]
        gone |= {id(finding) for finding in here}
        column = comment.start - module.source.line_span(comment.line)[0] + 1
        idle = [code for code in named if code in codes and all(f.code != code for f in here)]
        if idle or (not named and not here and codes == _all_codes()):
            what = f"suppresses nothing{' of ' + ', '.join(idle) if named else ''}; remove it"
            about.append(Finding(CODE, comment.line, column, comment.line, what))
        elif here and not (named and reason):
            what = "keeps this line without saying which rule and why"
            advice = f"write # tempkeep: keep {here[0].code} <reason>"
            about.append(Finding(CODE, comment.line, column, comment.line, what, advice))
    return [*(finding for finding in findings if id(finding) not in gone), *about]


def _all_codes() -> frozenset[str]:
    from .rules import by_code

    return frozenset(by_code())
