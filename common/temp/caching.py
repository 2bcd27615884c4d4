"""`cache_dir`: a directory that later calls and other processes find again."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .core.layouts import check_label, read_name
from .errors import StorageError
from .holding import Hold, hold_entry
from .manager import TempManager
from .store.root.allocation import allocate
from .store.root.last_use import LastUse, last_uses, note_made, turn_to_look
from .store.root.owner_kinds import PLAIN

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())

_CATEGORY: Final = "cache"


class CacheDir(_Path):
    """The absolute path of a cache, in use until it is released or this process ends.

    As a context manager, it is released when the block ends.
    """

    _held: Hold | None = None

    def release(self) -> None:
        """End the use by this call of `cache_dir`, so that a clean may remove the cache."""
        if self._held is not None:
            self._held.release()

    def with_segments(self, *segments: str | os.PathLike[str]) -> Path:
        """Paths derived from this one are plain paths (from Python 3.12 on)."""
        return Path(*segments)

    def __enter__(self) -> CacheDir:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


def cache_dir(name: str, key: str = "", *, version: str = "", fresh: bool = False) -> CacheDir:
    """The newest directory of that name, key and version in the category `cache`, or a new one.

    Processes that ask at the same time get the same one. It is in use until it is released (at the
    end of a `with` block, or by `release()`) or this process ends. It is marked as used now, which
    a policy counts as a change. `key` identifies what it is made from (the digest of a lock file),
    and `version` its format; one with another key or version is left to the policy. With `fresh`,
    it is always a new one, which later calls find. Files of a process that died are still there:
    write each file under another name and rename it. Raises `InvalidName`, `InvalidSettings`,
    `Refused` or `StorageError`.
    """
    check_label(name)
    root = Path(TempManager._made_root())
    try:
        with turn_to_look(root):
            if not fresh:
                for relative in _candidates(root, name, key, version):
                    try:
                        return _held(hold_entry(root, relative))
                    except StorageError:
                        continue  # it is being removed
            made = Path(allocate(str(root), _CATEGORY, name)).relative_to(root).as_posix()
            note_made(root, made, key, version)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError.of(f"cannot find a cache {name!r} in {root}", error) from error
    return _held(Hold([(root, made)], PLAIN))


def _held(held: Hold) -> CacheDir:
    found = CacheDir(held.path)
    found._held = held
    return found


def _candidates(root: Path, name: str, key: str, version: str) -> list[str]:
    """The matching caches of this user, newest first; paths are relative to `root`."""
    category = root / _CATEGORY
    if category.is_symlink():
        return []  # nor is one made behind a symlink
    try:
        names = [one for one in os.listdir(category) if read_name(one)[0] == name]
    except FileNotFoundError:
        return []
    uses = last_uses(root) if names else {}
    found = []
    for one in names:
        relative = f"{_CATEGORY}/{one}"
        noted = uses.get(relative, LastUse(0.0))
        if (noted.key, noted.version) == (key, version) and _is_ours(category / one):
            found.append((noted.made or float(read_name(one)[1] or 0), relative))
    return [relative for _, relative in sorted(found, reverse=True)]


def _is_ours(path: Path) -> bool:
    """Whether it is a directory of this user; others' directories are not trusted."""
    try:
        status = path.lstat()
    except OSError:
        return False
    is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISDIR(status.st_mode) and is_own
