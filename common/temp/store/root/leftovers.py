"""Measures what is claimed in a root but not freed yet."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.entry import Problem
from ...core.layouts import STORE, UNDO
from ...errors import reason_of
from ..trees.measured import Measured
from ..trees.measured_path import measure_at
from .listing import holding_places


def measure_leftovers(root: Path) -> tuple[list[Measured], list[Problem]]:
    """The sizes of everything claimed in `root` or in its undo area, whether or not it is being
    freed now, and the problems that hid some of it.
    """
    found: list[Measured] = []
    problems: list[Problem] = []
    for directory, prefix in (*holding_places(root), *holding_places(root / STORE / UNDO)):
        try:
            names = [name for name in os.listdir(directory) if name.startswith(prefix)]
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(Problem(os.path.relpath(directory, root), reason_of(error)))
            continue
        for name in names:
            path = os.path.join(directory, name)
            below = os.path.relpath(path, root)
            try:
                measured = measure_at(None, path)
            except FileNotFoundError:
                continue  # it is being freed
            except OSError as error:
                problems.append(Problem(below, reason_of(error)))
                continue
            found.append(measured)
            problems += [Problem(f"{below}/{where}", what) for where, what in measured.problems]
    return found, problems
