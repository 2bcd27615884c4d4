"""Choosing the project for a process's scratch, and the place for scratch outside any project.

The order, for all faces: the project that `TEMPKEEP_PROJECT` names, the one of the working
directory, the one of the running script, else a private directory of this user. The tasks act on
the working directory and ignore the running script, which is `inv`.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from ...core.layouts import STORE, is_inside
from ...errors import InvalidSettings, Refused
from ..system.environments import is_environment
from .project import (
    absolute,
    containing_project,
    find_project,
    is_nobodys,
    is_own_private,
    is_packages,
    root_of,
    system_temp,
    user_root,
)

ENV_PREFIX = "TEMPKEEP_"
"""The prefix of all environment variables of this program."""

PROJECT = f"{ENV_PREFIX}PROJECT"
HOST = f"{ENV_PREFIX}HOST"
"""The variable that names the project, whatever the working directory."""

_roots: dict[tuple[str, str], str] = {}
_has_warned = False


def project_root() -> str:
    """The root for the scratch of this process, whether it exists or not.

    Looked up once per working directory: a project does not move while a process runs in it. Warns
    once if there is no project. Raises `InvalidSettings` if `TEMPKEEP_PROJECT` is not a project.
    """
    key = (os.environ.get(PROJECT, ""), working_directory())
    root = _roots.get(key)
    if root is None:
        project = project_of_process()
        if project is None:
            return _root_of_none()
        root = _roots[key] = str(root_of(project))
    return root


def project_of_process() -> Path | None:
    """The project that this process works for, if any. Raises `InvalidSettings` if
    `TEMPKEEP_PROJECT` is not a project.
    """
    return named_project() or _project_of(working_directory()) or _project_of(*_scripts())


def root_for(directory: Path, otherwise: Path) -> str:
    """The root for code in `directory`, such as a test; outside any project, the root of the
    directory `otherwise`. Raises and warns as `project_root` does.
    """
    project = named_project() or find_project(directory, otherwise)
    return _root_of_none() if is_nobodys(project) else str(root_of(project))


def standing_project() -> Path:
    """The project that the tasks act on, whether it has a marker or not.

    This is the one that `TEMPKEEP_PROJECT` names, else the one of the working directory, else the
    working directory itself. In `/`, the home directory, `/etc` and the like it is the directory
    for scratch outside any project. Raises `InvalidSettings`, or `StorageError` if the working
    directory is gone.
    """
    project = named_project() or find_project()
    return next(homeless_projects()) if is_nobodys(project) else project


def named_project() -> Path | None:
    """The project that `TEMPKEEP_PROJECT` names, if it is set. Raises `InvalidSettings`."""
    said = os.environ.get(PROJECT, "")
    if not said:
        return None
    from ..system.user_path import users_path  # rarely needed

    expected = f"{PROJECT}: expected the path of an existing directory, got {said!r}"
    try:
        project = Path(os.path.realpath(absolute(users_path(said))))
        if not project.is_dir():
            raise InvalidSettings(f"{expected}; set it to a project, or unset it")
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidSettings):
            raise
        raise InvalidSettings(f"{expected}; set it to a project, or unset it") from error
    if is_nobodys(project):
        raise InvalidSettings(
            f"{PROJECT}: {project} holds far more than a project; "
            "set it to a directory in there, or unset it"
        )
    return project


def working_directory() -> str:
    """The working directory, or "" if it is gone or cannot be read."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _project_of(*starts: str) -> Path | None:
    """The project of the first of the directories `starts` that is in a project."""
    for start in starts:
        found = containing_project(Path(start)) if start else None
        if found is not None:
            return found
    return None


# -- the running script ---------------------------------------------------------------------------


def _scripts() -> Iterator[str]:
    """The directories of possible running scripts, symlinks resolved.

    These are the file of `__main__`, and the first argument if a tool such as `python -m cProfile`
    runs the script. In a REPL, with `-c` and in a frozen program there is none.
    """
    if getattr(sys, "frozen", False):
        return
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    argument = (getattr(sys, "argv", None) or [""])[0]
    for said in (main, argument):
        if not isinstance(said, str) or not said:
            continue
        try:
            path = os.path.realpath(said)
        except OSError:  # relative to a working directory that is gone
            continue
        if os.path.isfile(os.path.dirname(path)):
            path = os.path.dirname(path)  # a zip-app that holds `__main__`
        if os.path.isfile(path) and not _is_installed(path):
            yield os.path.dirname(path)


