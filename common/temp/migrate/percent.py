"""Recognises text that is formatted with `%`."""

from __future__ import annotations

import ast
from collections.abc import Sequence


def is_percent(parent: ast.AST, node: ast.AST) -> bool:
    """Whether `parent` formats `node` with `%`."""
    return isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mod) and parent.right is node


def is_plain_percent(text: str, index: int, count: int) -> bool:
    """Whether the conversion in `text` for the value at `index` (of `count`) is a plain `%s`."""
    found = _conversions(text)
    return found is not None and len(found) == count and found[index] == "s"


def _conversions(text: str) -> Sequence[str] | None:
    """The text after each `%`; `None` if it is not a plain list of conversions."""
    found = []
    pieces = iter(text.split("%"))
    next(pieces)
    for piece in pieces:
        if not piece:  # %%
            if next(pieces, None) is None:
                return None
            continue
        kind = piece.lstrip("#0- +.123456789")
        if not kind or kind[0] in "(*":
            return None
        found.append(piece[: len(piece) - len(kind)] + kind[0])
    return found
