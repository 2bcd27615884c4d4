"""`tempkeep vendor`: puts a copy of the package into a monorepo, and updates it.

The copy is put in place by one rename, and so is each new version. A manifest in it lists what was
copied, so that an update never overwrites local changes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Set
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from . import __version__
from .errors import InvalidSettings, Refused, StorageError
from .needs import LEFT_OUT, NEEDS
from .report.text import plain
from .store.project.project import check_way
from .store.system import at
from .store.system.at import PLAIN_FLAGS
from .store.system.locks import lock_file
from .store.system.mounts import mounts_below
from .store.system.opening import opened_below, opened_made
from .store.system.user_path import users_path
from .store.system.walking import walk

MANIFEST: Final = "vendored.json"
_NAMES: Final = ("temp", "tempkeep")
"""A target with this name becomes the copy itself; any other directory holds the copy."""

_NOT_COPIED: Final = frozenset({"__pycache__", MANIFEST}.union(*((n, f"{n}.py") for n in LEFT_OUT)))
_LINE: Final = "# tempkeep {version}: a copy made, and kept up to date, by `tempkeep vendor`.\n"
_SURE: Final = {"__init__.py", "core/retention.py"}
"""Files that every copy has and that the host's own packages do not have."""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN_FLAGS
_MOST_MANIFEST: Final = 1 << 20
_SHOWN: Final = 5


class _Copy(NamedTuple):
    """The content of a manifest: the version, and the digest of each file (relative, with `/`)."""

    version: str
    digests: Mapping[str, str]


def vendor(directory: str, *, dry_run: bool = False) -> int:
    """Copy the package into `directory`, or update the copy there. Returns the exit code.

    Raises `Refused` if the copy has local changes, if something else (a symlink too) is in its
    place, or if the path leads through a symlink that git tracks or another user made.
    """
    target = _target(directory)
    real = check_way(target).parent  # a symlink put there after this check is not followed
    content = _content()
    new = _Copy(__version__, {name: _digest(data) for name, data in content.items()})
    old = _old(target)
    what = f"{'update' if old else 'copy'} tempkeep {__version__} to {_shown(target)}"
    if dry_run:
        print(f"would {what}" if old != new else f"{_shown(target)} is up to date")
        return 0
    try:
        with opened_made(real) as above:
            _stay_alone(above, target.parent)
            _tidy(above, target, new)
            if old != new:
                _put(above, target, content, new)
    except OSError as error:
        raise StorageError.of(f"cannot {what}", error) from error
    if old == new:
        print(f"{_shown(target)} is already a copy of tempkeep {__version__}")
        return 0
    print(
        f"updated {_shown(target)} from {old.version} to {__version__}" if old else f"{what}: done"
    )
    print("\n".join(_needs(target)))
    return 0


def _target(directory: str) -> Path:
    """Return the path of the copy: `directory` if so named or already a copy, else inside it."""
    if not directory:
        raise InvalidSettings("vendor: give the directory for the copy")
    path = Path(os.path.abspath(users_path(directory)))
    is_it = path.name in _NAMES or os.path.lexists(path / MANIFEST)
    return path if is_it else path / _NAMES[0]


def _shown(path: str | Path) -> str:
    return plain(os.path.relpath(path))


def _needs(target: Path) -> list[str]:
    """Return a few lines on how to use the copy and what it needs."""
    above = target.parent
    parts = [target.name]
    if str(above) != os.getcwd():
        parts.append(above.name)
        while (above / "__init__.py").is_file() and (above.parent / "__init__.py").is_file():
            above = above.parent
            parts.append(above.name)
        above = above.parent
    name = plain(".".join(reversed(parts)))
    return [
        f"import it as {name}, with {_shown(above)} on sys.path",
        f"tasks.py: from {name}.tasks import *",
        f'conftest.py at the top: pytest_plugins = ["{name}.pytest_plugin"]',
        f"install beside it: {' '.join(repr(wanted) for wanted in NEEDS.values())}",
        "temp-migrate and vendor are not part of it: run them with the program tempkeep",
    ]


# -- what is copied --------------------------------------------------------------------------------


def _content() -> dict[str, bytes]:
    """Return the files of a copy by relative path with `/`, however this package is installed."""
    found = {}
    for name, item in _files(files(__package__ or ""), ""):
        found[name] = item.read_bytes()
    found["__init__.py"] = _LINE.format(version=__version__).encode() + found["__init__.py"]
    return found


