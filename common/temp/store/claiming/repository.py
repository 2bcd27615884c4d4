"""Asks git about a repository in scratch, without running anything that it configures.

It may be anybody's: no hook, no monitor, no filter and no transport that its configuration names is
run. Where git cannot be asked so, or does not answer, that is `CannotTell`.
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
"""How long git may take for one answer."""

_MOST_TIMEOUTS: Final = 3
"""After how many answers that did not come this process asks no more."""

_MOST_READ: Final = 1 << 20

_SAFELY: Final = (
    *ASKING,
    "--no-pager", "--literal-pathspecs",
    "-c", "safe.directory=*",
    "-c", "core.fsmonitor=false",
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "log.showSignature=false",
    "-c", "status.submoduleSummary=false",
)  # fmt: skip

_NO_OTHERS: Final = frozenset({"GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL"})
"""The variables by which git passes over the configurations of the system and of the user."""

_ITS_OWN: Final = frozenset({"local", "worktree"})
"""Where git says that the configuration of a repository is from."""

_HASH: Final = 40
"""How long the shortest name of an object is, of a whole one."""

_timeouts: list[str] = []


class CannotTell(Exception):
    """Why git cannot be asked, or what it said instead of an answer."""


class Repository(NamedTuple):
    """A repository: its work tree ("" for a bare one), its directory, and the one with its commits,
    which is another's for a linked work tree.
    """

    tree: str
    directory: str
    common: str

    @property
    def is_linked(self) -> bool:
        """Whether it is that of a work tree which is linked to another repository."""
        return self.common != self.directory


def repository_of(tree: str) -> Repository:
    """The repository whose work tree is `tree`, or that is `tree`. Raises `CannotTell`."""
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
        raise CannotTell("its commondir is no path")
    above = os.path.realpath(os.path.join(directory, os.fsdecode(common.strip())))
    return Repository(tree, directory, above)


class Asker:
    """Asks git about one repository, so that nothing of it is run and nothing in it changes.

    For root, git is run as whom the repository belongs to. Raises `CannotTell`.
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
        # Else git would go into the work tree that the configuration names, which may be gone.
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
        """What git prints for `arguments`, with `given` on its stdin."""
        code, said, error = self._run(arguments, given, environment or self._environment)
        if code:
            raise CannotTell(os.fsdecode(error).strip().partition("\n")[0] or f"exit code {code}")
        return said

    def remotes(self, key: str) -> list[tuple[str, str]]:
        """What the remotes have set under `key`, by their names."""
        begin, end = "remote.", f".{key}"
        return [
            (name[len(begin) : -len(end)], value)
            for name, value in self.settings
            if name.startswith(begin) and name.endswith(end) and len(name) > len(begin + end)
        ]

    def values(self, name: str) -> list[str]:
        """What is set under that name."""
        return [value for known, value in self.settings if known == name]

    @property
    def settings(self) -> list[tuple[str, str]]:
        """All that the repository sets, by name; sections and keys are in small letters."""
        return [(name, value) for scope, name, value in self._all_settings if scope in _ITS_OWN]

    @property
    def used_settings(self) -> list[tuple[str, str]]:
        """All that git uses in the repository: also what the system and the user set, for all
        repositories or for those at such a place.
        """
        return [(name, value) for _, name, value in self._all_settings]

    @property
    def used_environment(self) -> dict[str, str]:
        """The environment in which git has the settings of the system and the user as well. Only
        what runs none of their programs is asked in it.
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
        """Raise `CannotTell` if the repository has filters, which are programs, or may be."""
        for name, _ in self.settings:
            if name.lower().startswith("filter."):
                raise CannotTell("it has filters of its own, which are not run")

    def _run(
        self, arguments: Sequence[str], given: bytes, environment: dict[str, str]
    ) -> tuple[int, bytes, bytes]:
        import subprocess  # which takes longer to load than a scan may take

        if len(_timeouts) >= _MOST_TIMEOUTS:
            raise CannotTell("git did not answer for others, so it is no longer asked")
        try:
            done = subprocess.run(  # noqa: S603 - of what is asked, nothing is run
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
    """What says what git does there."""
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
    """Whether it is the whole name of an object."""
    return len(name) >= _HASH and name.isalnum()


def lies_in(path: str, place: str) -> bool:
    """Whether `path` leads to something in `place`, or to that itself."""
    return is_inside(os.path.realpath(path), os.path.realpath(place))


def read_plain(path: str, most: int = _MOST_READ) -> bytes | None:
    """What is in a plain file, at most so many bytes of it; `None` if it is none."""
    with reading(path) as file:
        try:
            return None if file is None else file.read(most)
        except OSError:
            return None


@contextlib.contextmanager
def reading(path: str) -> Iterator[BinaryIO | None]:
    """The file at `path` to read, if it is a plain one; else `None`."""
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
