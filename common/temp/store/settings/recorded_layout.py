"""The layout of a root, as recorded in its store."""

from __future__ import annotations

from pathlib import Path

from ...core.fields import Unreadable
from ...core.layouts import LAYOUT, LAYOUTS, MAX_NAME_BYTES, PIPELINE, SCRATCH, STORE, Layout
from ...errors import StorageError
from ..project.store_guard import check_store
from ..project.store_parts import is_scratch_by_name
from ..system.reading import read_file


def layout_of(root: Path, *, is_scratch: bool | None = None) -> Layout:
    """The layout of `root`, as recorded in its store.

    If none is recorded, the layout is that of a `.tmp` if the root `is_scratch`; by default, its
    name decides that. Any other root is assumed to hold pipeline runs. Their names are distinctive,
    so that no user's files are taken for entries.

    Raises `Refused` if the store is behind a symlink, `StorageError` if it cannot be read.
    """
    check_store(root)
    path = root / STORE / LAYOUT
    try:
        said = read_file(path).decode(errors="replace").strip()[:MAX_NAME_BYTES]
    except (FileNotFoundError, NotADirectoryError):
        if is_scratch is None:
            is_scratch = is_scratch_by_name(root)
        return SCRATCH if is_scratch else PIPELINE
    except Unreadable as problem:
        raise StorageError(0, f"{path} {problem}") from problem
    if said not in LAYOUTS:
        raise StorageError(
            0, f"{path}: this version does not know the layout {said!r}; update tempkeep"
        )
    return LAYOUTS[said]
