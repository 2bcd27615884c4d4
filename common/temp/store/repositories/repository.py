"""Runs git on a repository in scratch, without running anything that the repository configures.

The repository may be untrusted: no hook, monitor, filter or transport from its configuration is
run. If git cannot be run like this, or does not answer, `CannotTell` is raised.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

from ...core.layouts import is_inside
from ...core.named_tuple import NamedTuple
from ..system.processes import ASKING

_SECONDS: Final = 10.0
"""How long git may take for one command."""

_MOST_TIMEOUTS: Final = 3
"""After this many timeouts, this process does not run git any more."""

_MOST_READ: Final = 1 << 20

_SAFELY: Final = (
    *ASKING,
    "--no-pager", "--literal-pathspecs",
    "-c", "safe.directory=*",
    "-c", "core.fsmonitor=false",
    "-c", "core.trustctime=true",
    "-c", "core.checkStat=default",
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "log.showSignature=false",
    "-c", "status.submoduleSummary=false",
)  # fmt: skip

_NO_OTHERS: Final = frozenset({"GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL"})
"""The variables that make git ignore the configuration of the system and of the user."""

_ITS_OWN: Final = frozenset({"local", "worktree"})
"""The scopes of a repository's own configuration."""

_HASH: Final = 40
"""The length of the shortest full object name."""

_timeouts: list[str] = []


class CannotTell(Exception):
    """git cannot be run, or failed; the text says why."""


class Repository(NamedTuple):
    """A repository: its work tree ("" for a bare one), its git directory, and the common directory
    with the commits, which differs for a linked work tree.
    """

    tree: str
    directory: str
    common: str

    @property
    def is_linked(self) -> bool:
        """Whether its work tree is linked to another repository."""
        return self.common != self.directory


def repository_of(tree: str) -> Repository:
    """The repository with the work tree `tree`, or the bare one at `tree`. Raises `CannotTell`."""
    here = os.path.join(tree, ".git")
    if not os.path.lexists(here):
        return Repository("", tree, tree)
    directory = here
    if not os.path.isdir(here):
        said = read_plain(here)
        if said is None or not said.startswith(b"gitdir:"):
            raise CannotTell(".git is neither a directory nor a link to a repository")
        directory = os.path.join(tree, os.fsdecode(said[len(b"gitdir:") :].strip()))
    if "\0" in directory:
        raise CannotTell(".git leads to no path")
    directory = os.path.realpath(directory)
    common = read_plain(os.path.join(directory, "commondir"))
    if common is None:
        return Repository(tree, directory, directory)
    if b"\0" in common:
        raise CannotTell("its commondir is not a path")
    above = os.path.realpath(os.path.join(directory, os.fsdecode(common.strip())))
    return Repository(tree, directory, above)


