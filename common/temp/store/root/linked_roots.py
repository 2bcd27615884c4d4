"""Which project a symlinked root belongs to: another project may protect other entries in it."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.fields import Unreadable
from ...core.layouts import LINKED_FROM, STORE, is_inside
from ...errors import Refused
from ..project.project import SCRATCH_NAMES, containing_project
from ..system.reading import read_file


def link_of(root: Path) -> dict[str, str]:
    """The file, name and content, for the store of a `root` that is a symlink: it records the
    symlink. Empty if `root` is not one.
    """
    if not os.path.islink(root):
        return {}
    return {LINKED_FROM: f"{os.path.join(os.path.realpath(root.parent), root.name)}\n"}


def check_link_of_project(root: Path) -> None:
    """Raise `Refused` if `root` is a symlink to the scratch of another project, or to a directory
    that another project's symlink was first to use and still leads to. This project does not know
    what that one protects. A project that contains this one is fine, since its settings apply here.
    """
    if not os.path.islink(root):
        return
    real = os.path.realpath(root)
    owner = Path(os.path.dirname(real))
    is_around = is_inside(os.path.realpath(root.parent), str(owner))
    is_named_so = os.path.basename(real) in SCRATCH_NAMES
    if is_named_so and not is_around and containing_project(owner) == owner:
        raise Refused(
            f"{root} leads to the scratch of {owner}, and the settings of that do not count here; "
            "clean there, or give each project a directory of its own"
        )
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
