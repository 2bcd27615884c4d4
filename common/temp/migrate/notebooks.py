"""Runs the rules on the cells of a Jupyter notebook, which is never rewritten."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from .findings import FileResult, Finding
from .module import Module
from .rework import Options, listed
from .rules import Rule
from .source import Source, Unreadable
from .tree import Tree

_MAGIC: Final = re.compile(r"^(\s*)(?:[%!?]|\w[\w\s,]*=\s*[%!]).*$")
_PYTHON_MAGICS: Final = ("%%time", "%%timeit", "%%capture", "%%prun")


class _Cell(NamedTuple):
    """A code cell: its number in the notebook (from 1), and its text without magics and shell
    commands.
    """

    number: int
    text: str


def examine(
    path: str, raw: bytes, tree: Tree, options: Options, rules: Sequence[Rule]
) -> FileResult | None:
    """The findings in the notebook at `path`; `None` if there are none. Raises `Unreadable`."""
    cells = list(_cells(raw))
    parsed = [cell for cell in cells if _is_python(cell.text)]
    text = "".join(f"{cell.text}\n" for cell in parsed)
    where = [(cell, line) for cell in parsed for line in range(1, cell.text.count("\n") + 2)]
    lines = raw.decode().split("\n")
    findings = []
    for found in listed(Module(path, Source(text.encode()), tree), rules, options):
        cell, line = where[min(found.line, len(where)) - 1]
        findings.append(_placed(found, cell, line, lines))
    findings.sort(key=lambda finding: (finding.line, finding.column))
    return FileResult(path, tuple(findings)) if findings else None


def _cells(raw: bytes) -> Iterator[_Cell]:
    try:
        document: dict[str, Any] = json.loads(raw)
        cells: list[Any] = document["cells"] if "cells" in document else _old(document)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"is not a notebook: {error}") from error
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        said = cell.get("source", cell.get("input", ""))
        lines = said if isinstance(said, list) else [said]
        text = "".join(str(line) for line in lines)
        if text.startswith("%%") and not text.startswith(_PYTHON_MAGICS):
            continue
        yield _Cell(number, "\n".join(_MAGIC.sub(r"\1pass", line) for line in text.split("\n")))


def _old(document: dict[str, Any]) -> list[Any]:
    """The cells of a version 3 notebook."""
    return [cell for sheet in document["worksheets"] for cell in sheet["cells"]]


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _placed(finding: Finding, cell: _Cell, line: int, lines: Sequence[str]) -> Finding:
    """`finding` with its cell in the message, and the line of the file that has its code."""
    code = cell.text.split("\n")[line - 1]
    spelled = json.dumps(code)[1:-1]
    number = next((index for index, said in enumerate(lines, 1) if spelled in said), 1)
    said = finding.left(
        f"cell {cell.number}, line {line}: {finding.message}",
        finding.advice or "change it by hand: notebooks are not rewritten",
    )
    return replace(said, line=number, last_line=number, column=1)
