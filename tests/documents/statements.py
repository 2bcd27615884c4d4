"""A table of what a document says, each statement with the check that it holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import pytest

Check = Callable[[Path], object]


class Statement(NamedTuple):
    """What a document says, in our words; `differs` argues where we do otherwise on purpose.

    The check gets an empty directory, which is a project and the working directory.
    """

    says: str
    check: Check
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


def parameters(of: Callable[..., object]) -> list[tuple[str, Any]]:
    """The parameters of a callable but `self`, with their defaults; `...` is none."""
    return [
        (
            name,
            ...
            if one.default is one.empty
            else one.default.value
            if isinstance(one.default, Enum)
            else one.default,
        )
        for name, one in inspect.signature(of).parameters.items()
        if name != "self"
    ]
