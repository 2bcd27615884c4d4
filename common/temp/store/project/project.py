"""Finding the project of a directory, its root, and the projects of a monorepo."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...core.fields import Unreadable
from ...core.layouts import STORE, UNDO, is_inside
from ...errors import InvalidSettings, Refused, StorageError
from ..system import at
from ..system.at import ROOT_FLAGS
from ..system.reading import read_file
from .links import Link, check_link, check_owner, check_target, follow

ROOT_NAME = ".tmp"
OLD_ROOT_NAME = ".temp"
"""The name of a root in older helpers."""

SCRATCH_NAMES = (ROOT_NAME, OLD_ROOT_NAME)
"""The names of roots whose store does not record their layout."""

_UNNAMED = (*SCRATCH_NAMES, ".tmp-archive")
"""The directories that are used without being named by the user."""

MARKERS = ("pyproject.toml", "tasks.py", "setup.py", ".git")

_SYSTEM_TREES = frozenset({"boot", "proc", "sys"})
_SYSTEM_DIRECTORIES = frozenset(
    {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "opt", "run", "sbin", "usr"}
    | {"var"}
    | {"Applications", "Library", "System", "Users", "Volumes", "private"}  # macOS
)
_SYSTEM_PARTS = frozenset(
    {"bin", "cache", "games", "include", "lib", "lib32", "lib64", "libexec", "libx32", "local"}
    | {"log", "run", "sbin", "share", "spool"}
)
SYSTEM_TEMPS = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108 - where tempfile looks, too


def find_project(start: Path | None = None, otherwise: Path | None = None) -> Path:
    """The absolute directory of the project that holds `start` (the working directory if `None`).

    This is the nearest directory upward with a `pyproject.toml`, `tasks.py` (unless it is a module
    of a package), `setup.py` or `.git`, unless it `is_nobodys`. Without one, `otherwise`, or else
    `start` itself.
    """
    here = absolute(start)
    return next(_marked(here), otherwise or here)


def containing_project(start: Path) -> Path | None:
    """The project that holds the absolute directory `start`; `None` if there is none."""
    return next(_marked(start), None)


def find_monorepo(project: Path) -> Path:
    """The outermost project around `project` in its git work tree, or that of its superproject."""
    outermost = project
    for directory in _marked(project):
        outermost = directory
        if (directory / ".git").exists() and not _is_submodule(directory):
            break
    return outermost


def _is_submodule(tree: Path) -> bool:
    """Whether the work tree is a submodule: its repository is inside that of an outer one."""
    try:
        said = os.fsdecode(read_file(tree / ".git"))
    except (OSError, Unreadable):
        return False
    place = os.path.realpath(tree / said.removeprefix("gitdir:").strip())
    return any(is_inside(place, os.path.realpath(one / ".git/modules")) for one in tree.parents)


def root_of(project: Path) -> Path:
    """The root of `project`, whether it exists or not."""
    return project / ROOT_NAME


def is_nobodys(directory: Path) -> bool:
    """Whether `directory` cannot have a root: `/`, a home directory, the system's temporary
    directory or a similar one, a system directory, or one for installed packages.
    """
    try:
        return (
            directory in unowned(directory)
            or is_packages(directory)
            or _is_of_system(directory)
            or is_everybodys(directory)
            or _is_home_of_owner(directory)
        )
    except OSError:
        return False


def is_packages(directory: Path) -> bool:
    """Whether `directory` holds installed packages or is in one."""
    return not {"site-packages", "dist-packages"}.isdisjoint(directory.parts)


def _is_of_system(directory: Path) -> bool:
    parts = directory.parts[1:]
    return os.sep == "/" and (
        (parts[:1] and parts[0] in _SYSTEM_TREES)
        or (len(parts) == 1 and parts[0] in _SYSTEM_DIRECTORIES)
        or (len(parts) == 2 and parts[0] in ("usr", "var") and parts[1] in _SYSTEM_PARTS)
    )


def _is_home_of_owner(directory: Path) -> bool:
    try:
        import pwd

        home = pwd.getpwuid(os.stat(directory).st_uid).pw_dir
    except (ImportError, KeyError):  # Windows; a user without a name
        return False
    return os.path.realpath(home) == os.path.realpath(directory)


def user_root(base: Path | None = None) -> Path:
    """The directory of this user's auto-cleanup entries, whether it exists or not.

    It is in `base`, by default the system's temporary directory.
    """
    return (base or system_temp()) / f"tempkeep-{_user_id()}"


def is_private(root: Path) -> bool:
    """Whether the name of `root` says that it holds auto-cleanup entries and must be private."""
    return root.name == f"tempkeep-{_user_id()}"


def system_temp() -> Path:
    """The system's temporary directory, as `tempfile` finds it, but without writing a test file.

    On a full disk, when a clean matters most, `tempfile` finds none.
    """
    if tempfile.tempdir is not None:
        return Path(os.path.abspath(tempfile.tempdir))
    named = [os.environ.get(variable, "") for variable in ("TMPDIR", "TEMP", "TMP")]
    for directory in (*named, *SYSTEM_TEMPS):
        if os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK):
            return Path(os.path.abspath(directory))
    return Path(SYSTEM_TEMPS[0])


def is_own_private(directory: Path) -> bool:
    """Whether `directory` exists, belongs to this user and is not writable by others.

    In the system's temporary directory, where others can create files, it must also not be a
    symlink or readable by others.
    """
    is_shared = directory.parent == user_root().parent
    try:
        status = at.stat(directory, follow_symlinks=not is_shared)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "geteuid"):
        return True
    of_others = 0o077 if is_shared else 0o022
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & of_others


def check_root(root: Path) -> bool:
    """Whether `root` exists and is a directory that this user can trust.

    A root may be behind a symlink only if the symlink belongs to this user, is not tracked by git,
    and leads to a root of this user or to an empty directory that does not contain the project, the
    home or the temporary directory. Other symlinks in its path, outside any project, must belong to
    this user or root. The user's own root in the shared temporary directory must be neither a
    symlink nor accessible to others.

    Raises `Refused` if it may be planted, `StorageError` if it is not a directory.
    """
    return _trusted(root) is not None


def open_root(root: Path) -> int:
    """A descriptor of the directory `root`, checked as by `check_root`.

    Raises as `check_root` does, `FileNotFoundError` if it does not exist, or `OSError`.
    """
    descriptor = at.open(str(root), ROOT_FLAGS)
    try:
        # Opened first, then checked: swapping a symlink in between changes the identity.
        status = at.fstat(descriptor)
        if _trusted(root) != (status.st_dev, status.st_ino):
            raise Refused(f"{root} was replaced at this moment; try again")
    except BaseException:
        at.close(descriptor)
        raise
    return descriptor


def check_way(path: Path) -> Path:
    """The real path of `path`. Raises `Refused` if a symlink in it may have been planted: it is in
    a project, and belongs to another user or is tracked by git.
    """
    try:
        real, links = follow(str(path))
    except OSError as error:
        raise StorageError.of(f"cannot look at {path}", error) from error
    for link in links:
        check_link(link, real, is_ours=_lies_in_project(link))
    return Path(real)


def where_it_leads(root: Path) -> Path | None:
    """The real path of `root` if a symlink in a project leads there; else `None`."""
    try:
        real, links = follow(str(root))
    except OSError:
        return None
    return Path(real) if any(_may_be_planted(link, root) for link in links) else None


def _may_be_planted(link: Link, root: Path) -> bool:
    """Whether another person may have chosen the target of `link`: it is in a project, or it is the
    root itself and has a default name. Any other symlink is part of a path that the user gave.
    """
    return _lies_in_project(link) or (link.is_last and root.name in _UNNAMED)


def _lies_in_project(link: Link) -> bool:
    return any(True for _ in _marked(Path(link.path).parent))


def _trusted(root: Path) -> tuple[int, int] | None:
    """The identity of the directory `root`, or `None` if it does not exist; see `check_root`."""
    if (root.parent.name, root.name) == (STORE, UNDO):
        # The undo area is as trustworthy as the root that it is in.
        return _identity(root) if check_root(root.parent.parent) else None
    seen = _look(root)
    if seen is None or stat.S_ISLNK(seen.st_mode) or os.path.realpath(root) != str(root):
        identity = _trusted_by_links(root, is_link=seen is not None and stat.S_ISLNK(seen.st_mode))
        seen = seen if identity is not None else None
    else:
        identity = (seen.st_dev, seen.st_ino)
    if seen is None:
        return None
    if not hasattr(os, "geteuid") or not is_private(root):
        return identity
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077:
        raise Refused(
            f"{root} is not this user's private directory (mode 700); "
            "have its owner remove it, or set TMPDIR to a directory of your own"
        )
    return identity


def _look(root: Path) -> os.stat_result | None:
    """The status of the symlink or directory at `root`; `None` if it does not exist."""
    try:
        seen = at.stat(root, follow_symlinks=False)
        target = os.stat(root) if stat.S_ISLNK(seen.st_mode) else seen
    except FileNotFoundError:
        if os.path.islink(root):
            raise StorageError(
                0, f"{root} is a dangling symlink; mount its disk, make its target, or remove it"
            ) from None
        return None
    except OSError as error:
        raise StorageError.of(f"cannot look at {root}", error) from error
    if not stat.S_ISDIR(target.st_mode):
        raise StorageError(0, f"{root} is not a directory; move it away")
    return seen


def _trusted_by_links(root: Path, *, is_link: bool) -> tuple[int, int] | None:
    """As `_trusted`, for a path that may contain symlinks."""
    try:
        real, links = follow(str(root))
        if is_link and is_private(root):
            raise Refused(
                f"{root} is not this user's private directory (mode 700); "
                "have its owner remove it, or set TMPDIR to a directory of your own"
            )
        if is_link:
            project = Path(os.path.realpath(root.parent))
            if Path(real) in {project, *project.parents, *unowned(root)}:
                raise Refused(
                    f"{root} is a symlink to {real}, which holds far more; remove the link"
                )
        strict = [link for link in links if _may_be_planted(link, root)]
        for link in links:
            check_link(link, real, is_ours=link in strict)
        if links and os.path.lexists(real):
            is_scratch = root.name in SCRATCH_NAMES
            if strict:
                return check_target(str(root), real, is_scratch=is_scratch)
            if is_link:
                return check_owner(str(root), real)
    except FileNotFoundError:
        return None
    except StorageError:
        raise
    except OSError as error:
        raise StorageError.of(f"cannot look at {root}", error) from error
    return _identity(root)


def _identity(root: Path) -> tuple[int, int] | None:
    """The device and inode at `root`, symlinks not followed; `None` if unreadable."""
    try:
        status = at.stat(root, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def monorepo_projects(
    monorepo: Path, patterns: Iterable[str], excluded: Iterable[str] = ()
) -> list[Path]:
    """The directories of the projects of `monorepo`, itself first, then by path.

    `patterns` and `excluded` are globs relative to it (`projects/*`). A directory that is hidden or
    behind a symlink is not a project. Raises `InvalidSettings`.
    """
    left_out = {path for pattern in excluded for path in _matching(monorepo, pattern)}
    found = {
        path
        for pattern in patterns
        for path in _matching(monorepo, pattern)
        if path not in left_out and path.is_dir() and _is_plainly_below(path, monorepo)
    }
    return [monorepo, *sorted(found - {monorepo})]


def _matching(monorepo: Path, pattern: str) -> list[Path]:
    try:
        return list(monorepo.glob(pattern))
    except RecursionError:
        raise InvalidSettings(
            f"{monorepo}: projects: directories are nested too deeply for {pattern!r}; "
            "name the projects by less"
        ) from None


def _is_plainly_below(path: Path, monorepo: Path) -> bool:
    relative = path.relative_to(monorepo)
    if any(part.startswith(".") for part in relative.parts):
        return False
    return os.path.realpath(path) == os.path.join(os.path.realpath(monorepo), relative)


def absolute(start: Path | None) -> Path:
    """The absolute path of `start`, or of the working directory if it is `None`.

    Raises `StorageError` if the working directory is needed but gone.
    """
    try:
        return Path(os.path.abspath(start)) if start is not None else Path(os.getcwd())
    except FileNotFoundError as error:
        raise StorageError.of(
            "the working directory is gone", error, "change to one that exists"
        ) from error


def _marked(start: Path) -> Iterator[Path]:
    """The directories from `start` upward that have a marker, nearest first."""
    for directory in (start, *start.parents):
        if any(_lies_in(directory, marker) for marker in MARKERS) and not is_nobodys(directory):
            yield directory


def _lies_in(directory: Path, marker: str) -> bool:
    if not os.path.lexists(os.path.join(directory, marker)):
        return False
    # A `tasks.py` in a package, such as Celery's, holds no invoke tasks.
    return marker != "tasks.py" or not os.path.lexists(os.path.join(directory, "__init__.py"))


def unowned(path: Path) -> set[Path]:
    """The directories that belong to no project, whatever they contain, on the drive of `path`."""
    known = (path.anchor, system_temp(), os.path.expanduser("~"))
    return {Path(directory) for directory in known} | {
        Path(os.path.realpath(directory)) for directory in known
    }


def is_everybodys(directory: Path) -> bool:
    """Whether it is sticky and world-writable like `/var/tmp`, where anyone can create a marker."""
    everybodys = stat.S_ISVTX | stat.S_IWOTH
    return os.stat(directory).st_mode & everybodys == everybodys


def _user_id() -> str:
    if hasattr(os, "geteuid"):
        return str(os.geteuid())
    import getpass

    return "".join(letter for letter in getpass.getuser() if letter.isalnum()) or "user"
