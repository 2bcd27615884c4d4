"""The setting `auto_clean`: making an entry starts a clean in the background when one is due.

The caller only checks whether one may be due, at most once in ten minutes for each directory, and
starts a process that finds out. The time when the next one is due is stored as the modification
time of a file in the store.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .core.fields import Unreadable
from .core.layouts import STORE
from .errors import TempError
from .store.project.place import ENV_PREFIX, PROJECT
from .store.project.project import MARKERS, find_monorepo, find_project, is_nobodys, root_of
from .store.project.store_guard import check_store
from .store.system import at
from .store.system.opening import opened_in
from .store.system.own_files import open_own, set_time
from .store.system.reading import read_file

NAME: Final = "auto-clean"
"""The file in a root's store; it says when the last such clean began, in seconds since 1970."""

_KEY: Final = "auto_clean"
_PYPROJECT: Final = MARKERS[0]
_VARIABLE: Final = f"{ENV_PREFIX}{_KEY.upper()}"
_ASK_AGAIN: Final = 600.0
_LONGEST: Final = 366 * 24 * 3600.0
_LARGEST: Final = 4 << 20
_PACKAGE: Final = __name__.rpartition(".")[0]

_START: Final = 'exec "$@" </dev/null >/dev/null 2>&1 &'
"""The shell exits at once and init adopts the clean, so that the caller need not wait for it."""

_asked: dict[str, float] = {}


def maybe_start(directory: str) -> None:
    """Start the configured clean of the project around `directory`, if it may be due.

    Usually this only reads a clock; starting a process takes a few milliseconds. Never raises.
    """
    now = time.monotonic()
    if now < _asked.get(directory, 0.0):
        return
    with contextlib.suppress(OSError, TempError, ValueError):
        project = find_project(Path(directory))
        root = root_of(project)
        if not os.path.isdir(root / STORE):
            return  # before its first entry, there is nothing to clean
        _asked[directory] = now + _ASK_AGAIN
        settings = _mentions(project)
        if settings is not None and not is_nobodys(project) and _may_be_due(root, settings):
            _start(project)


def _mentions(project: Path) -> float | None:
    """Return when the settings of `project` last changed; `None` if they lack `auto_clean`."""
    times = [0.0] if _VARIABLE in os.environ else []
    for directory in {project, find_monorepo(project)}:
        with contextlib.suppress(OSError, Unreadable):
            path = directory / _PYPROJECT
            if _KEY.encode() in read_file(path, _LARGEST, follow=True):
                times.append(os.stat(path).st_mtime)
    return max(times, default=None)


def _may_be_due(root: Path, settings: float) -> bool:
    """Return whether a clean may be due; if so, put off the next check."""
    now = time.time()
    check_store(root)
    with contextlib.suppress(FileNotFoundError), opened_in(root, STORE) as store:
        known = at.stat(NAME, dir_fd=store, follow_symlinks=False)
        is_sensible = known.st_mtime < now + _LONGEST and known.st_ctime <= now
        if now < known.st_mtime and is_sensible and settings <= known.st_ctime:
            return False
    with noted(root):
        put_off(root, now + _ASK_AGAIN)
    return True


@contextlib.contextmanager
def noted(root: Path) -> Iterator[int]:
    """Open the file in the store of `root`, made if it is missing. Raises `OSError`, or
    `Refused` if this program may not have made it.
    """
    with opened_in(root, STORE) as store:
        descriptor = open_own(NAME, os.O_RDWR | os.O_CREAT, dir_fd=store, place=str(root / STORE))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def put_off(root: Path, due: float) -> None:
    """Make the next clean due at the time `due` (seconds since 1970). Raises `OSError`."""
    with opened_in(root, STORE) as store:
        set_time(NAME, due, dir_fd=store, place=str(root / STORE))


def _start(project: Path) -> None:
    """Start a process that cleans `project` if that is due. Raises `OSError`."""
    if not sys.executable:
        return
    home = Path(__file__).absolute().parents[_PACKAGE.count(".") + 1]
    code = (
        f"import sys; sys.path.append({str(home)!r})\n"
        f"from {_PACKAGE}.schedule.automatic import main; main()"
    )
    # -P: a module of the project with the same name must not shadow this package.
    command = [sys.executable, "-P", "-c", code]
    own = {key: value for key, value in os.environ.items() if key != PROJECT}
    own["PWD"] = str(project)
    if hasattr(os, "posix_spawn"):
        words = ["sh", "-c", f'cd "$0" && {_START}', str(project), *command]
        started = os.posix_spawn("/bin/sh", words, own, setsid=True)
        os.waitpid(started, 0)
    else:
        import subprocess

        flags = getattr(subprocess, "DETACHED_PROCESS", 0)
        null = subprocess.DEVNULL
        subprocess.Popen(  # noqa: S603
            command, cwd=project, env=own, stdin=null, stdout=null, stderr=null, creationflags=flags
        )
