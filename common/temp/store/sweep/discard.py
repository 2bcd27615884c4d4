"""Removes an entry of this process, or an entry given by name, without a plan."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from ...core.layouts import SCRATCH, Layout
from ...errors import TempError, reason_of
from ..claiming.area import claimed
from ..claiming.claim import Claim, NotClaimed
from ..root.current_owners import own
from ..root.leases import Leases
from ..root.owner import hand_over
from ..root.pinning import Pins
from ..scanning.protections_inside import Within
from ..trees.measured_path import look_inside
from ..trees.removed import spell_failures


def discard(
    root: str, relative: str, layout: Layout = SCRATCH, *, whoever_made_it: bool = False
) -> str:
    """Remove the entry of this process at `relative`. Returns "", or why it could not be removed.

    Does nothing in a forked child, which did not make the entry, or if the entry is gone. The entry
    stays while another process holds it (`hold`, `lease_fds`); processes forked from this one, or
    that only work in it, do not count. If it cannot be removed, this process gives it up, and the
    next sweep removes it. Anything in its place that is not an entry of `layout` is left alone.

    With `whoever_made_it`, the entry need not be this process's, but a pin keeps it.
    """
    owner = own(root)
    is_ours = owner is not None and relative in owner.live
    if not (is_ours or whoever_made_it):
        return ""
    problem = ""
    path = os.path.join(root, relative)
    hand_over(root, relative)  # otherwise this process would still hold the descriptors itself
    try:
        status = os.lstat(path)
        if layout.category and not layout.holds(
            relative, is_directory=stat.S_ISDIR(status.st_mode)
        ):
            raise NotClaimed("is no longer a directory, so it is left alone")
        with claimed(Path(root), relative, (status.st_dev, status.st_ino)) as claim:
            try:
                why = _objection(claim, whoever_made_it=not is_ours)
            except BaseException:
                claim.put_back()
                raise
            if why:
                raise NotClaimed(f"{why}{claim.put_back()}", failed=True)
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
    except TempError as error:
        problem = str(error)
    if owner is not None:
        owner.release(relative)
    return problem


def _objection(claim: Claim, *, whoever_made_it: bool) -> str:
    """Why the claimed entry must stay: another process uses it or a root inside it; "" if none."""
    path, now = claim.path, time.time()
    if whoever_made_it and Pins(claim.root).of(path) is not None:
        return "is pinned"
    leases = Leases(claim.root)
    leases.refresh()
    held = leases.use_by_others(path, now, maker=not whoever_made_it)
    if held is not None:
        return f"in use: {held.who}"
    inside = look_inside(claim.holding, claim.held)
    if inside.unread:
        raise NotClaimed(f"cannot be looked into: {inside.unread}{claim.put_back()}", failed=True)
    if not inside.roots:
        return ""
    use = Within(claim.root).use_of(path, Path(claim.place), inside, now, now)
    return f"in use: {use.who}" if use is not None and not use.mine else ""