def _files(directory: Traversable, base: str) -> Iterator[tuple[str, Traversable]]:
    for item in sorted(directory.iterdir(), key=lambda item: item.name):
        if item.name in _NOT_COPIED:
            continue
        if item.is_dir():
            yield from _files(item, f"{base}{item.name}/")
        else:
            yield base + item.name, item


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- what is there ---------------------------------------------------------------------------------


def _old(target: Path) -> _Copy | None:
    """Return the unchanged copy at `target`, `None` if nothing is there, else raise `Refused`."""
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError.of(f"cannot look at {_shown(target)}", error) from error
    where = _shown(target)
    if not stat.S_ISDIR(mode):
        kind = "a symlink" if stat.S_ISLNK(mode) else "not a directory"
        raise Refused(
            f"{where} is {kind}, so nothing was copied; move it away, or give another directory"
        )
    if not os.listdir(target):
        return None
    _demand_unmounted(target)
    old = _manifest(target)
    if old is None:
        raise Refused(
            f"{where} exists and is not a copy by tempkeep, so nothing was copied; move it away"
        )
    altered, missing = _changes(target, old)
    changes = altered + [f"{name} is missing" for name in missing]
    if changes:
        more = len(changes) - _SHOWN
        named = ", ".join(plain(change) for change in changes[:_SHOWN])
        raise Refused(
            f"{where} has changed since it was copied ({named}{f' and {more} more' * (more > 0)}), "
            "so nothing was copied; move your changes elsewhere, or the whole directory"
        )
    return old


def _demand_unmounted(target: Path) -> None:
    """Raise `Refused` if something is mounted below `target`, whose files belong elsewhere."""
    for point in sorted(mounts_below(str(target))):
        where = _shown(target / point)
        raise Refused(f"{where} is a mount point, so nothing was copied; unmount it")


def _manifest(target: Path) -> _Copy | None:
    """Return the manifest of the copy, or `None` if there is no valid one."""
    try:
        said = json.loads(_read(target / MANIFEST, _MOST_MANIFEST))
        version, digests = said["version"], said["files"]
        texts = [version, *digests, *dict(digests).values()]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    if not all(isinstance(text, str) for text in texts) or not digests.keys() >= _SURE:
        return None
    return _Copy(version, digests)


def _changes(target: Path, old: _Copy) -> tuple[list[str], list[str]]:
    """Return the new or changed files, and the missing ones; compiled files do not count."""
    found = []
    missing = set(old.digests)
    for above, directories, names in walk(target, onerror=_fail):
        base = "" if above == str(target) else f"{os.path.relpath(above, target)}/"
        links = [name for name in directories if os.path.islink(os.path.join(above, name))]
        for name in sorted([*names, *links]):
            relative = (base + name).replace(os.sep, "/")
            if relative == MANIFEST or _is_compiled(relative):
                continue
            if relative not in missing:
                found.append(f"{relative} is new")
            elif name in links or not _is(target / relative, old.digests[relative]):
                found.append(relative)
            missing.discard(relative)
    return found, sorted(missing)


def _fail(error: OSError) -> None:
    raise StorageError.of(f"cannot read {error.filename}", error) from error


def _is_compiled(relative: str) -> bool:
    directory, _, name = relative.rpartition("/")
    return directory.rpartition("/")[2] == "__pycache__" and ".pyc" in name


def _is(path: Path, digest: str) -> bool:
    try:
        return _digest(_read(path)) == digest
    except OSError:
        return False