class Asker:
    """Runs git on one repository, so that no program of it is run and nothing in it changes.

    For the superuser, git is run as the owner of the repository. Raises `CannotTell`.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("GIT_")
        } | {
            "GIT_DIR": repository.directory,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_GRAFT_FILE": os.devnull,
            "LC_ALL": "C",
        }
        self._as_owner: dict[str, Any] = {}
        self._home = os.devnull
        # Otherwise git would change to the work tree in the configuration, which may be gone.
        self._environment["GIT_WORK_TREE"] = repository.tree or repository.directory
        if hasattr(os, "geteuid"):
            self._become(_owners(repository))

    def _become(self, owners: set[int]) -> None:
        me = os.geteuid()
        others = owners - {0, me}
        if not others:
            return
        if me or len(others) > 1:
            raise CannotTell("it belongs to another user")
        owner = others.pop()
        group, self._home = _group_and_home(owner)
        self._as_owner = {"user": owner, "group": group, "extra_groups": []}
        self._environment["HOME"] = os.devnull

    def __call__(
        self, *arguments: str, given: bytes = b"", environment: dict[str, str] | None = None
    ) -> bytes:
        """The output of git with these `arguments`, and `given` on its stdin."""
        code, said, error = self._run(arguments, given, environment or self._environment)
        if code:
            raise CannotTell(os.fsdecode(error).strip().partition("\n")[0] or f"exit code {code}")
        return said

    def remotes(self, key: str) -> list[tuple[str, str]]:
        """The values of `key` of all remotes, each with the name of the remote."""
        begin, end = "remote.", f".{key}"
        return [
            (name[len(begin) : -len(end)], value)
            for name, value in self.settings
            if name.startswith(begin) and name.endswith(end) and len(name) > len(begin + end)
        ]

    def values(self, name: str) -> list[str]:
        """The values of the setting of that name."""
        return [value for known, value in self.settings if known == name]

    @property
    def settings(self) -> list[tuple[str, str]]:
        """The repository's own settings, by name; sections and keys are in lower case."""
        return [(name, value) for scope, name, value in self._all_settings if scope in _ITS_OWN]

    @property
    def used_settings(self) -> list[tuple[str, str]]:
        """All settings that git uses in the repository, including those of the system and the user,
        and conditional ones for its path.
        """
        return [(name, value) for _, name, value in self._all_settings]

    @property
    def used_environment(self) -> dict[str, str]:
        """The environment in which git also reads the settings of the system and the user. Only
        for commands that run none of the programs in these settings.
        """
        used = {name: value for name, value in self._environment.items() if name not in _NO_OTHERS}
        if self._as_owner:
            return used | {"HOME": self._home}
        return used | {name: os.environ[name] for name in os.environ if name[:11] == "GIT_CONFIG_"}

    @functools.cached_property
    def _all_settings(self) -> list[tuple[str, str, str]]:
        asked = ("config", "--list", "-z", "--show-scope")
        said = self(*asked, environment=self.used_environment)
        words = os.fsdecode(said).split("\0")[:-1]
        return [
            (scope, *one.partition("\n")[::2])
            for scope, one in zip(words[::2], words[1::2], strict=True)
        ]

    def check_filters(self) -> None:
        """Raise `CannotTell` if the repository configures filters, which may be programs."""
        for name, _ in self.settings:
            if name.lower().startswith("filter."):
                raise CannotTell("it has filters of its own, which are not run")

    def _run(
        self, arguments: Sequence[str], given: bytes, environment: dict[str, str]
    ) -> tuple[int, bytes, bytes]:
        import subprocess  # importing it may take longer than a whole scan

        if len(_timeouts) >= _MOST_TIMEOUTS:
            raise CannotTell("git did not answer for others, so it is no longer asked")
        try:
            done = subprocess.run(  # noqa: S603 - no program of the repository is run
                ["git", *_SAFELY, *arguments],  # noqa: S607
                cwd="/" if os.name == "posix" else None,
                env=environment,
                input=given,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
                **self._as_owner,
            )
        except subprocess.TimeoutExpired:
            _timeouts.append(arguments[0])
            raise CannotTell(f"git did not answer within {_SECONDS:.0f} s") from None
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise CannotTell(f"cannot run git: {getattr(error, 'strerror', error)}") from error
        return done.returncode, done.stdout, done.stderr


def _owners(repository: Repository) -> set[int]:
    found = set()
    for path in _deciding(repository):
        try:
            found |= {os.lstat(path).st_uid, os.stat(path).st_uid}
        except OSError:
            continue
    return found


def _deciding(repository: Repository) -> Iterator[str]:
    """The files and directories that determine what git does in the repository."""
    if repository.tree:
        yield os.path.join(repository.tree, ".git")
    for directory in (repository.directory, repository.common):
        yield directory
        yield os.path.join(directory, "config")
        yield os.path.join(directory, "config.worktree")


def _group_and_home(user: int) -> tuple[int, str]:
    import pwd

    try:
        found = pwd.getpwuid(user)
    except KeyError:
        return user, os.devnull
    return found.pw_gid, found.pw_dir


def is_object(name: bytes) -> bool:
    """Whether `name` is a full object name."""
    return len(name) >= _HASH and name.isalnum()


def lies_in(path: str, place: str) -> bool:
    """Whether `path` resolves to `place` or to something in it."""
    return is_inside(os.path.realpath(path), os.path.realpath(place))


def read_plain(path: str, most: int = _MOST_READ) -> bytes | None:
    """The first `most` bytes of a regular file; `None` if it is not one or is unreadable."""
    with reading(path) as file:
        try:
            return None if file is None else file.read(most)
        except OSError:
            return None


@contextlib.contextmanager
def reading(path: str) -> Iterator[BinaryIO | None]:
    """The file at `path`, open for reading; `None` if it is not a regular file."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        yield None
        return
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            yield None
            return
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)
