"""Making roots, categories and entries: exclusively, recorded before they exist."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from functools import lru_cache
from pathlib import Path

from ...core.fields import Unreadable
from ...core.layout import (
    CATEGORY_MARK,
    FILES,
    HOLDING,
    KNOWN_CATEGORIES,
    LAYOUT,
    LAYOUTS,
    MAX_NAME_BYTES,
    OWNERS,
    PIPELINE,
    SCRATCH,
    STORE,
    UNCATEGORIZED,
    Layout,
    check_category,
    check_label,
    check_suffix,
    entry_name,
    read_name,
    short_label,
)
from ...errors import Refused, StorageError
from ..project.project import (
    MARKERS,
    ROOT_NAME,
    SCRATCH_NAMES,
    absolute,
    check_root,
    check_way,
    holds_more,
    is_private,
    open_root,
    user_root,
)
from ..system import at
from ..system.reading import opened_in, read_file
from ..system.renaming import rename_new
from .guard import check_store
from .journal import PLAIN, Book
from .names import claim, fresh_name
from .owner import owner_of, release

_ATTEMPTS = 64
_CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This directory holds scratch data kept by tempkeep; it can be made again.\n"
    "# For information about cache directory tags, see https://bford.info/cachedir/\n"
)
TAGS = {"CACHEDIR.TAG": _CACHEDIR_TAG, ".gitignore": "*\n"}
"""What a root of scratch gets when it is made."""

_CATEGORY_FLAGS = (
    getattr(os, "O_PATH", os.O_RDONLY)
    | at.O_DIRECTORY
    | at.O_NOFOLLOW
    | getattr(os, "O_CLOEXEC", 0)
)

_labels = lru_cache(maxsize=1024)(check_label)
_categories = lru_cache(maxsize=256)(check_category)


def allocate(root: str, category: str | None, label: str, *, mode: int = 0o777) -> str:
    """The path of a new, empty directory `<root>/<category>/<label>_<epoch>` owned by this process.

    No two callers ever get the same: `mkdir` decides, and the loser takes a random suffix (which
    costs a twentieth of counting up when many collide). Nor does this process ever use a name
    twice. Makes the root and the category if need be. Raises `InvalidName`, `Refused` or
    `StorageError`; then nothing is left on disk.
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
            raise _refusal(f"cannot record {root}/{relative}", failure) from failure
        path = f"{root}/{relative}"
        try:
            _make_in(directory, name, mode)
        except FileExistsError:
            owner.release(relative)
            name = fresh_name(directory, stem, epoch, attempt)
            continue
        except (FileNotFoundError, NotADirectoryError) as failure:
            owner.release(relative)
            error = failure.with_traceback(None)  # which holds this frame, and so its callers
            make_category(root, category)
            continue
        except OSError as failure:
            owner.release(relative)
            _check_category(directory)
            raise _refusal(f"cannot make {path}", failure) from failure
        return path
    raise _refusal(
        f"cannot make an entry {label!r} in {root}/{category} in {_ATTEMPTS} attempts",
        error or FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)),
    )


def _make_in(directory: str, name: str, mode: int) -> None:
    """Make the directory `name` in `directory`, which must be no link. Raises `OSError`."""
    descriptor = at.open(directory, _CATEGORY_FLAGS)
    try:
        at.mkdir(name, mode, dir_fd=descriptor)
    finally:
        at.close(descriptor)


def allocate_private(root: str, category: str, label: str) -> str:
    """As `allocate`, of mode 700 and in a root of this user alone; the label is cut.

    Raises also `Refused` where that root is not what it seems: asked each time, and not only when
    it is made, since whoever came first may have made all of it.
    """
    check_root(Path(root))
    return allocate(root, category, short_label(label), mode=0o700)


def allocate_private_file(root: str, category: str, label: str, suffix: str) -> str:
    """As `allocate_file`, otherwise as `allocate_private`."""
    check_root(Path(root))
    return allocate_file(root, category, short_label(label), suffix, private=True)


