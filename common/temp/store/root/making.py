"""Creation of roots, their stores and their categories."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...core.layouts import (
    CATEGORY_MARK,
    FILES,
    HOLDING,
    KNOWN_CATEGORIES,
    LAYOUT,
    OWNERS,
    SCRATCH,
    STORE,
    Layout,
)
from ...errors import Refused, StorageError
from ..project.project import (
    MARKERS,
    ROOT_NAME,
    check_root,
    is_private,
    open_root,
)
from ..project.store_guard import check_store
from ..settings.recorded_layout import layout_of
from ..system import at
from ..system.at import ROOT_FLAGS
from ..system.opening import opened, opened_in
from ..system.own_files import write_new
from ..system.renaming import rename_new
from .linked_roots import link_of
from .suitable_roots import holds_more

_CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This directory holds scratch data kept by tempkeep; it can be made again.\n"
    "# For information about cache directory tags, see https://bford.info/cachedir/\n"
)
TAGS = {"CACHEDIR.TAG": _CACHEDIR_TAG, ".gitignore": "*\n"}
"""The files that a new root for scratch gets."""


def make_root(root: str, layout: Layout = SCRATCH) -> None:
    """Make `root` with its tag and its store, or complete one that a plain `mkdir` made.

    A root of another `layout` is a directory that the user named: its parents are made if needed,
    and only the store, which records the layout, is put into it. A project, a home directory or the
    temporary directory cannot be such a root if everything in it would be an entry. Concurrent
    calls are safe. Raises `Refused` or `StorageError`, and then removes a root that it made.
    """
    if layout is not SCRATCH:
        return _make_other_root(Path(root), layout)
    path = Path(root)
    exists = check_root(path)
    private = is_private(path)
    check_store(path)
    is_new = False
    try:
        if not exists:
            with contextlib.suppress(FileExistsError):
                os.mkdir(root, 0o700 if private else 0o777)
                is_new = True
            check_root(path)  # again: it may just have been planted
        top = open_root(path)
        try:
            made = fill(top, root, TAGS if is_new else {}, (STORE,))
            try:
                with opened(STORE, dir_fd=top) as store:
                    fill(store, f"{root}/{STORE}", link_of(path), (OWNERS, HOLDING))
            except OSError:
                _undo(top, made)
                raise
        except OSError:
            with contextlib.suppress(OSError):
                if is_new and os.path.samestat(os.lstat(root), at.fstat(top)):
                    os.rmdir(root)  # fails if another process has made something in it
            raise
        finally:
            at.close(top)
    except OSError as error:
        # Errors of calls relative to the open root have relative names.
        where = os.path.join(root, error.filename) if error.filename else root
        raise refusal(f"cannot make {where}", error) from error


def fill(top: int, place: str, texts: Mapping[str, str], directories: Iterable[str]) -> list[str]:
    """Make the files `texts` and the `directories` that are missing in the open directory `top`,
    whose path is `place`. Returns the names of those made; if it fails, none of them is left.

    Nothing is overwritten, made or removed behind a symlink, even if something is moved meanwhile.
    Raises `OSError`.
    """
    made: list[str] = []
    try:
        for name, text in texts.items():
            if write_new(name, text, dir_fd=top):
                made.append(name)
        for name in directories:
            with contextlib.suppress(FileExistsError):
                at.mkdir(name, dir_fd=top)
                made.append(name)
    except OSError as error:
        error.filename = f"{place}/{error.filename}" if error.filename else place
        _undo(top, made)
        raise
    return made


def _undo(top: int, made: Sequence[str]) -> None:
    """Remove what was made in the open directory, last first. Errors are ignored."""
    for name in reversed(made):
        for remove in (at.unlink, at.rmdir):
            with contextlib.suppress(OSError):
                remove(name, dir_fd=top)


def _make_other_root(root: Path, layout: Layout) -> None:
    try:
        _check_outside_scratch(root, layout)
        check_store(root)
        root.mkdir(parents=True, exist_ok=True)
        check_root(root)  # again: it may just have been planted
        if layout.names is None and holds_more(root):
            raise Refused(
                f"{root} may hold more than {layout.name}; choose a directory for them alone, such "
                f"as {root / layout.name}"
            )
        make_store(root, layout)
        # A store without a layout belongs to a `.tmp`, or to a directory of runs that was cleaned
        # before its layout was recorded.
        said = layout_of(root, is_scratch=not layout.names)
        if said is not layout:
            raise Refused(f"{root} holds {said.name}, not {layout.name}; choose another directory")
        with opened_in(root, STORE) as store:
            fill(store, f"{root}/{STORE}", {LAYOUT: f"{layout.name}\n"}, (OWNERS, HOLDING))
    except OSError as error:
        raise refusal(f"cannot make {root / (error.filename or '')}", error) from error


def make_store(root: Path, layout: Layout) -> None:
    """Make the store of `root`, which records the `layout`, if missing. Raises `OSError`.

    All or nothing: without its layout, everything in the root would be an entry.
    """
    store = root / STORE
    if os.path.lexists(store):
        return
    # Only the store is ignored by git: the root is the user's, and may be tracked.
    texts = {LAYOUT: f"{layout.name}\n", ".gitignore": "*\n"}
    fresh = f"{STORE}-{os.urandom(8).hex()}"
    with opened_in(root) as top:
        at.mkdir(fresh, dir_fd=top)
        with opened(fresh, dir_fd=top) as made:
            try:
                fill(made, str(root / fresh), texts, (OWNERS, HOLDING))
                rename_new(fresh, STORE, src_dir_fd=top, dst_dir_fd=top)
            except OSError:
                _undo(made, (*texts, OWNERS, HOLDING))
                with contextlib.suppress(OSError):
                    at.rmdir(fresh, dir_fd=top)
                if not os.path.lexists(store):
                    raise


def _check_outside_scratch(root: Path, layout: Layout) -> None:
    """Raise `Refused` if everything in `root` would be an entry, and `root` is in a `.tmp`."""
    real = Path(os.path.realpath(root))
    if layout is not FILES or os.path.lexists(real / STORE):
        return  # its store records its layout
    for above in (real, *real.parents):
        if above.name == ROOT_NAME:
            raise Refused(
                f"{root} is in {above} and would be an entry there; choose another directory"
            )
        if any(os.path.lexists(above / marker) for marker in MARKERS):
            return  # it is in a project of its own, wherever that is


def make_category(root: str, category: str) -> None:
    """Make the category in `root`, and `root` if needed. Raises `Refused` or `StorageError`."""
    directory = f"{root}/{category}"
    try:
        with opened(root, ROOT_FLAGS) as top:
            at.mkdir(category, dir_fd=top)
            try:
                if category not in KNOWN_CATEGORIES:
                    with opened(category, dir_fd=top) as made:
                        write_new(CATEGORY_MARK, "", dir_fd=made)
            except OSError:
                with contextlib.suppress(OSError):
                    at.rmdir(category, dir_fd=top)
                raise
    except FileExistsError:
        check_not_linked(directory)
        if not os.path.isdir(directory):
            raise StorageError(0, f"{directory} is not a directory; move it away") from None
    except FileNotFoundError:
        make_root(root)  # the whole root was removed just now
    except OSError as error:
        raise refusal(f"cannot make {directory}", error) from error


def check_not_linked(directory: str) -> None:
    """Raise `Refused` if a category is a symlink: it may come from a git clone, and entries made
    behind it would be among the user's files, where no clean finds them.
    """
    if os.path.islink(directory):
        raise Refused(f"{directory} is a symlink, and nothing is made behind one; remove the link")


def refusal(what: str, error: OSError) -> StorageError:
    """The error that says `what` failed; `error` itself if it already says so."""
    if isinstance(error, StorageError):
        return error
    return StorageError.of(what, error)
