"""`tempkeep vendor`: puts a copy of the package into a monorepo, and updates it.

The copy is put in place by one rename, and so is each new version. A manifest in it lists what was
copied, so that an update never overwrites local changes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from . import __version__
from .errors import InvalidSettings, Refused, StorageError
from .needs import LEFT_OUT, NEEDS
from .report.text import plain
from .store.project.project import check_way
from .store.system.at import PLAIN_FLAGS
from .store.system.locks import lock_file
from .store.system.walking import walk

MANIFEST: Final = "vendored.json"
_NAMES: Final = ("temp", "tempkeep")
"""A target with this name becomes the copy itself; any other directory holds the copy."""

_NOT_COPIED: Final = frozenset({"__pycache__", MANIFEST}.union(*((n, f"{n}.py") for n in LEFT_OUT)))
_LINE: Final = "# tempkeep {version}: a copy made, and kept up to date, by `tempkeep vendor`.\n"
_SURE: Final = {"__init__.py", "core/retention.py"}
"""What every copy has, and the host's own packages do not."""

_MOST_MANIFEST: Final = 1 << 20
_SHOWN: Final = 5


class _Copy(NamedTuple):
    """The content of a manifest: the version, and the digest of each file (relative, with `/`)."""

    version: str
    digests: Mapping[str, str]


def vendor(directory: str, *, dry_run: bool = False) -> int:
    """Copy the package into `directory`, or update the copy there. Returns the exit code.

    Raises `Refused` if the copy has local changes, if something else is in its place, if that is a
    symlink, or if the path leads through a symlink that git tracks or another user made.
    """
    target = _target(directory)
    check_way(target)
    content = _content()
    new = _Copy(__version__, {name: _digest(data) for name, data in content.items()})
    old = _old(target)
    what = f"{'update' if old else 'copy'} tempkeep {__version__} to {_shown(target)}"
    if dry_run:
        print(f"would {what}" if old != new else f"{_shown(target)} is up to date")
        return 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            _tidy(target, new)
            if old != new:
                _put(target, content, new)
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
    """The path of the copy: `directory` if it has the package's name or is a copy, else in it."""
    if not directory:
        raise InvalidSettings("vendor: give the directory for the copy")
    path = Path(os.path.abspath(directory))
    is_it = path.name in _NAMES or os.path.lexists(path / MANIFEST)
    return path if is_it else path / _NAMES[0]


def _shown(path: str | Path) -> str:
    return plain(os.path.relpath(path))


def _needs(target: Path) -> list[str]:
    """How to use the copy and what it needs, in a few lines."""
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
    """The files of a copy, relative with `/`, however this package is installed."""
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
    """The unchanged copy at `target`; `None` if nothing is there. Raises `Refused` otherwise."""
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


def _manifest(target: Path) -> _Copy | None:
    """The manifest of the copy; `None` if there is no valid one."""
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
    """New or changed files, and missing ones; files that Python compiled do not count."""
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
    """The data of a regular file; raises `OSError` for a link, a FIFO and so on."""
    with open(os.open(path, os.O_RDONLY | PLAIN_FLAGS), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
        return file.read(most)


# -- putting it there ------------------------------------------------------------------------------


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Lock `directory` for this copy. Raises `Refused` if another process copies to it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if not lock_file(descriptor):
            raise Refused(f"another process is copying to {_shown(directory)}; wait until it ends")
        yield
    finally:
        os.close(descriptor)


def _put(target: Path, content: Mapping[str, bytes], new: _Copy) -> None:
    """Put the copy in its place by one rename; the old copy stays whole until then."""
    aside = _aside(target)
    os.mkdir(aside)  # never into an existing directory
    for name in content:
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_bytes(content[name])
    # Last, so that a copy with a manifest is complete.
    said = json.dumps({"version": new.version, "files": dict(new.digests)}, indent=1)
    (aside / MANIFEST).write_text(f"{said}\n", encoding="utf-8")
    old = _old(target)
    if old is None:
        os.rename(aside, target)  # also replaces an empty directory, but nothing else
        return
    _exchange(aside, target)
    try:
        is_old = _old(aside) == old
    except Refused:
        is_old = False
    if not is_old:
        _exchange(aside, target)
        raise Refused(f"{_shown(target)} was changed just now and was left as it is; try again")
    _discard(aside, new)


def _demand_unchanged(aside: Path) -> None:
    """Raise `Refused` if that is not a directory, or a copy with local changes."""
    if not stat.S_ISDIR(os.lstat(aside).st_mode):
        raise Refused(f"{_shown(aside)} is in the way; move it away")
    known = _manifest(aside)
    altered, _ = _changes(aside, known) if known is not None else ([], [])  # it may be half deleted
    if altered:
        raise Refused(f"{_shown(aside)} has changed ({plain(altered[0])}); move it away")


def _discard(aside: Path, new: _Copy) -> None:
    """Remove a copy that was moved aside, file by file, so that anything else stays."""
    known = _manifest(aside) or new
    wanted = {MANIFEST, *known.digests}
    for above, _, names in reversed(list(walk(aside))):
        base = "" if above == str(aside) else f"{os.path.relpath(above, aside)}/"
        for name in sorted(names, key=MANIFEST.__eq__):  # the manifest last: it identifies the rest
            if base + name in wanted or _is_compiled(base + name):
                os.unlink(os.path.join(above, name))
        try:
            os.rmdir(above)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise Refused(
                f"{_shown(above)} holds files that are not part of a copy; move it away"
            ) from error


def _tidy(target: Path, new: _Copy) -> None:
    """Remove what a killed run left."""
    for leftover in (_aside(target), _between(_aside(target))):
        if os.path.lexists(leftover):
            _demand_unchanged(leftover)
            _discard(leftover, new)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.tempkeep-vendor")


def _between(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}-old")


def _exchange(one: Path, other: Path) -> None:
    """Exchange two directories: atomically on Linux; elsewhere a kill between the steps leaves one
    of them moved aside, whole.
    """
    number = _exchange_at_once(one, other)
    if number in (errno.ENOSYS, errno.EINVAL):
        between = _between(one)
        os.rename(other, between)
        os.rename(one, other)
        os.rename(between, one)
    elif number:
        raise OSError(number, os.strerror(number), str(other))


def _exchange_at_once(one: Path, other: Path) -> int:
    """The `errno` of Linux's `renameat2`; 0 on success."""
    import ctypes

    here, exchange = -100, 2
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return errno.ENOSYS
    done = call(here, os.fsencode(one), here, os.fsencode(other), exchange)
    return ctypes.get_errno() if done else 0
