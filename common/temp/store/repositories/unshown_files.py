"""Finds files in a work tree that `git status` does not show though git may lack their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from .repository import Asker, read_plain, reading

_CHUNK: Final = 1 << 20
_POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""The first bytes of a pointer file, whose content git-lfs has not fetched."""

_SKIPPED: Final = b"Ss"
_ASSUMED: Final = b"h"
_SUBMODULE: Final = b"160000"


class Unshown(NamedTuple):
    """The number of files of a work tree that git does not show though it may lack their content.

    `changed` counts changed files that git was told to skip or to assume unchanged, and directories
    of submodules that are not checked out but not empty. `filtered` counts files whose content a
    filter changes before git compares it, `large` git-lfs files that may be missing on the LFS
    server, which a hook uploads to.
    """

    changed: int
    filtered: int
    large: int


class _File(NamedTuple):
    mark: bytes
    mode: bytes
    content: str
    name: bytes
    path: str


def unshown(ask: Asker) -> Unshown:
    """The counts for the work tree of that repository. Raises `CannotTell`."""
    files = list(_listed(ask))
    filters = _filters(ask, [file.name for file in files])
    large = sum(_is_large(file) for file in files if filters.get(file.name) == b"lfs")
    return Unshown(
        sum(map(_is_changed, files)),
        sum(_differs(file) for file in files if filters.get(file.name, b"lfs") != b"lfs"),
        0 if large and _pushes_large_files(ask) else large,
    )


def _listed(ask: Asker) -> Iterator[_File]:
    tree = ask.repository.tree
    for line in ask("ls-files", "-v", "--stage", "-z").split(b"\0"):
        if line:
            about, _, name = line.partition(b"\t")
            mark, mode, content, _ = about.split(b" ")
            yield _File(mark, mode, content.decode(), name, f"{tree}/{os.fsdecode(name)}")


def _is_changed(file: _File) -> bool:
    if file.mark in _SKIPPED:
        return os.path.lexists(file.path)
    if file.mode == _SUBMODULE:
        return not os.path.lexists(os.path.join(file.path, ".git")) and _holds_any(file.path)
    return file.mark == _ASSUMED and _differs(file)


def _holds_any(directory: str) -> bool:
    try:
        return bool(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _differs(file: _File) -> bool:
    """Whether the file exists and is not byte for byte the same as in git."""
    try:
        if os.path.islink(file.path):
            data = os.fsencode(os.readlink(file.path))
            return _hash(file.content, len(data), (data,)) != file.content
        with reading(file.path) as stream:
            if stream is None:
                return os.path.lexists(file.path)
            chunks = iter(lambda: stream.read(_CHUNK), b"")
            return _hash(file.content, os.fstat(stream.fileno()).st_size, chunks) != file.content
    except OSError:
        return True


def _hash(like: str, size: int, chunks: Iterable[bytes]) -> str:
    """The object name of a blob with that content, with the same kind of hash as `like`."""
    digest = hashlib.new("sha1" if len(like) == 40 else "sha256", usedforsecurity=False)
    digest.update(b"blob %d\0" % size)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _is_large(file: _File) -> bool:
    begin = read_plain(file.path, len(_POINTER))
    return begin is not None and begin != _POINTER


def _filters(ask: Asker, names: Iterable[bytes]) -> dict[bytes, bytes]:
    """The filters of those files that have one. None is run."""
    if not any(name.startswith("filter.") for name, _ in ask.used_settings):
        return {}
    given = b"".join(b"%s\0" % name for name in names)
    asked = ("check-attr", "-z", "--stdin", "filter")
    said = ask(*asked, given=given, environment=ask.used_environment).split(b"\0")
    told = zip(said[::3], said[2::3], strict=False)
    unset = (b"unspecified", b"unset", b"set")
    return {name: value for name, value in told if value not in unset}


def _pushes_large_files(ask: Asker) -> bool:
    """Whether the hook with which git-lfs uploads files before a push is installed."""
    directory = os.path.join(ask.repository.common, "hooks")
    for name, value in ask.used_settings:
        if name == "core.hookspath" and value != os.devnull:  # that value is from `Asker`
            directory = os.path.join(ask.repository.tree, os.path.expanduser(value))
    return b"lfs" in (read_plain(os.path.join(directory, "pre-push")) or b"")
