"""What a document says, in our words, with a check that it holds here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """What is said, or what a reader may expect, and a check of it in a project, which raises or
    returns false if it does not hold.

    Where it is otherwise here, `differs` argues why, and the check is of what holds here.
    """

    says: str
    holds: Callable[[Path], object]
    differs: str = ""


def parameters(called: Callable[..., Any]) -> list[tuple[str, object]]:
    """The names of the parameters, with their defaults."""
    return [(one.name, one.default) for one in inspect.signature(called).parameters.values()]
