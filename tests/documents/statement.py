"""A statement of a document, in our words, with a check that it holds here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import pytest

Check = Callable[[Path], object]


class Statement(NamedTuple):
    """What is said, or what a reader may expect, and a check of it in a project, which raises or
    returns false if it does not hold.

    Where it is otherwise here, `differs` argues why, and the check is of what holds here.
    """

    says: str
    holds: Check
    differs: str = ""


class Statements(list[Statement]):
    """The statements of one document, in its order."""

    def says(self, text: str, differs: str = "") -> Callable[[Check], Check]:
        """A decorator: the function checks this statement."""

        def add(check: Check) -> Check:
            self.append(Statement(text, check, differs))
            return check

        return add

    def each(self) -> pytest.MarkDecorator:
        """For the one test that checks them all."""
        return pytest.mark.parametrize("statement", self, ids=lambda one: one.says)


def parameters(called: Callable[..., Any]) -> list[tuple[str, Any]]:
    """The names of the parameters but `self`, with their defaults; of an enum, the value."""
    found = inspect.signature(called).parameters.values()
    return [
        (one.name, one.default.value if isinstance(one.default, Enum) else one.default)
        for one in found
        if one.name != "self"
    ]
