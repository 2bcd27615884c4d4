"""What git tracks of scratch: in the work tree in which one stands, and of a single link."""

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


def tracks(path: str) -> bool:
    """Whether git tracks what lies at the absolute `path`, in any work tree around it.

    An outer repository may track what lies in an inner one that was made later. Raises `Refused` if
    there is a repository, and git cannot be asked.
    """
    for above in Path(path).parents:
        if os.path.lexists(above / ".git") and _tracks(above, path):
            return True
    return False


def _tracks(work_tree: Path, path: str) -> bool:
    # What a git hook hands down speaks of the repository of the hook, which may be another one.
    environment = {
        name: said
        for name, said in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    environment |= {"GIT_DISCOVERY_ACROSS_FILESYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}
    below = os.path.relpath(path, work_tree).replace(os.sep, "/")
    # No program that the repository names is to be run. Whatever the case: some disks have none.
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "-z", "--"]
    try:
        asked = subprocess.run(  # noqa: S603
            [*command, f":(top,literal,icase){below}"],
            cwd=work_tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        said = f"cannot run git: {reason_of(error)}"
    else:
        if not asked.returncode:
            return bool(asked.stdout)
        said = os.fsdecode(asked.stderr).strip().partition("\n")[0]
    raise Refused(
        f"{path} is a symlink, and git cannot say whether it tracks it ({said}); make `git "
        f"ls-files` work in {work_tree}, or remove the link"
    )
