"""Of which project a root is to which a link leads: another one may keep other things in it."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.fields import Unreadable
from ...core.layouts import LINKED_FROM, STORE
from ...errors import Refused
from ..system.reading import read_file


def link_of(root: Path) -> dict[str, str]:
    """The file for the store of `root` that records the link by which it is used, if `root` is
    one, by its name.
    """
    if not os.path.islink(root):
        return {}
    return {LINKED_FROM: f"{os.path.join(os.path.realpath(root.parent), root.name)}\n"}


def check_link_of_project(root: Path) -> None:
    """Raise `Refused` if `root` is a link to scratch that was first used by the link of another
    project, which still leads there: what that project keeps, this one does not know.
    """
    if not os.path.islink(root):
        return
    real = os.path.realpath(root)
    try:
        other = os.fsdecode(read_file(os.path.join(real, STORE, LINKED_FROM))).removesuffix("\n")
        is_other = os.path.islink(other) and not os.path.samestat(os.lstat(other), os.lstat(root))
    except (OSError, ValueError, Unreadable):
        return
    if is_other and os.path.realpath(other) == real:
        raise Refused(
            f"{root} leads to {real}, which is the scratch of {other}, and its settings do not "
            "count here; give each project a directory of its own, or if they are to share this "
            f"one: rm {real}/{STORE}/{LINKED_FROM}"
        )
