"""Deciding whether a missing root in the settings is misspelt, or just not created yet.

A service creates its directory, and the parents of it, at first use. So a missing root is not an
error by itself, as in a fresh clone. It is an error if a directory with nearly the same name
exists, or if its parent is missing outside the project, where nothing creates it: an unmounted
disk, for example.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ...core.layouts import is_inside

_ALIKE: Final = 0.75
"""The `difflib` ratio from which one name counts as a misspelling of another."""


def why_misspelt(root: Path, project: Path, others: Iterable[Path]) -> str:
    """What is wrong with the missing `root`, and what to do; "" if it exists or may be created yet.

    `others` are the other roots, which cannot be the intended one.
    """
    if os.path.lexists(root):
        return ""
    missing = root
    while not os.path.lexists(missing.parent):
        missing = missing.parent
    meant = _meant(missing, {str(other) for other in others})
    if meant is not None:
        whole = meant / root.relative_to(missing)
        return (
            f"{root} does not exist; did you mean {whole}? Correct it, or make the directory "
            f"(mkdir -p {root})"
        )
    if missing != root and not is_inside(str(root), str(project)):
        return (
            f"{root} does not exist, nor does {missing}; correct it, mount what belongs there, or "
            f"make the directory (mkdir -p {root})"
        )
    return ""


def _meant(missing: Path, others: set[str]) -> Path | None:
    """The directory beside `missing` that was probably meant, if any."""
    from difflib import SequenceMatcher  # needed by few commands

    def likeness(name: str) -> float:
        ours, theirs = missing.name.casefold(), name.casefold()
        if sorted(ours) == sorted(theirs):
            return 1.0  # the same letters in another order
        return SequenceMatcher(None, ours, theirs).ratio()

    try:
        with os.scandir(missing.parent) as items:
            names = sorted(item.name for item in items if item.is_dir())
    except OSError:
        return None
    alike = [
        (likeness(name), name)
        for name in names
        # Names that differ only in a number are different on purpose.
        if name.rstrip("0123456789") != missing.name.rstrip("0123456789")
        and not any(is_inside(other, str(missing.parent / name)) for other in others)
    ]
    best = max(alike, default=(0.0, ""))
    return missing.parent / best[1] if best[0] >= _ALIKE else None
