"""What git tracks of scratch, in the work tree in which one stands."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Final

from ..errors import Refused, reason_of

_SCRATCH: Final = frozenset({".tmp", ".temp"})


def tracked_scratch(directory: Path) -> list[tuple[str, int]]:
    """The `.tmp` and `.temp` of the whole work tree around `directory` in which git tracks files.

    Their paths, relative to `directory`, and how many files. In a hook of git, what would be
    tracked after the commit. Raises `Refused` if git cannot be asked.
    """
    try:
        asked = subprocess.run(
            ["git", "ls-files", "-z", "--", ":/"],  # noqa: S607
            cwd=directory,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise Refused(f"cannot run git: {reason_of(error)}") from error
    if asked.returncode:
        said = os.fsdecode(asked.stderr).strip().partition("\n")[0]
        raise Refused(f"git cannot list what it tracks in {directory}: {said}")
    found: Counter[str] = Counter()
    for path in asked.stdout.split(b"\0"):
        parts = os.fsdecode(path).split("/")
        at = next((index for index, part in enumerate(parts) if part in _SCRATCH), None)
        if at is not None:
            found["/".join(parts[: at + 1])] += 1
    return sorted(found.items())