def _package(file: str) -> str:
    """The directory of this package, given the path `file` of this module."""
    return str(Path(file).parents[2])


def _is_installed(path: str) -> bool:
    """Whether it is a tool rather than a script of a project: part of the standard library, an
    installed module, a console script, or this package. A virtual environment or a copy of this
    package may be inside a project without running for it.
    """
    directory = os.path.dirname(path)
    bins = {os.path.dirname(sys.executable), os.path.dirname(os.path.realpath(sys.executable))}
    bins |= {os.path.join(prefix, "bin") for prefix in (sys.prefix, sys.base_prefix)}
    library = os.path.dirname(os.path.realpath(os.__file__))
    is_in_bin = os.path.basename(directory) in ("bin", "Scripts")
    return (
        directory in bins
        or is_packages(Path(directory))
        or is_inside(directory, library)
        or is_inside(directory, _package(os.path.realpath(__file__)))
        or (is_in_bin and is_environment(os.path.join(directory, os.pardir)))
    )


# -- scratch outside any project ------------------------------------------------------------------


def homeless_projects() -> Iterator[Path]:
    """The directories whose roots may hold scratch outside any project, the best first.

    They belong to the user and are private. A process under cron or `sudo` may have used another
    one than this process would, so all of them count. They need not exist.
    """
    seen: set[str] = set()
    for directory in _state_directories():
        own = os.path.join(directory, "tempkeep")
        if own not in seen:
            seen.add(own)
            yield Path(own)
    yield user_root().with_name(f"{user_root().name}-scratch")


def homeless_roots() -> list[Path]:
    """The existing roots with scratch outside any project, or with runs beside them, each once."""
    found = {
        os.path.realpath(root): root
        for root in map(root_of, homeless_projects())
        if (root.is_dir() or (root.parent / STORE).is_dir()) and is_own_private(root.parent)
    }
    return [*found.values()]


def _root_of_none() -> str:
    """The root for scratch outside any project; creates its directory. Raises `Refused`."""
    for project in homeless_projects():
        try:
            os.makedirs(project.parent, exist_ok=True)
            os.makedirs(project, 0o700, exist_ok=True)
        except OSError:
            continue
        if is_own_private(project):
            root = root_of(project)
            _warn(root)
            return str(root)
    raise Refused(
        f"this is in no project, and {project} is not this user's private directory; "
        f"set {PROJECT} to a directory of your own"
    )


def _state_directories() -> Iterator[str]:
    """The directories for persistent state: the configured one, the one in `$HOME`, and the one in
    the home directory from the user database; the last two differ under `sudo` and cron.

    A configured directory inside the temporary directory belongs to a test or a demonstration,
    which must not touch the user's home: then it is the only one.
    """
    set_by_user = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(set_by_user) and _is_own(_existing(set_by_user)):
        yield os.path.abspath(set_by_user)
        if Path(os.path.realpath(set_by_user)).is_relative_to(os.path.realpath(system_temp())):
            return
    for home in (os.path.expanduser("~"), _home_of_user()):
        if os.path.isabs(home) and os.path.dirname(home) != home and _is_own(home):
            yield os.path.join(os.path.abspath(home), ".local", "state")


def _home_of_user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.geteuid()).pw_dir
    except (ImportError, KeyError):  # Windows; a user without a name, as in many containers
        return ""


def _existing(path: str) -> str:
    """`path`, or the nearest directory above it that exists."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _is_own(directory: str) -> bool:
    try:
        status = os.stat(directory)
    except OSError:
        return False
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return mine and stat.S_ISDIR(status.st_mode) and os.path.dirname(directory) != directory


def _warn(root: Path) -> None:
    """Warn once, at the caller's line, where scratch outside any project goes."""
    global _has_warned
    if _has_warned:
        return
    import warnings

    here = _package(__file__) + os.sep
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(here):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"this is in no project, so scratch goes to {root}; `tempkeep temp-status` lists it from "
        f"anywhere. Set {PROJECT} to the project, or run this in one",
        stacklevel=level,
    )
    _has_warned = True


def reported_host() -> str:
    """The name of this machine in reports: `TEMPKEEP_HOST` if set, else its host name."""
    from ..system.process_identity import host_name  # a status needs it only for JSON

    return os.environ.get(HOST) or host_name()
