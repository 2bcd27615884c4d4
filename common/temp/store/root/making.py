"""Making roots, their stores and their categories."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...core.layout import (
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
from ..system import at
from ..system.opening import opened_in
from ..system.renaming import rename_new
from .guard import check_store
from .layouts import layout_of
from .suitable import holds_more

_CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This directory holds scratch data kept by tempkeep; it can be made again.\n"
    "# For information about cache directory tags, see https://bford.info/cachedir/\n"
)
TAGS = {"CACHEDIR.TAG": _CACHEDIR_TAG, ".gitignore": "*\n"}
"""What a root of scratch gets when it is made."""


def make_root(root: str, layout: Layout = SCRATCH) -> None:
    """Make `root` with its tag and its store, or complete one that a plain `mkdir` made.

    A root of another `layout` is a directory that the user named: its parents are made, and only
    the store, which says the layout, is put into it. A project, a home directory or the temporary
    directory cannot be such a root if everything in it would be an entry. Safe if others do the
    same at the same time. Raises `Refused` or `StorageError`, and then removes a root that it made.
    """
    if layout is not SCRATCH:
        return _make_other_root(Path(root), layout)
    path = Path(root)
    exists = check_root(path)
    private = is_private(path)
    made: list[str] = []
    check_store(path)
    try:
        if not exists:
            with contextlib.suppress(FileExistsError):
                os.mkdir(root, 0o700 if private else 0o777)
                made.append(root)
            check_root(path)  # again: it may just have been planted
        if made:
            made += [f"{root}/{name}" for name in TAGS]
            tag_root(path)
        top = open_root(path)
        try:
            for directory in (STORE, f"{STORE}/{OWNERS}", f"{STORE}/{HOLDING}"):
                with contextlib.suppress(FileExistsError):
                    at.mkdir(directory, dir_fd=top)
                    made.append(f"{root}/{directory}")
        finally:
            at.close(top)
    except OSError as error:
        if root in made:
            for item in reversed(made):
                with contextlib.suppress(OSError):
                    os.unlink(item) if os.path.isfile(item) else os.rmdir(item)
        # What was made relative to the open root is named so, too.
        where = os.path.join(root, error.filename) if error.filename else root
        raise refusal(f"cannot make {where}", error) from error


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
        # before its layout was known.
        said = layout_of(root, is_scratch=not layout.names)
        if said is not layout:
            raise Refused(f"{root} holds {said.name}, not {layout.name}; choose another directory")
        store = root / STORE
        _write_new(str(store / LAYOUT), f"{layout.name}\n")  # before it has owners as scratch has
        for name in (OWNERS, HOLDING):
            (store / name).mkdir(exist_ok=True)
    except OSError as error:
        raise refusal(f"cannot make {error.filename or root}", error) from error


def tag_root(root: Path) -> None:
    """Mark `root` for backup tools and git to leave it out. Raises `OSError`."""
    for name, text in TAGS.items():
        _write_new(f"{root}/{name}", text)


def make_store(root: Path, layout: Layout) -> None:
    """Make the store of `root`, which says the `layout`, if there is none. Raises `OSError`.

    All or nothing: without its layout, everything in the root would be an entry.
    """
    store = root / STORE
    if os.path.lexists(store):
        return
    fresh = root / f"{STORE}-{os.urandom(8).hex()}"
    fresh.mkdir()
    for name in (OWNERS, HOLDING):
        (fresh / name).mkdir()
    # The root itself is the user's, and git may well track what is in it.
    texts = {LAYOUT: f"{layout.name}\n", ".gitignore": "*\n"}
    for name, text in texts.items():
        (fresh / name).write_text(text, encoding="utf-8")
    try:
        with opened_in(root) as top:
            rename_new(fresh.name, STORE, src_dir_fd=top, dst_dir_fd=top)
    except OSError:
        for name in (OWNERS, HOLDING):
            (fresh / name).rmdir()
        for name in texts:
            (fresh / name).unlink()
        fresh.rmdir()
        if not os.path.lexists(store):
            raise


def _check_outside_scratch(root: Path, layout: Layout) -> None:
    """Raise `Refused` if everything in `root` would be an entry, and `root` is one in a `.tmp`."""
    real = Path(os.path.realpath(root))
    if layout is not FILES or os.path.lexists(real / STORE):
        return  # its store tells its layout
    for above in (real, *real.parents):
        if above.name == ROOT_NAME:
            raise Refused(
                f"{root} is in {above} and would be an entry there; choose another directory"
            )
        if any(os.path.lexists(above / marker) for marker in MARKERS):
            return  # a project of its own, wherever it is


def make_category(root: str, category: str) -> None:
    """Make the category in `root`, and `root` if need be. Raises `Refused` or `StorageError`."""
    directory = f"{root}/{category}"
    try:
        os.mkdir(directory)
        if category not in KNOWN_CATEGORIES:
            _write_new(f"{directory}/{CATEGORY_MARK}", "")
    except FileExistsError:
        check_not_linked(directory)
        if not os.path.isdir(directory):
            raise StorageError(0, f"{directory} is not a directory; move it away") from None
    except FileNotFoundError:
        make_root(root)  # removed as a whole a moment ago
    except OSError as error:
        with contextlib.suppress(OSError):
            os.rmdir(directory)
        raise refusal(f"cannot make {directory}", error) from error


def check_not_linked(directory: str) -> None:
    """Raise `Refused` if a category is a link: a clone may have brought it along, and what is made
    behind it would be among somebody's work, where no clean finds it.
    """
    if os.path.islink(directory):
        raise Refused(f"{directory} is a symlink, and nothing is made behind one; remove the link")


def _write_new(path: str, text: str) -> None:
    with contextlib.suppress(FileExistsError), open(path, "x", encoding="utf-8") as file:
        file.write(text)


def refusal(what: str, error: OSError) -> StorageError:
    """The error that says `what` failed; `error` itself if it already says so."""
    if isinstance(error, StorageError):
        return error
    return StorageError.of(what, error)