def allocate_named(root: str, name: str, layout: Layout) -> str:
    """The path of a new, empty directory `<root>/<name>` owned by this process.

    `name` is one that was checked. Makes the root if need be. Raises `FileExistsError` if anything
    of that name is there, `Refused` or `StorageError`; then nothing is left on disk.
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
            release(root, name)  # the root was removed a moment ago
        except OSError as failure:
            release(root, name)
            raise _refusal(f"cannot make {path}", failure) from failure
        else:
            return path
    raise StorageError(0, f"cannot make {path}: {root} vanished {_ATTEMPTS} times")


def adopt(root: str, name: str, layout: Layout, book: Book = PLAIN) -> None:
    """Record that the entry `name` of `root` is this process's, be it there or about to be made.

    Makes the root if need be. It is given up by `lease.release`, as often as it was adopted.
    Raises `Refused` or `StorageError`.
    """
    for _ in range(_ATTEMPTS):
        try:
            owner_of(root, book).record(name)
        except (FileNotFoundError, NotADirectoryError):
            make_root(root, layout)
        except OSError as failure:
            raise _refusal(f"cannot record {root}/{name}", failure) from failure
        else:
            return
    raise StorageError(0, f"cannot record {root}/{name}: {root} vanished {_ATTEMPTS} times")


def allocate_file(
    root: str, category: str | None, label: str, suffix: str, *, private: bool = False
) -> str:
    """The path of a new, empty file `<label>_<epoch><suffix>` in an entry of its own.

    Raises as `allocate` does, and `InvalidName` for a suffix that is no part of a name.
    """
    check_suffix(suffix, _labels(label))
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
        raise _refusal(f"cannot make {path}", error) from error
    return path


def allocate_run(directory: str) -> str:
    """The path of a new, empty directory in `directory`, named by the second, in UTC.

    `20250917T013040Z`, or `20250917T013040Z-2` where that is taken: `mkdir` decides who gets a
    name. It is nobody's entry. Raises `FileNotFoundError` if `directory` is not there, or
    `StorageError`.
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
            raise _refusal(f"cannot make {path}", error) from error
        else:
            return path


def allocate_run_in(output_dir: str | os.PathLike[str]) -> str:
    """As `allocate_run`; `output_dir` is made if it is missing, and those above it.

    Raises `Refused` if a link on the way may have been planted: see `check_way`.
    """
    directory = str(absolute(Path(output_dir)))
    check_way(Path(directory))
    for _ in range(_ATTEMPTS):
        try:
            os.makedirs(directory, exist_ok=True)
        except FileExistsError as error:
            if not os.path.isdir(directory):
                raise _refusal(f"cannot make {directory}", error) from error
        except OSError as error:
            raise _refusal(f"cannot make {directory}", error) from error
        with contextlib.suppress(FileNotFoundError):  # removed at this moment
            return allocate_run(directory)
    raise StorageError(0, f"cannot make a run: {directory} vanished {_ATTEMPTS} times")


def layout_of(root: Path, *, is_scratch: bool | None = None) -> Layout:
    """How the entries of `root` lie, as its store says.

    If the store says nothing: as in a `.tmp` if the root `is_scratch`, which its name decides if
    that is `None`. Any other root is taken for one of pipeline runs, whose names nothing else has,
    so that nobody's files are taken for entries.

    Raises `Refused` if the store lies behind a symlink, `StorageError` if it cannot be read.
    """
    check_store(root)
    path = root / STORE / LAYOUT
    try:
        said = read_file(path).decode(errors="replace").strip()[:MAX_NAME_BYTES]
    except (FileNotFoundError, NotADirectoryError):
        if is_scratch is None:
            is_scratch = root.name in SCRATCH_NAMES or root == user_root()
        return SCRATCH if is_scratch else PIPELINE
    except Unreadable as problem:
        raise StorageError(0, f"{path} {problem}") from problem
    if said not in LAYOUTS:
        raise StorageError(
            0, f"{path}: {said!r} is no layout that this version knows; update tempkeep"
        )
    return LAYOUTS[said]


