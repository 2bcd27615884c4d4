"""Creation of entries, which is exclusive and recorded before they exist."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from functools import lru_cache
from pathlib import Path

from ...core.layouts import (
    UNCATEGORIZED,
    Layout,
    check_category,
    check_label,
    check_suffix,
    entry_name,
    read_name,
    short_label,
)
from ...errors import StorageError
from ..project.project import (
    absolute,
    check_root,
    check_way,
)
from ..system import at
from ..system.at import PASSING_FLAGS
from ..system.user_path import users_path
from .current_owners import own
from .making import check_not_linked, make_category, make_root, refusal
from .new_names import claim, fresh_name
from .owner import owner_of, release
from .owner_kinds import PLAIN, Book

_ATTEMPTS = 64

_labels = lru_cache(maxsize=1024)(check_label)
_categories = lru_cache(maxsize=256)(check_category)


def allocate(root: str, category: str | None, label: str, *, mode: int = 0o777) -> str:
    """The path of a new, empty directory `<root>/<category>/<label>_<epoch>` owned by this process.

    No two callers ever get the same path: `mkdir` decides, and the loser adds a random suffix
    (20 times as fast as counting up when many collide). This process never uses a name twice.
    Makes the root and the category if needed. Raises `InvalidName`, `Refused` or `StorageError`,
    and then leaves nothing on disk.
    """
    category = UNCATEGORIZED if category is None else _categories(category)
    epoch = int(time.time())
    stem, directory = entry_name(_labels(label), epoch), f"{root}/{category}"
    name = fresh_name(directory, stem, epoch)
    error: OSError | None = None
    for attempt in range(1, _ATTEMPTS + 1):
        relative = f"{category}/{name}"
        try:
            owner = owner_of(root)
            owner.record(relative)
        except (FileNotFoundError, NotADirectoryError):
            make_root(root)
            continue
        except OSError as failure:
            raise refusal(f"cannot record {root}/{relative}", failure) from failure
        path = f"{root}/{relative}"
        try:
            _make_in(directory, name, mode)
        except FileExistsError:
            owner.release(relative)
            name = fresh_name(directory, stem, epoch, attempt)
            continue
        except (FileNotFoundError, NotADirectoryError) as failure:
            owner.release(relative)
            error = failure.with_traceback(None)  # the traceback would keep this frame alive
            make_category(root, category)
            continue
        except OSError as failure:
            owner.release(relative)
            check_not_linked(directory)
            raise refusal(f"cannot make {path}", failure) from failure
        return path
    raise refusal(
        f"cannot make an entry {label!r} in {root}/{category} in {_ATTEMPTS} attempts",
        error or FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)),
    )


def _make_in(directory: str, name: str, mode: int) -> None:
    """Make the directory `name` in `directory`, which must not be a symlink. Raises `OSError`."""
    descriptor = at.open(directory, PASSING_FLAGS)
    try:
        at.mkdir(name, mode, dir_fd=descriptor)
    finally:
        at.close(descriptor)


def allocate_private(root: str, category: str, label: str) -> str:
    """Like `allocate`, with mode 700, in a root that is private to this user; cuts long labels.

    Also raises `Refused` if that root is not this user's private directory. This is checked each
    time, since another user may have made the root first.
    """
    check_root(Path(root))
    return allocate(root, category, short_label(label), mode=0o700)


def allocate_private_file(root: str, category: str, label: str, suffix: str) -> str:
    """Like `allocate_file`, but private, as with `allocate_private`."""
    check_root(Path(root))
    return allocate_file(root, category, short_label(label), suffix, private=True)


def allocate_named(root: str, name: str, layout: Layout) -> str:
    """The path of a new, empty directory `<root>/<name>` owned by this process.

    The caller has checked `name`. Makes the root if needed. Raises `FileExistsError` if the name is
    taken, `Refused` or `StorageError`, and then leaves nothing on disk.
    """
    path = f"{root}/{name}"
    for _ in range(_ATTEMPTS):
        adopt(root, name, layout)
        try:
            os.mkdir(path)
        except FileExistsError:
            release(root, name)
            raise
        except FileNotFoundError:
            release(root, name)  # the root was just removed
        except OSError as failure:
            release(root, name)
            raise refusal(f"cannot make {path}", failure) from failure
        else:
            if (owner := own(root)) is not None:
                owner.record_made(name)
            return path
    raise StorageError(0, f"cannot make {path}: {root} vanished {_ATTEMPTS} times")


def adopt(root: str, name: str, layout: Layout, book: Book = PLAIN) -> None:
    """Record that this process owns the entry `name` of `root`, which need not exist yet.

    Makes the root if needed. Each `adopt` needs its own `release`. Raises `Refused` or
    `StorageError`.
    """
    for _ in range(_ATTEMPTS):
        try:
            owner_of(root, book).record(name)
        except (FileNotFoundError, NotADirectoryError):
            make_root(root, layout)
        except OSError as failure:
            raise refusal(f"cannot record {root}/{name}", failure) from failure
        else:
            return
    raise StorageError(0, f"cannot record {root}/{name}: {root} vanished {_ATTEMPTS} times")


def allocate_file(
    root: str, category: str | None, label: str, suffix: str, *, private: bool = False
) -> str:
    """The path of a new, empty file `<label>_<epoch><suffix>` in an entry of its own.

    Raises what `allocate` raises, and `InvalidName` for a suffix that cannot be in a name.
    """
    label = _labels(label)
    suffix = check_suffix(suffix, label)
    directory = allocate(root, category, label, mode=0o700 if private else 0o777)
    relative = directory[len(root) + 1 :]
    path = f"{directory}/{label}_{read_name(relative)[1]}{suffix}"
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(path, flags, 0o600 if private else 0o666))
    except OSError as error:
        with contextlib.suppress(OSError):
            os.rmdir(directory)
        release(root, relative)
        raise refusal(f"cannot make {path}", error) from error
    return path


def allocate_run(directory: str) -> str:
    """The path of a new, empty directory in `directory`, named after the current second in UTC.

    The name is `20250917T013040Z`, or `20250917T013040Z-2` if that is taken; `mkdir` decides who
    gets a name. The directory is not an entry. Raises `FileNotFoundError` if `directory` does not
    exist, or `StorageError`.
    """
    number = 1
    while True:
        epoch = int(time.time())
        path = f"{directory}/{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(epoch))}"
        if number > 1:
            path += f"-{number}"
        if claim(path, epoch) is False:
            number += 1
            continue
        try:
            os.mkdir(path)
        except FileExistsError:
            number += 1
        except FileNotFoundError:
            raise
        except OSError as error:
            raise refusal(f"cannot make {path}", error) from error
        else:
            return path


def allocate_run_in(output_dir: str | os.PathLike[str]) -> str:
    """Like `allocate_run`, but makes `output_dir` and its parents if they are missing.

    Raises `Refused` if a symlink on the path may have been planted; see `check_way`.
    """
    directory = str(absolute(users_path(output_dir)))
    check_way(Path(directory))
    for _ in range(_ATTEMPTS):
        try:
            os.makedirs(directory, exist_ok=True)
        except FileExistsError as error:
            if not os.path.isdir(directory):
                raise refusal(f"cannot make {directory}", error) from error
        except OSError as error:
            raise refusal(f"cannot make {directory}", error) from error
        with contextlib.suppress(FileNotFoundError):  # it was removed just now
            return allocate_run(directory)
    raise StorageError(0, f"cannot make a run: {directory} vanished {_ATTEMPTS} times")
