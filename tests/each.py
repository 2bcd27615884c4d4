"""Runs many cases in one test."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]


def each(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, but in one test with the same fixtures for all cases. A
    failure names its case. For quick cases that leave nothing behind.
    """
    wanted = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    given = [dict(zip(wanted, one if len(wanted) > 1 else [one], strict=True)) for one in cases]

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            for case in given:
                try:
                    test(**fixtures, **case)
                except BaseException as error:
                    error.add_note(f"where {', '.join(f'{n} = {case[n]!r}' for n in case)}")
                    raise

        taken = inspect.signature(test)
        left = [one for one in taken.parameters.values() if one.name not in wanted]
        run.__signature__ = taken.replace(parameters=left)  # type: ignore[attr-defined]
        return run

    return decorate
