"""`pin` and `unpin`: keep an entry whatever the policy says."""

from __future__ import annotations

import os
from pathlib import Path


def pin(path: str | os.PathLike[str], reason: str) -> Path:
    """Keep the entry that holds `path` until it is unpinned; returns the entry's absolute path.

    The reason is shown wherever the entry is. Pinning again replaces it. If the entry is a symlink,
    its target is kept as well, and each symlink on the way. Raises `InvalidSettings` if `path` is
    in no entry, `StorageError` if the pin cannot be written or the entry is gone.
    """
    from .store.root.find_entry import entries_behind, locate
    from .store.root.pinning import link_name, pin_there
    from .store.settings.recorded_layout import layout_of
    from .store.system.user_path import users_path

    root, relative = locate(users_path(path))
    pin_there(root, relative, reason)
    for behind in entries_behind((root, relative), users_path(path)):
        layout = layout_of(behind[0], is_scratch=True)
        pin_there(*behind, reason, layout, through=link_name(root, relative))
    return root / relative


def unpin(path: str | os.PathLike[str]) -> bool:
    """Let the entry that holds `path` be cleaned again; returns whether it was pinned.

    The target of a symlink stays pinned if it has its own pin, or one on another symlink to it.
    Raises `InvalidSettings` if `path` is in no entry, `StorageError` if the pin cannot be removed.
    """
    from .store.root.find_entry import entries_behind, locate
    from .store.root.pinning import link_name, remove_pin
    from .store.system.user_path import users_path

    entry = locate(users_path(path))
    for behind in entries_behind(entry, users_path(path)):
        remove_pin(*behind, through=link_name(*entry))
    return remove_pin(*entry)