def _read(path: Path, most: int = -1) -> bytes:
    """Return the data of a regular file. Raises `OSError` for a symlink, a FIFO and so on."""
    with open(os.open(path, os.O_RDONLY | PLAIN_FLAGS), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        return file.read(most)


# -- putting it there ------------------------------------------------------------------------------


def _stay_alone(above: int, directory: Path) -> None:
    """Lock the open directory against other copies until it is closed. Raises `Refused` if another
    process holds the lock.
    """
    if not lock_file(above):
        raise Refused(f"another process copies to {_shown(directory)}; wait until it has ended")


def _put(above: int, target: Path, content: Mapping[str, bytes], new: _Copy) -> None:
    """Put the copy in place atomically: an old one stays complete until then, and is removed after.

    `above` is the open directory of the target, and everything is written relative to descriptors:
    moving the unfinished copy and putting symlinks in its place has no effect.
    """
    aside = _aside(target)
    at.mkdir(aside.name, dir_fd=above)  # fails if anything is there already
    with opened_below(above, aside.name, unmounted=True) as top:
        if hasattr(os, "geteuid") and at.fstat(top).st_uid != os.geteuid():
            raise Refused(f"{_shown(aside)} was replaced at this instant; move it away")
        said = json.dumps({"version": new.version, "files": dict(new.digests)}, indent=1)
        # The manifest comes last, so that a directory with a manifest is complete.
        _write(top, str(aside), {**content, MANIFEST: f"{said}\n".encode()})
    old = _old(target)
    if old is None:
        # This replaces an empty directory, and nothing else.
        at.rename(aside.name, target.name, src_dir_fd=above, dst_dir_fd=above)
        return
    _exchange(above, aside, target)
    try:
        is_old = _old(aside) == old
    except Refused:
        is_old = False
    if not is_old:
        _exchange(above, aside, target)
        raise Refused(f"{_shown(target)} was changed at this instant, and is as it was; try again")
    _discard(above, aside, new)


def _write(top: int, place: str, content: Mapping[str, bytes]) -> None:
    """Write the files, in the given order, into the new, empty directory open at `top`."""
    made = set()
    for path, data in content.items():
        *parts, name = path.split("/")
        for depth, part in enumerate(parts):
            if (key := tuple(parts[: depth + 1])) not in made:
                with opened_below(top, *parts[:depth], unmounted=True) as parent:
                    at.mkdir(part, dir_fd=parent)
                made.add(key)
        with opened_below(top, *parts, unmounted=True) as parent:
            where = name if at.RELATIVE else os.path.join(place, *parts, name)
            file = os.open(where, _NEW, 0o666, dir_fd=parent if at.RELATIVE else None)
        with open(file, "wb") as opened_file:
            opened_file.write(data)


def _demand_unchanged(aside: Path) -> None:
    """Raise `Refused` if `aside` is not a directory, or is a copy with local changes."""
    if not stat.S_ISDIR(os.lstat(aside).st_mode):
        raise Refused(f"{_shown(aside)} is in the way; move it away")
    _demand_unmounted(aside)
    known = _manifest(aside)
    altered, _ = _changes(aside, known) if known is not None else ([], [])  # it may be half deleted
    if altered:
        raise Refused(f"{_shown(aside)} has changed ({plain(altered[0])}); move it away")


def _discard(above: int, aside: Path, new: _Copy) -> None:
    """Remove the copy at `aside` by the names of its files; anything else stays."""
    known = _manifest(aside) or new
    _empty(above, aside.name, "", {MANIFEST, *known.digests}, aside)


def _empty(parent: int, name: str, base: str, wanted: Set[str], shown: Path) -> None:
    """Remove the directory `name` of the open `parent`, and the `wanted` files in it, as paths that
    begin with `base`. Raises `OSError` for a mount point, which stays.
    """
    with opened_below(parent, name, unmounted=True) as directory:
        with at.scandir(directory) as items:
            kinds = {item.name: item.is_dir(follow_symlinks=False) for item in items}
        # The manifest is removed last, as it names the other files.
        for item in sorted(kinds, key=lambda one: (one == MANIFEST, one)):
            if kinds[item]:
                _empty(directory, item, f"{base}{item}/", wanted, shown / item)
            elif base + item in wanted or _is_compiled(base + item):
                at.unlink(item, dir_fd=directory)
    try:
        at.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise Refused(
            f"{_shown(shown)} contains files that are not part of a copy; move them away"
        ) from error


def _tidy(above: int, target: Path, new: _Copy) -> None:
    """Remove what a killed run has left."""
    for leftover in (_aside(target), _between(_aside(target))):
        if os.path.lexists(leftover):
            _demand_unchanged(leftover)
            _discard(above, leftover, new)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.tempkeep-vendor")


def _between(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}-old")


def _exchange(above: int, one: Path, other: Path) -> None:
    """Exchange two directories in open directory `above`: atomically on Linux; elsewhere, a kill
    in between leaves one of them aside, complete.
    """
    number = _exchange_at_once(above, one.name, other.name)
    if number in (errno.ENOSYS, errno.EINVAL):
        between = _between(one).name
        for name, to in ((other.name, between), (one.name, other.name), (between, one.name)):
            at.rename(name, to, src_dir_fd=above, dst_dir_fd=above)
    elif number:
        raise OSError(number, os.strerror(number), str(other))


def _exchange_at_once(above: int, one: str, other: str) -> int:
    """Return the `errno` of Linux's `renameat2`, or 0 on success."""
    import ctypes

    exchange = 2
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return errno.ENOSYS
    done = call(above, os.fsencode(one), above, os.fsencode(other), exchange)
    return ctypes.get_errno() if done else 0
