"""Build artefacts of one project: measured, and removed in place."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...core.layouts import HISTORY, STORE, STORE_PARTS
from ...errors import StorageError, TempError, reason_of
from ..project.project import open_root
from ..project.store_guard import check_store
from ..system import at
from ..system.at import ROOT_FLAGS
from ..system.opening import opened, opened_below, opened_real
from ..trees.measured import Measured
from ..trees.measured_path import measure_at
from ..trees.removal import remove_at
from ..trees.removed import Removed
from .presets import Made


@contextlib.contextmanager
def opened_project(project: Path) -> Iterator[int]:
    """Open the directory `project`, a path that was free of symlinks when the command began.

    Any user who can write to a parent directory can replace it by a symlink or another directory
    meanwhile, so everything to delete is looked up in this open directory. Raises `StorageError`.
    """
    with contextlib.ExitStack() as stack:
        try:
            top = stack.enter_context(opened_real(project))
        except OSError as error:
            raise StorageError.of(f"cannot open {project}", error) from error
        yield top


def measure_artefact(top: int, path: str) -> Measured:
    """The measure of the artefact at `path` below the open directory `top`; empty if it is gone or
    unreadable.
    """
    try:
        with _below(top, path) as (parent, name):
            return measure_at(parent, name)
    except OSError:
        return Measured()


def remove_artefact(top: int, path: str) -> Removed:
    """Delete the artefact at `path` below the open directory `top`; the result lists failures.

    It is deleted in place, without a claim: a half-deleted `build` still matches, so the next
    `clean` finishes it, or lists it if the rest no longer shows what made it.
    """
    try:
        with _below(top, path) as (parent, name):
            return remove_at(parent, name)
    except OSError as error:
        return _not_removed(error)


def remove_made(top: int, path: str, made: Made) -> Removed:
    """Like `remove_artefact`, but the files that show that a tool `made` it are deleted last, so
    that the next `clean` recognises what a killed one left.
    """
    removed = Removed()
    try:
        with opened_below(top, *path.split("/"), unmounted=True) as directory:
            for name in sorted(at.listdir(directory)):
                if not made.is_known_by(name):
                    gone = remove_at(directory, name)
                    gone.failures = [
                        (f"{name}/{at}" if at else name, why) for at, why in gone.failures
                    ]
                    removed.add(gone)
    except OSError as error:
        return _not_removed(error)
    if not removed.failures:
        removed.add(remove_artefact(top, path))
    return removed


def _not_removed(error: OSError) -> Removed:
    if isinstance(error, FileNotFoundError):
        return Removed()
    is_mounted = error.errno == errno.EXDEV
    why = "another filesystem is mounted on the way to it" if is_mounted else reason_of(error)
    return Removed(failures=[("", why)])


def drop_empty_root(root: Path, categories: Iterable[str]) -> None:
    """Remove an old root that was cleaned, if it is empty: its categories, the store that the sweep
    made in it (including its history, which is not shown anywhere), and the root itself.

    An untrusted root, for example behind a symlink that git tracks, is left as it is.
    """
    own = [f"{STORE}/{name}" for name in STORE_PARTS]
    with contextlib.suppress(OSError, TempError), contextlib.ExitStack() as stack:
        above = stack.enter_context(opened(root.parent, ROOT_FLAGS))
        top = open_root(root)
        stack.callback(at.close, top)
        check_store(root)
        with contextlib.suppress(OSError), _below(top, f"{STORE}/{HISTORY}") as (store, name):
            at.unlink(name, dir_fd=store)
        for directory in (*categories, *own, STORE):
            with contextlib.suppress(OSError), _below(top, directory) as (parent, name):
                at.rmdir(name, dir_fd=parent)
        seen, ours = at.stat(root.name, dir_fd=above, follow_symlinks=False), at.fstat(top)
        if (seen.st_dev, seen.st_ino) == (ours.st_dev, ours.st_ino):
            at.rmdir(root.name, dir_fd=above)


@contextlib.contextmanager
def _below(top: int, path: str) -> Iterator[tuple[int, str]]:
    """The open parent directory of `path` below the open `top`, and the last name. No part of the
    path may be a symlink or have become a mount point since the search.
    """
    *above, name = path.split("/")
    with opened_below(top, *above, unmounted=True) as parent:
        yield parent, name