def make_root(root: str, layout: Layout = SCRATCH) -> None:
    """Make `root` with its tag and its store, or complete one that a plain `mkdir` made.

    One of another `layout` is a directory that the user named: parents are made, and nothing is
    put into it but the store, which says the layout; a project's own directory, home or all that
    is temporary cannot be one, if all that lies in it would be an entry. Safe against others that
    do the same at this moment. Raises `Refused` or `StorageError`; a root that did not exist before
    is then gone again.
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
        raise _refusal(f"cannot make {where}", error) from error


def _make_other_root(root: Path, layout: Layout) -> None:

    try:
        _check_outside_scratch(root, layout)
        check_store(root)
        root.mkdir(parents=True, exist_ok=True)
        check_root(root)  # again: it may just have been planted
        if layout.names is None and holds_more(root):
            raise Refused(
                f"{root} holds more than {layout.name}, or may; choose a directory of their own"
            )
        store = root / STORE
        make_store(root, layout)
        # A store that has no such word is that of a `.tmp`, or of a directory of runs that was
        # cleaned before anybody said what it is.
        said = layout_of(root, is_scratch=not layout.names)
        if said is not layout:
            raise Refused(f"{root} holds {said.name}, not {layout.name}; choose another directory")
        for name in (OWNERS, HOLDING):
            (store / name).mkdir(exist_ok=True)
        _write_new(str(store / LAYOUT), f"{layout.name}\n")
    except OSError as error:
        raise _refusal(f"cannot make {error.filename or root}", error) from error


def tag_root(root: Path) -> None:
    """Mark `root` as one that backups and git leave out. Raises `OSError`."""
    for name, text in TAGS.items():
        _write_new(f"{root}/{name}", text)


def make_store(root: Path, layout: Layout) -> None:
    """Make the store of `root`, which says the `layout`, if it has none. Raises `OSError`.

    Whole or not at all: without its layout, everything in the root would be an entry.
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
    """Raise `Refused` where everything in `root` would be an entry, and it in `.tmp` one itself."""
    real = Path(os.path.realpath(root))
    if layout is not FILES or os.path.lexists(real / STORE):
        return  # whose layout is told by its store
    for above in (real, *real.parents):
        if above.name == ROOT_NAME:
            raise Refused(
                f"{root} lies in {above}, of which it would be an entry; choose another directory"
            )
        if any(os.path.lexists(above / marker) for marker in MARKERS):
            return  # a project of its own, wherever that lies


def make_category(root: str, category: str) -> None:
    """Make the category in `root`, and that if need be. Raises `Refused` or `StorageError`."""
    directory = f"{root}/{category}"
    try:
        os.mkdir(directory)
        if category not in KNOWN_CATEGORIES:
            _write_new(f"{directory}/{CATEGORY_MARK}", "")
    except FileExistsError:
        _check_category(directory)
        if not os.path.isdir(directory):
            raise StorageError(0, f"{directory} is not a directory; move it away") from None
    except FileNotFoundError:
        make_root(root)  # removed as a whole a moment ago
    except OSError as error:
        with contextlib.suppress(OSError):
            os.rmdir(directory)
        raise _refusal(f"cannot make {directory}", error) from error


def _check_category(directory: str) -> None:
    """Raise `Refused` if a link is in the place of a category: a clone may have brought it along,
    and what was made behind it would lie among somebody's work, where no clean finds it.
    """
    if os.path.islink(directory):
        raise Refused(f"{directory} is a symlink, behind which nothing is made; remove the link")


def _write_new(path: str, text: str) -> None:
    with contextlib.suppress(FileExistsError), open(path, "x", encoding="utf-8") as file:
        file.write(text)


def _refusal(what: str, error: OSError) -> StorageError:
    if isinstance(error, StorageError):
        return error
    return StorageError.of(what, error)
