"""What git has in a directory that is nowhere else: changes, commits, stashes.

A repository in scratch may be anybody's, so nothing that its configuration names is run: no hook,
no monitor, no filter, no transport. Where git cannot be asked so, or does not answer, there is
work: what cannot be told stays.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ...core.layout import STORE, is_inside
from ..root.around import root_above
from ..system.processes import ASKS

_SECONDS: Final = 10.0
"""How long git may take for one answer."""

_MOST_TIMEOUTS: Final = 3
"""After how many answers that did not come this process asks no more."""

_MOST_READ: Final = 1 << 20

_SAFELY: Final = (
    "--no-pager", "--literal-pathspecs",
    "-c", f"{ASKS}=1",
    "-c", "safe.directory=*",
    "-c", "core.fsmonitor=false",
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "log.showSignature=false",
    "-c", "status.submoduleSummary=false",
)  # fmt: skip

_IN_PROGRESS: Final = (
    "rebase-merge/autostash", "rebase-apply/autostash", "MERGE_AUTOSTASH",
)  # fmt: skip
"""Where git keeps changes that it put away for the time of a rebase or merge; no stash has them."""

_OF_GIT: Final = tuple(
    f"refs/{kind}".encode()
    for kind in ("heads/", "tags/", "remotes/", "notes/", "stash", "bisect/", "prefetch/")
)
"""What git itself names so, which is asked for by other ways, or is of what has other names."""

_OF_A_WORK_TREE: Final = re.compile(r"/worktrees/[^/]+/modules/")
"""Where a submodule of a linked work tree has its repository, which goes with that work tree."""

_FETCHED: Final = ("clone:", "fetch", "checkout:", "reset:", "branch:", "pull", "remote", "initial")
"""What the log of a reference says where it was moved to what came from elsewhere."""


_timeouts: list[str] = []


class _CannotTell(Exception):
    """Why git cannot be asked, or what it said instead of an answer."""


class _Repository(NamedTuple):
    """A repository: its work tree ("" for a bare one), its directory, and the one with its commits,
    which is another's for a linked work tree.
    """

    tree: str
    directory: str
    common: str

    @property
    def is_linked(self) -> bool:
        return self.common != self.directory


def unsaved_work(place: str, repositories: Iterable[str]) -> tuple[str, str] | None:
    """The first of `repositories` (paths below `place`) with work that would be lost with `place`,
    and what work that is; `None` if there is none.

    That is what is not committed and not ignored, commits that no remote is known to have, stashes,
    and work trees elsewhere that are linked to it. What lies in a repository outside of `place` is
    not lost. A work tree that somebody locked is to stay as well.
    """
    for inner in repositories:
        if _is_mark_of_cache(place, inner):
            continue
        try:
            what = _work_in(_repository(os.path.join(place, inner) if inner else place), place)
        except _CannotTell as why:
            what = f"cannot tell what is only there ({why})"
        if what:
            return inner, what
    return None


def linked_to(place: str, repositories: Iterable[str]) -> list[str]:
    """The repositories outside of `place` to which work trees in it are linked, sorted."""
    found = set()
    for inner in repositories:
        try:
            repository = _repository(os.path.join(place, inner) if inner else place)
        except _CannotTell:
            continue
        if repository.is_linked and not _is_in(repository.common, place):
            main, _, last = repository.common.rpartition("/")
            found.add(main if last == ".git" else repository.common)
    return sorted(found)


def _work_in(repository: _Repository, place: str) -> str:
    """What of it would be lost with `place`, in words; "" if nothing would."""
    if repository.is_linked and os.path.lexists(os.path.join(repository.directory, "locked")):
        return "a locked work tree"
    ask = _Asker(repository)
    said = []
    if repository.tree:
        ask.check_filters()
        options = ("-z", "--untracked-files=normal", "--ignore-submodules=all", "--no-renames")
        said.append((ask("status", "--porcelain", *options).count(b"\0"), "uncommitted file"))
    stashes = sum(
        os.path.lexists(os.path.join(repository.directory, name)) for name in _IN_PROGRESS
    )
    if _is_in(repository.common, place) or _OF_A_WORK_TREE.search(repository.common):
        said.append((_unpushed(ask, repository, place), "unpushed commit"))
        stashed = ask("for-each-ref", "--count=1", "refs/stash")
        if stashed:
            number = int(ask("rev-list", "--walk-reflogs", "--count", "refs/stash"))
            stashes += max(1, number)
        said.append((stashes, "stash"))
        modules = (_Repository("", module, module) for module in _modules(repository))
        kept = sum(_unpushed(_Asker(module), module, place) for module in modules)
        said.append((kept, "unpushed commit of submodules"))
        said.append((_linked_from(repository, place), "work tree that is elsewhere"))
    else:
        heads = ("--single-worktree", "--exclude=refs/*", "--all")
        known = ("--not", "--branches", "--tags", "--remotes")
        number = int(ask("rev-list", "--count", *heads, *known))
        said += [(number, "commit on no branch"), (stashes, "stash")]
    return ", ".join(_counted(number, what) for number, what in said if number)


def _unpushed(ask: _Asker, repository: _Repository, place: str) -> int:
    """How many commits there are that did not come from elsewhere and are on no remote branch.

    A remote in scratch, as `git fetch . topic:main` has it, is not elsewhere, nor is one that is
    gone.
    """
    fetched = _read(os.path.join(repository.directory, "FETCH_HEAD")) or b""
    known = b"".join(
        b"^%s\n" % name
        for line in fetched.splitlines()[:1000]
        if len(name := line.split(b"\t")[0]) >= 40
        and name.isalnum()
        and not _is_here(_source_of(line), repository, place)
    )
    urls = ask.remotes("url")
    here = [f"--exclude={name}/*" for name, url in urls if _is_here(url, repository, place)]
    asked = ("--exclude=refs/*", "--all", "--branches", "--not", *here, "--remotes")
    options = ("--count", "--ignore-missing", "--stdin")
    if private := _private(ask):
        given = known + b"".join(b"%s\n" % name for name in private)
        elsewhere = ("--not", "--tags", *here, "--remotes")
        if number := int(ask("rev-list", *options, *elsewhere, given=given)):
            return number
    number = int(ask("rev-list", *options, *asked, given=known))
    if not number:
        return _only_named_otherwise(ask, known)
    if any(spec == "+refs/*:refs/*" for _, spec in ask.remotes("fetch")):
        return 0  # one that is fetched into; to one that is only pushed to, nothing need have gone
    is_gone = any(_is_gone(url, repository, place) for _, url in urls)
    if urls and not is_gone and not ask("for-each-ref", "--count=1", "refs/remotes"):
        moves = _moves(ask)
        if moves and all(move.startswith(_FETCHED) for _, move in moves):
            return 0  # a clone of a single tag or commit, which has no remote branches
    return number


def _private(ask: _Asker) -> list[bytes]:
    """The references that are of no kind of git's own, and that no remote is fetched into.

    Nothing logs where those were moved: tools keep there what they made here (`refs/wip/…`).
    """
    names = ask("for-each-ref", "--format=%(refname)").split()
    fetched = tuple(
        os.fsencode(spec.rpartition(":")[2].partition("*")[0])
        for _, spec in ask.remotes("fetch")
        if ":" in spec
    )
    return [name for name in names if not name.startswith((*_OF_GIT, *fetched))]


def _modules(repository: _Repository) -> Iterator[str]:
    """The repositories of submodules that are not checked out: no work tree leads to those."""
    for above in {repository.directory, repository.common}:
        for path, directories, files in os.walk(os.path.join(above, "modules")):
            if "HEAD" in files and "objects" in directories and "refs" in directories:
                directories[:] = [name for name in directories if name == "modules"]
                trees = _Asker(_Repository("", path, path)).values("core.worktree")
                if not any(os.path.lexists(os.path.join(path, tree, ".git")) for tree in trees):
                    yield path


def _source_of(line: bytes) -> str:
    """From where a line of `FETCH_HEAD` says that it came: `branch 'main' of ../other`."""
    said = line.split(b"\t", 2)[-1]
    return os.fsdecode(said.rpartition(b"' of ")[2] or said)


def _path_of(url: str, repository: _Repository) -> str:
    """The directory that a remote of that `url` is; "" if it is on another system."""
    path = url.removeprefix("file://")
    scheme, colon, _ = path.partition(":")
    if colon and "/" not in scheme:
        return ""  # `https://…`, or `host:path`
    return os.path.join(repository.tree or repository.directory, path)


def _is_here(url: str, repository: _Repository, place: str) -> bool:
    """Whether a remote of that `url` may go as `place` may, as scratch does, or has gone."""
    path = _path_of(url, repository)
    return path != "" and (_is_in(path, _scratch_around(place)) or _is_gone(url, repository, place))


def _is_gone(url: str, repository: _Repository, place: str) -> bool:
    """Whether there is no such directory any more; what is moved aside with `place` is not gone."""
    path = _path_of(url, repository)
    if not path or any(os.path.lexists(path + suffix) for suffix in ("", ".git")):
        return False
    scratch = _scratch_around(place)
    return not (_is_in(place, os.path.join(scratch, STORE)) and _is_in(path, scratch))


def _scratch_around(place: str) -> str:
    """The root that `place` lies in, or itself."""
    return root_above(place) or place


def _only_named_otherwise(ask: _Asker, known: bytes) -> int:
    """How many commits were made here that a tag or a note has, and no branch.

    What was fetched may have such names too, which only the logs tell.
    """
    asked = ("--exclude=refs/stash", "--all", "--not", "--branches", "--remotes")
    named = set(ask("rev-list", "--ignore-missing", "--stdin", *asked, given=known).split())
    if not named:
        return 0
    made = {commit.encode() for commit, move in _moves(ask) if not move.startswith(_FETCHED)}
    return len(named & made)


def _moves(ask: _Asker) -> list[tuple[str, str]]:
    """What the logs of the references say: to which commit one was moved, and by what."""
    log = ask("log", "--walk-reflogs", "--all", "--format=%H %gs")
    moves = (line.partition(" ")[::2] for line in os.fsdecode(log).splitlines())
    return [(commit, move) for commit, move in moves if move]


def _linked_from(repository: _Repository, place: str) -> int:
    """How many work trees outside of `place` need this repository, and are nothing without it."""
    above = os.path.join(repository.common, "worktrees")
    try:
        names = os.listdir(above)
    except OSError:
        return 0
    links = (_read(os.path.join(above, name, "gitdir")) for name in names)
    trees = [os.fsdecode(link.strip()) for link in links if link]
    return sum(os.path.lexists(tree) and not _is_in(tree, place) for tree in trees)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {_PLURALS.get(what, what + 's')}"


_PLURALS: Final = {
    "stash": "stashes",
    "commit on no branch": "commits on no branch",
    "unpushed commit of submodules": "unpushed commits of submodules",
    "work tree that is elsewhere": "work trees that are elsewhere",
}


class _Asker:
    """Asks git about one repository, so that nothing of it is run and nothing in it changes.

    For root, git is run as whom the repository belongs to. Raises `_CannotTell`.
    """

    def __init__(self, repository: _Repository) -> None:
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
            "LC_ALL": "C",
        }
        self._as_owner: dict[str, Any] = {}
        if repository.tree:
            self._environment["GIT_WORK_TREE"] = repository.tree
        if hasattr(os, "geteuid"):
            self._become(_owners(repository))

    def _become(self, owners: set[int]) -> None:
        me = os.geteuid()
        others = owners - {0, me}
        if not others:
            return
        if me or len(others) > 1:
            raise _CannotTell("it belongs to another user")
        owner = others.pop()
        self._as_owner = {"user": owner, "group": _group_of(owner), "extra_groups": []}
        self._environment["HOME"] = os.devnull

    def __call__(self, *arguments: str, given: bytes = b"") -> bytes:
        code, said, error = self._run(arguments, given)
        if code:
            raise _CannotTell(os.fsdecode(error).strip().partition("\n")[0] or f"exit code {code}")
        return said

    def remotes(self, key: str) -> list[tuple[str, str]]:
        """What the remotes have set under `key`, by their names."""
        begin, end = "remote.", f".{key}"
        return [
            (name[len(begin) : -len(end)], value)
            for name, value in self._all_settings()
            if name.startswith(begin) and name.endswith(end) and len(name) > len(begin + end)
        ]

    def values(self, name: str) -> list[str]:
        """What is set under that name."""
        return [value for known, value in self._all_settings() if known == name]

    def _all_settings(self) -> Iterator[tuple[str, str]]:
        for said in os.fsdecode(self("config", "--list", "-z")).split("\0"):
            name, _, value = said.partition("\n")
            yield name, value

    def check_filters(self) -> None:
        """Raise `_CannotTell` if the repository has filters, which are programs, or may be."""
        for name in self("config", "--list", "--name-only", "-z").split(b"\0"):
            if name.lower().startswith(b"filter."):
                raise _CannotTell("it has filters of its own, which are not run")

    def _run(self, arguments: Sequence[str], given: bytes) -> tuple[int, bytes, bytes]:
        if len(_timeouts) >= _MOST_TIMEOUTS:
            raise _CannotTell("git did not answer for others, so it is not asked any more")
        try:
            done = subprocess.run(  # noqa: S603 - of what is asked, nothing is run
                ["git", *_SAFELY, *arguments],  # noqa: S607
                cwd="/" if os.name == "posix" else None,
                env=self._environment,
                input=given,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
                **self._as_owner,
            )
        except subprocess.TimeoutExpired:
            _timeouts.append(arguments[0])
            raise _CannotTell(f"git did not answer within {_SECONDS:.0f} s") from None
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise _CannotTell(f"cannot run git: {getattr(error, 'strerror', error)}") from error
        return done.returncode, done.stdout, done.stderr


def _owners(repository: _Repository) -> set[int]:
    found = set()
    for path in _deciding(repository):
        try:
            found |= {os.lstat(path).st_uid, os.stat(path).st_uid}
        except OSError:
            continue
    return found


def _deciding(repository: _Repository) -> Iterator[str]:
    """What says what git does there."""
    if repository.tree:
        yield os.path.join(repository.tree, ".git")
    for directory in (repository.directory, repository.common):
        yield directory
        yield os.path.join(directory, "config")
        yield os.path.join(directory, "config.worktree")


def _group_of(user: int) -> int:
    import pwd

    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


def _repository(tree: str) -> _Repository:
    """The repository whose work tree is `tree`, or that is `tree`. Raises `_CannotTell`."""
    here = os.path.join(tree, ".git")
    if not os.path.lexists(here):
        return _Repository("", tree, tree)
    directory = here
    if not os.path.isdir(here):
        said = _read(here)
        if said is None or not said.startswith(b"gitdir:"):
            raise _CannotTell(".git is neither a directory nor a link to a repository")
        directory = os.path.join(tree, os.fsdecode(said[len(b"gitdir:") :].strip()))
    directory = os.path.realpath(directory)
    common = _read(os.path.join(directory, "commondir"))
    if common is None:
        return _Repository(tree, directory, directory)
    above = os.path.realpath(os.path.join(directory, os.fsdecode(common.strip())))
    return _Repository(tree, directory, above)


def _is_mark_of_cache(place: str, inner: str) -> bool:
    """Whether it is an empty `.git` in a cache: uv puts one there, so that no tool looks above."""
    if _read(os.path.join(place, inner, ".git")) != b"":
        return False
    parts = inner.split("/") if inner else []
    above = (os.path.join(place, *parts[:number]) for number in range(len(parts) + 1))
    return any(os.path.isfile(os.path.join(directory, "CACHEDIR.TAG")) for directory in above)


def _is_in(path: str, place: str) -> bool:
    return is_inside(os.path.realpath(path), os.path.realpath(place))


def _read(path: str) -> bytes | None:
    """What is in a plain file, at most a mebibyte; `None` if it is none."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_MOST_READ)
    except OSError:
        return None
    finally:
        os.close(descriptor)
