"""Removing an entry of this process's own, without a plan."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from ...core.layout import SCRATCH, Layout
from ...errors import reason_of
from ..claiming.area import claimed
from ..claiming.claim import Claim, NotClaimed
from ..claiming.inner import Within
from ..root.owner import own
from ..trees.inside import look_inside
from ..trees.removed import spell_failures


def discard(root: str, relative: str, layout: Layout = SCRATCH) -> str:
    """Remove the entry of this process at `relative`; "" or why it could not be removed.

    Does nothing in a forked child, which did not make the entry, or if it is gone. An entry that
    cannot be removed is no longer this process's: the next sweep removes it. Anything in its place
    that is not an entry of `layout` is left alone.
    """
    owner = own(root)
    if owner is None or relative not in owner.live:
        return ""
    problem = ""
    path = os.path.join(root, relative)
    try:
        status = os.lstat(path)
        if layout.category and not layout.holds(
            relative, is_directory=stat.S_ISDIR(status.st_mode)
        ):
            raise NotClaimed("is no longer a directory, so it is left alone")
        with claimed(Path(root), relative, (status.st_dev, status.st_ino)) as claim:
            if user := _user_within(claim):
                raise NotClaimed(f"in use by {user}{claim.put_back()}", failed=True)
            removed = claim.remove()
        if removed.failures:
            problem = spell_failures(removed)
    except FileNotFoundError:
        pass
    except NotClaimed as reason:
        if reason.failed or os.path.lexists(path):
            problem = reason.detail
    except OSError as error:
        problem = reason_of(error)
    owner.release(relative)
    return problem


def _user_within(claim: Claim) -> str:
    """The other process that uses a root inside the claimed entry; "" if none does."""
    inside = look_inside(claim.holding, claim.held)
    if inside.unread:
        raise NotClaimed(f"cannot be looked into: {inside.unread}{claim.put_back()}", failed=True)
    if not inside.roots:
        return ""
    path, now = claim.path, time.time()
    use = Within(claim.root).use_of(path, Path(claim.place), inside, now, now)
    return use.who if use is not None and not use.mine else ""
