"""Applies the edits of findings, and adds and removes imports as they require."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable, Sequence

from . import new_imports, unused_imports
from .findings import Edit, Finding, Import
from .positions import Spans
from .scopes import Binding, Scopes
from .source import Source, Unreadable
from .style import Style


class Unsound(Exception):
    """A rewrite failed the final check; the message says why."""


def compatible(findings: Iterable[Finding]) -> list[Finding]:
    """The `findings`, in order, without those that edit the same bytes as an earlier one."""
    chosen: list[Finding] = []
    taken = Spans()
    for finding in findings:
        spans = [(edit.start, max(edit.end, edit.start + 1)) for edit in finding.edits]
        if finding.moves:
            spans = [(min(start for start, _ in spans), max(end for _, end in spans))]
        if not any(taken.meet(*span) for span in spans):
            taken.add(spans)
            chosen.append(finding)
    return chosen


def rewrite(
    source: Source,
    scopes: Scopes,
    findings: Sequence[Finding],
    may_drop: Callable[[Binding], bool],
    style: Style,
) -> tuple[bytes, list[Edit]]:
    """The text of `source` after the edits of `findings`, and all edits that were made.

    `may_drop` tells whether an import that is no longer used may be removed. Raises `NoRoom` if
    there is no place for an import. Call `check` on the text before using it.
    """
    edits = [edit for finding in findings for edit in finding.edits]
    dropped = unused_imports.unused(source, scopes, edits, may_drop)
    removals, gone = unused_imports.removals(source, dropped)
    additions = list(new_imports.additions(source, _wanted(findings), gone, style))
    edits += additions
    edits += unused_imports.beside_additions(source, removals, additions)
    return apply(source.data, edits), edits


def _wanted(findings: Sequence[Finding]) -> list[Import]:
    return list(dict.fromkeys(want for finding in findings for want in finding.imports))


def apply(data: bytes, edits: Iterable[Edit]) -> bytes:
    """`data` after `edits`, which must not overlap."""
    pieces = []
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        assert edit.start >= done, "edits overlap"
        pieces += [data[done : edit.start], edit.text]
        done = edit.end
    return b"".join([*pieces, data[done:]])


def check(before: Source, after: Source, scopes: Scopes, findings: Sequence[Finding]) -> None:
    """Raises `Unsound` unless `after` compiles, and its new names refer to the right imports.

    `scopes` belongs to `after`. Raises `Unreadable` if `before` itself does not compile.
    """
    if error := _error(before):
        raise Unreadable(f"does not compile: {error}")
    if error := _error(after):
        raise Unsound(f"would not compile after the rewrite ({error})")
    meant: dict[str, set[str]] = {}
    for want in _wanted(findings):
        meant.setdefault(want.bound, set()).add(f"{want.module}.{want.name}")
    for node in scopes.nodes(ast.Name):
        is_new = node.id in meant and isinstance(node.ctx, ast.Load)
        if is_new and {scopes.meaning(node).dotted} != meant[node.id]:
            raise Unsound(f"the rewrite would use {node.id} for something else")


def _error(source: Source) -> str:
    """Why the source does not compile; "" if it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source.text, "<source>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return ""
