"""Platforms without `dir_fd`: operations by path, with the same checks, and only there."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.temp.store.root.making import make_root
from common.temp.store.system import at, by_path
from common.temp.store.system.at import ANY_FLAGS
from tests.support import (
    REPOSITORY,
    chain,
    environment,
    in_holding,
    listing,
    make_entry,
    meanwhile,
    plain_user,
    process,
    run,
    stored,
    tree,
)

# The names that `walk` puts together on such a platform.
DIRECTORY = by_path.O_DIRECTORY | by_path.O_NOFOLLOW
ROOT = by_path.O_DIRECTORY
ANY = by_path.O_NOFOLLOW

WINDOWS = '''\
"""Leave of this Python what it has on Windows, and let its calls refuse what Windows refuses."""

import builtins, io, os, select, shutil, signal, socket, stat, subprocess, sys

import invoke.program  # which asks for the platform by its name

for module, names in {
    os: "fork forkpty register_at_fork setsid getuid geteuid getgid getegid fchmod fchown chown "
    "lchown statvfs fstatvfs sched_getaffinity uname pread pwrite mkfifo killpg nice getloadavg "
    "wait wait3 wait4 waitid WNOHANG O_NOFOLLOW O_DIRECTORY O_NONBLOCK O_CLOEXEC O_PATH sync",
    select: "poll epoll",
    signal: "pthread_sigmask SIGHUP SIGKILL SIG_BLOCK SIG_SETMASK SIGUSR1 alarm setitimer",
    socket: "AF_UNIX send_fds recv_fds SCM_RIGHTS",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "pwd", "grp", "resource", "termios", "syslog"):
    sys.modules[name] = None
os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks = set(), set(), {os.stat}
os.O_BINARY = 1 << 27

TEXT = set()
real = {name: getattr(os, name) for name in dir(os)}
shutil.disk_usage = lambda path: shutil._ntuple_diskusage(10**12, 0, 10**12)


class Told:
    """A stat_result without the blocks; a link to what begins with // is a junction."""

    def __init__(self, told, path="", listed=False):
        self._told = told
        self._listed = listed
        self.st_file_attributes = self.st_reparse_tag = 0
        self.st_mode = told.st_mode
        if stat.S_ISLNK(told.st_mode) and is_junction(path):
            self.st_mode = stat.S_IFDIR | 0o777
            self.st_file_attributes, self.st_reparse_tag = 0x410, 0xA0000003

    def __getattr__(self, name):
        if name in ("st_blocks", "st_blksize", "st_rdev"):
            raise AttributeError(name)
        if self._listed and name in ("st_ino", "st_dev", "st_nlink"):
            return 0
        return getattr(self._told, name)

    def __getitem__(self, index):
        return self._told[index]


def is_junction(path):
    return real["readlink"](path).startswith("//")


class Item:
    def __init__(self, item):
        self._item = item
        self.name, self.path = item.name, item.path

    def __fspath__(self):
        return self.path

    def stat(self, *, follow_symlinks=True):
        if follow_symlinks:
            return os.stat(self.path)
        return Told(self._item.stat(follow_symlinks=False), self.path, listed=True)

    def is_symlink(self):
        return stat.S_ISLNK(self.stat(follow_symlinks=False).st_mode)

    def is_dir(self, *, follow_symlinks=True):
        if self._item.is_symlink() and is_junction(self.path):
            return True
        return self._item.is_dir(follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks=True):
        return self._item.is_file(follow_symlinks=follow_symlinks)

    def inode(self):
        return self._item.inode()


class Items:
    def __init__(self, items):
        self._items = items

    def __iter__(self):
        return self

    def __next__(self):
        return Item(next(self._items))

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.close()

    def close(self):
        self._items.close()


def is_proc(path):
    return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith("/proc")


def plainly(name, *, by_number=False):
    """The call without `dir_fd`, by path alone; there is no `/proc`."""

    def call(*arguments, **options):
        if any(options.get(key) is not None for key in options if key.endswith("dir_fd")):
            raise NotImplementedError(f"{name}: dir_fd unavailable on this platform")
        if not by_number and arguments and isinstance(arguments[0], int):
            raise TypeError(f"{name}: not a number")
        if arguments and is_proc(arguments[0]):
            raise FileNotFoundError(2, "No such file or directory", arguments[0])
        return real[name](*arguments, **options)

    return call


def refuse(path):
    raise PermissionError(13, "Permission denied", os.fspath(path))


def is_open(path):
    where = os.path.abspath(path)
    for number in real["listdir"]("/proc/self/fd"):
        try:
            if real["readlink"](f"/proc/self/fd/{number}") == where:
                return True
        except OSError:
            pass
    return False


def unlink(path, *, dir_fd=None):
    seen = os.lstat(path)
    is_link = stat.S_ISLNK(seen.st_mode) or seen.st_reparse_tag
    if not is_link and (
        not seen.st_mode & stat.S_IWRITE or stat.S_ISDIR(seen.st_mode) or is_open(path)
    ):
        refuse(path)
    plainly("unlink")(path, dir_fd=dir_fd)


def rmdir(path, *, dir_fd=None):
    seen = os.lstat(path)
    if seen.st_reparse_tag:
        return plainly("unlink")(path)
    if stat.S_ISDIR(seen.st_mode) and not seen.st_mode & stat.S_IWRITE:
        refuse(path)
    plainly("rmdir")(path, dir_fd=dir_fd)


def rename(source, target, *, src_dir_fd=None, dst_dir_fd=None):
    if os.path.lexists(target):
        raise FileExistsError(17, "File exists", os.fspath(source))
    plainly("rename")(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def open_number(path, flags, mode=0o777, *, dir_fd=None):
    if os.path.isdir(path):
        refuse(path)
    number = plainly("open")(path, flags & ~os.O_BINARY, mode, dir_fd=dir_fd)
    (TEXT.discard if flags & os.O_BINARY else TEXT.add)(number)
    return number


def write(number, data):
    assert number not in TEXT or b"\\n" not in data, "a newline would become two bytes"
    return real["write"](number, data)


def told(name):
    call = plainly(name)
    return lambda path, **options: Told(call(path, **options), path if name == "lstat" else "")


def look(path, *, dir_fd=None, follow_symlinks=True):
    if isinstance(path, int):
        return Told(real["fstat"](path))
    return told("stat" if follow_symlinks else "lstat")(path, dir_fd=dir_fd)


def realpath(path, *, strict=False):
    os.lstat, kept = real["lstat"], os.lstat  # which resolves a junction as it does a link
    try:
        return resolve(path, strict=strict)
    finally:
        os.lstat = kept


def hidden(opens):
    def call(path, *arguments, **options):
        if is_proc(path):
            raise FileNotFoundError(2, "No such file or directory", path)
        return opens(path, *arguments, **options)

    return call


for name in ("mkdir", "link", "listdir", "symlink", "readlink", "replace", "utime", "access"):
    setattr(os, name, plainly(name))
os.scandir = lambda path=".": Items(plainly("scandir")(path))
os.chmod = plainly("chmod")
os.unlink, os.remove, os.rmdir, os.rename = unlink, unlink, rmdir, rename
os.open, os.write, os.stat, os.lstat = open_number, write, look, told("lstat")
os.fstat = lambda number: Told(real["fstat"](number))
resolve, os.path.realpath = os.path.realpath, realpath
io.FileIO = hidden(io.FileIO)
builtins.open = io.open = hidden(builtins.open)
'''


def junction(path: Path, target: Path) -> None:
    """A link that is a junction on that Python."""
    path.symlink_to(f"/{target}")


SWEEP = """
import json, time
from pathlib import Path
from common.temp.core.policy import Policy
from common.temp.store.system import at
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute

assert not at.RELATIVE and at.open.__module__ == "common.temp.store.system.by_path"
root = Path(".tmp").absolute()

def sweep(**options):
    report = execute(prepare(root, Policy(everything=True), time.time()), **options)
    assert [problem for problem in report.problems if "cannot be deleted" in problem.what] == []
    return {done.step.entry.path: (done.status, done.detail) for done in report.outcomes}

"""


FORKS = """
import atexit, json, os, posix, runpy, sys, traceback
import common.temp.commands.clean, common.temp.store.archive.restore, invoke.main
import common.temp.store.sweep.prepare, common.temp.store.sweep.sweep

print("ready", flush=True)
for line in sys.stdin:
    cwd, environment, output, (kind, what, *arguments) = json.loads(line)
    child = posix.fork()
    if child:
        print(os.waitstatus_to_exitcode(posix.waitpid(child, 0)[1]), flush=True)
        continue
    for number, path in enumerate(("/dev/null", *output)):
        posix.dup2(posix.open(path, posix.O_RDWR | posix.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    code = 0
    try:
        if kind == "-m":
            sys.argv = [what, *arguments]
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    posix._exit(code)
"""
"""Forks each program from one such Python, which has loaded the package already."""


@pytest.fixture(scope="module")
def as_windows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has what it has on Windows, before anything is imported."""
    directory = tmp_path_factory.mktemp("as-windows")
    (directory / "sitecustomize.py").write_text(WINDOWS)
    path = [str(directory), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, path)), "USERNAME": "somebody"}


Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def windows(
    as_windows: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """Runs a program on such a Python, in a process of its own."""
    above = tmp_path_factory.mktemp("output")
    output = [above / "out", above / "err"]

    def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        for path in output:
            path.write_bytes(b"")
        order = [str(cwd), environment(**as_windows), [*map(str, output)], arguments]
        assert warm.stdin is not None
        assert warm.stdout is not None
        warm.stdin.write(json.dumps(order) + "\n")
        warm.stdin.flush()
        code = int(warm.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(path.read_text() for path in output))

    with process(FORKS, cwd=above, **as_windows) as warm:
        yield call


@pytest.fixture
def inv(project: Path, windows: Program) -> Program:
    """Runs `inv` in the project on such a Python."""
    return partial(windows, "-m", "invoke", cwd=project)


@pytest.fixture
def sweeping(project: Path, windows: Program) -> Callable[..., Any]:
    """Runs code after `SWEEP` on such a Python; what its last line of output says."""

    def call(code: str = "print(json.dumps(sweep()))") -> Any:
        done = windows("-c", SWEEP + code, cwd=project)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call


@contextmanager
def opened(path: Path | str, flags: int = DIRECTORY, dir_fd: int | None = None) -> Iterator[int]:
    handle = by_path.open(path, flags, dir_fd=dir_fd)
    try:
        yield handle
    finally:
        by_path.close(handle)


@contextmanager
def refused(number: int) -> Iterator[None]:
    """What is done here raises an `OSError` of that number."""
    with pytest.raises(OSError) as failure:  # noqa: PT011 - its number is looked at
        yield
    assert failure.value.errno == number


# -- each call ------------------------------------------------------------------------------------


def test_a_directory_is_opened_as_a_number_that_no_file_has(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        assert first != second
        for handle in (first, second):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(handle)


def test_of_a_directory_the_status_is_what_the_system_says(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    names = list(by_path.Status.__slots__)
    with opened(tmp_path) as handle:
        for seen, told in (
            (by_path.fstat(handle), os.stat(tmp_path)),
            (by_path.stat("file", dir_fd=handle), os.stat(tmp_path / "file")),
            (by_path.stat(tmp_path / "file"), os.stat(tmp_path / "file")),
        ):
            assert [getattr(seen, name) for name in names] == [
                getattr(told, name) for name in names
            ]


def test_a_file_is_not_opened_as_a_directory_and_as_anything_only_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with opened(tmp_path) as handle:
        with pytest.raises(NotADirectoryError):
            by_path.open("file", DIRECTORY, dir_fd=handle)
        with pytest.raises(PermissionError):
            by_path.open("file", ANY, dir_fd=handle)
        with pytest.raises(FileNotFoundError):
            by_path.open("missing", DIRECTORY, dir_fd=handle)


def test_a_link_is_opened_only_where_a_root_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for flags in (DIRECTORY, ANY):
        with refused(errno.ELOOP):
            by_path.open(tmp_path / "link", flags)
    with opened(tmp_path / "link", ROOT) as handle:
        by_path.mkdir("in it", dir_fd=handle)
        (tmp_path / "link").unlink()  # as a descriptor, it goes by what it was opened on
        assert by_path.listdir(handle) == ["in it"]


def test_dot_is_the_same_directory_and_two_dots_the_one_above(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with (
        opened(tmp_path / "a" / "b") as handle,
        opened(".", dir_fd=handle) as same,
        opened("..", dir_fd=handle) as above,
        opened("a/b", dir_fd=by_path.open("..", DIRECTORY, dir_fd=above)) as below,
    ):
        inodes = [by_path.fstat(number).st_ino for number in (handle, same, above, below)]
    seen = [(tmp_path / name).stat().st_ino for name in ("a/b", "a/b", "a", "a/b")]
    assert inodes == seen


def test_what_was_closed_or_never_opened_is_a_bad_descriptor(tmp_path: Path) -> None:
    handle = by_path.open(tmp_path, DIRECTORY)
    other = by_path.dup(handle)
    by_path.close(handle)
    assert by_path.listdir(other) == by_path.listdir(tmp_path)
    by_path.close(other)
    calls: list[Callable[[int], object]] = [
        by_path.close,
        by_path.dup,
        by_path.fstat,
        by_path.listdir,
        by_path.scandir,
        lambda number: by_path.stat("x", dir_fd=number),
        lambda number: by_path.open("x", DIRECTORY, dir_fd=number),
        lambda number: by_path.unlink("x", dir_fd=number),
        lambda number: by_path.mkdir("x", dir_fd=number),
    ]
    for number in (handle, other, 0, 1 << 40):
        for call in calls:
            with refused(errno.EBADF):
                call(number)


CALLS: dict[str, Callable[[int], object]] = {
    "fstat": by_path.fstat,
    "listdir": by_path.listdir,
    "scandir": by_path.scandir,
    "stat": lambda number: by_path.stat("f", dir_fd=number, follow_symlinks=False),
    "open": lambda number: by_path.open("d", DIRECTORY, dir_fd=number),
    "parent": lambda number: by_path.open("..", DIRECTORY, dir_fd=number),
    "same": lambda number: by_path.open(".", DIRECTORY, dir_fd=number),
    "unlink": lambda number: by_path.unlink("f", dir_fd=number),
    "rmdir": lambda number: by_path.rmdir("d", dir_fd=number),
    "mkdir": lambda number: by_path.mkdir("new", dir_fd=number),
    "rename": lambda number: by_path.rename("f", "g", src_dir_fd=number, dst_dir_fd=number),
    "link": lambda number: by_path.link("f", "g", src_dir_fd=number, dst_dir_fd=number),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("swapped", ["link", "directory", "file"])
def test_no_call_goes_on_in_what_was_put_in_its_place(
    tmp_path: Path, call: Callable[[int], object], swapped: str
) -> None:
    for name in ("place", "other"):
        (tmp_path / name / "d").mkdir(parents=True)
        (tmp_path / name / "f").touch()
    with opened(tmp_path / "place") as handle:
        (tmp_path / "place").rename(tmp_path / "aside")
        if swapped == "link":
            (tmp_path / "place").symlink_to("other")
        elif swapped == "directory":
            (tmp_path / "other").rename(tmp_path / "place")
        else:
            (tmp_path / "place").touch()
        before = listing(tmp_path)
        with refused(errno.ESTALE):
            call(handle)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"fstat"}))
def test_what_is_gone_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "place").mkdir()
    with opened(tmp_path / "place") as handle:
        (tmp_path / "place").rmdir()
        with pytest.raises(FileNotFoundError):
            CALLS[name](handle)
        assert by_path.fstat(handle).st_nlink == 0  # as of a descriptor: its name is gone


def test_no_link_is_gone_through_on_the_way_to_a_name(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "out").symlink_to(canary)
    with opened(tmp_path / "top") as handle:
        calls: list[Callable[[], object]] = [
            lambda: by_path.stat("out/file0.txt", dir_fd=handle),
            lambda: by_path.unlink("out/file0.txt", dir_fd=handle),
            lambda: by_path.open("out/deep", DIRECTORY, dir_fd=handle),
            lambda: by_path.rename("out/file0.txt", "here", src_dir_fd=handle, dst_dir_fd=handle),
        ]
        for call in calls:
            with refused(errno.ELOOP):
                call()


def test_entries_are_made_renamed_linked_and_deleted(tmp_path: Path) -> None:
    with opened(tmp_path) as top:
        before = set(by_path.listdir(top))
        by_path.mkdir("a", dir_fd=top)
        with opened("a", dir_fd=top) as inside:
            (tmp_path / "f").write_text("text")
            by_path.rename("f", "g", src_dir_fd=top, dst_dir_fd=inside)
            by_path.link("g", "h", src_dir_fd=inside, dst_dir_fd=top)
            assert by_path.stat("h", dir_fd=top).st_nlink == 2
            with pytest.raises(FileExistsError):
                by_path.link("g", "h", src_dir_fd=inside, dst_dir_fd=top)
            with pytest.raises(OSError, match="not empty"):
                by_path.rmdir("a", dir_fd=top)
            by_path.unlink("g", dir_fd=inside)
        by_path.rmdir("a", dir_fd=top)
        by_path.unlink("h", dir_fd=top)
        assert set(by_path.listdir(top)) == before


def test_a_link_is_linked_and_deleted_as_a_link(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "link").symlink_to(canary)
    with opened(tmp_path) as top:
        here: dict[str, Any] = {"src_dir_fd": top, "dst_dir_fd": top}
        by_path.link("link", "same", follow_symlinks=False, **here)
        assert stat.S_ISLNK(by_path.stat("same", dir_fd=top, follow_symlinks=False).st_mode)
        with pytest.raises(NotADirectoryError):
            by_path.rmdir("link", dir_fd=top)
        for name in ("link", "same"):
            by_path.unlink(name, dir_fd=top)
    assert not os.path.lexists(tmp_path / "link")


def test_a_directory_is_not_unlinked_and_a_file_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "d").mkdir()
    with opened(tmp_path) as top:
        with pytest.raises(IsADirectoryError):
            by_path.unlink("d", dir_fd=top)
        with pytest.raises(NotADirectoryError):
            by_path.rmdir("file", dir_fd=top)


def test_a_listing_says_of_each_what_the_system_says(tmp_path: Path, canary: Path) -> None:
    (tmp_path / "top").mkdir()
    top = tree(tmp_path / "top" / "tree", depth=0).parent
    (top / "link").symlink_to(canary)
    (top / "file").touch()
    with os.scandir(top) as items:
        told = {
            item.name: (
                item.path,
                item.inode(),
                item.is_symlink(),
                item.is_dir(),
                item.is_dir(follow_symlinks=False),
                item.stat(follow_symlinks=False).st_ino,
                item.stat().st_ino,
            )
            for item in items
        }
    with opened(top) as handle:
        for place in (handle, top):
            with by_path.scandir(place) as found:
                seen = {
                    item.name: (
                        item.path,
                        item.inode(),
                        item.is_symlink(),
                        item.is_dir(),
                        item.is_dir(follow_symlinks=False),
                        item.stat(follow_symlinks=False).st_ino,
                        item.stat().st_ino,
                    )
                    for item in found
                }
            assert seen == told


def test_a_listing_of_what_was_swapped_meanwhile_tells_nothing_of_the_other(
    tmp_path: Path, canary: Path
) -> None:
    top = make_entry(tmp_path, "top", files=5)
    with opened(top) as handle, by_path.scandir(handle) as items:
        top.rename(tmp_path / "aside")
        top.symlink_to(canary)
        for item in items:
            with refused(errno.ESTALE):
                item.stat(follow_symlinks=False)


def test_a_mark_that_did_not_keep_a_file_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "file"
    path.parent.mkdir()
    path.touch(0o444)
    path.parent.chmod(0o555)
    try:
        with plain_user(), opened(path.parent) as handle, pytest.raises(PermissionError):
            by_path.unlink("file", dir_fd=handle)
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    finally:
        path.parent.chmod(0o755)


def test_threads_that_open_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number)).mkdir()
    taken: list[list[int]] = [[] for _ in range(4)]
    wrong: list[int] = []

    def work(number: int) -> None:
        inode = (tmp_path / str(number)).stat().st_ino
        for _ in range(500):
            handle = by_path.open(tmp_path / str(number), DIRECTORY)
            taken[number].append(handle)
            if by_path.fstat(handle).st_ino != inode:
                wrong.append(handle)
            by_path.close(handle)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({handle for some in taken for handle in some}) == 4 * 500
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        (r"C:\a\b", r"\\?\C:\a\b"),
        ("C:/a/b", r"\\?\C:\a\b"),
        (r"\\server\share\a", r"\\?\UNC\server\share\a"),
        (r"\\?\C:\a", r"\\?\C:\a"),
        (r"\\.\NUL", r"\\.\NUL"),
    ],
)
def test_a_windows_path_is_spelled_so_that_it_may_be_long(path: str, spelled: str) -> None:
    assert by_path.spelled_long(path) == spelled


def test_every_call_of_at_has_its_stand_in() -> None:
    assert at.RELATIVE, "elsewhere the other tests of this file say it"
    missing = {name for name in at.__all__ if not hasattr(by_path, name)} - {"RELATIVE"}
    missing = {name for name in missing if not name.endswith("_FLAGS")}
    assert missing == set()
    assert ANY_FLAGS & os.O_NOFOLLOW  # what the flags are made of is the platform's own here


# -- a whole sweep, on a Python that has what it has on Windows -----------------------------------


def test_a_clean_and_a_status_run_where_there_is_no_dir_fd(
    root: Path, inv: Program, canary: Path
) -> None:
    make_root(str(root))
    top = tree(make_entry(root, "debug/tree_1699990000") / "nested")
    (top / "link").symlink_to(canary)
    junction(top / "way", canary)
    for path in (top / "d0", top / "d0" / "d1", top / "d1" / "f0", top / "f1"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    os.mkfifo(top / "fifo")
    (root / "debug" / "stray.txt").write_text("text")
    (root / "debug" / "out").symlink_to(canary)
    junction(root / "debug" / "way", canary)
    outside = make_entry(root.parent.parent, "outside/like_1699990000")
    junction(root / "beside", outside.parent)
    seen = inv("temp-status", "--format", "json")
    assert seen.returncode == 0, seen.stderr
    entries = {found["path"]: found for found in json.loads(seen.stdout)["projects"][0]["entries"]}
    assert len(entries) == 5, seen.stdout
    assert entries["beside"]["kind"] == "symlink"
    done = inv("temp-clean", "--everything", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert listing(root / "debug") == []
    assert in_holding(root) == []
    assert not os.path.lexists(root / "beside")
    assert listing(outside) == ["file0.txt"]


def test_an_adoption_runs_where_there_is_no_dir_fd(root: Path, inv: Program) -> None:
    make_entry(root, "free_1696348800")
    make_entry(root, "taken_1696348800", files=2)
    make_entry(root, "uncategorized/taken_1696348800")
    make_entry(root, "linked_1696348800")
    (root / "latest").symlink_to("linked_1696348800")
    done = inv("temp-adopt")
    assert (done.returncode, done.stderr) == (0, "")
    free, other, taken = sorted(os.listdir(root / "uncategorized"))
    assert (free, taken) == ("free_1696348800", "taken_1696348800-" + taken[-8:])
    assert listing(root / "uncategorized" / taken) == ["file0.txt", "file1.txt"]
    assert listing(root / "uncategorized" / other) == ["file0.txt"]
    assert (root / "latest" / "file0.txt").is_file()


@pytest.mark.parametrize("form", ["dir", "tar.gz"])
def test_an_archiving_and_a_restoring_run_where_there_is_no_dir_fd(
    project: Path, inv: Program, form: str
) -> None:
    path = tree(project / ".tmp" / "debug" / "x_1696348800", width=2, depth=2)
    (path / "link").symlink_to("f0")
    os.link(path / "f0", path / "other")
    before = [(name, (path / name).lstat().st_mode) for name in listing(path)]
    (project / "pyproject.toml").write_text(
        f'[tool.tempkeep]\narchive = true\narchive_format = "{form}"\nmax_count = 0\n'
    )
    done = inv("temp-clean")
    assert (done.returncode, done.stderr) == (0, "")
    assert not path.exists()
    done = inv("temp-restore", "debug__x_1696348800")
    assert (done.returncode, done.stderr) == (0, "")
    assert [(name, (path / name).lstat().st_mode) for name in listing(path)] == before
    assert stored(project / ".tmp-archive") == []


def test_what_is_set_aside_comes_back_or_goes_when_it_is_time(project: Path, inv: Program) -> None:
    path = tree(project / ".tmp" / "debug" / "x_1696348800", width=2, depth=2)
    before = [(name, (path / name).lstat().st_mode) for name in listing(path)]
    assert inv("temp-clean", "--undoable", "--yes").returncode == 0
    assert not path.exists()
    done = inv("temp-restore", "x_1696348800")
    assert (done.returncode, done.stderr) == (0, "")
    assert [(name, (path / name).lstat().st_mode) for name in listing(path)] == before
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nundo_hours = 0\n")
    assert inv("temp-clean", "--undoable", "--yes").returncode == 0
    assert inv("temp-clean").returncode == 0
    assert stored(project / ".tmp" / ".tempkeep" / "undo") == []


def test_a_file_is_read_by_its_place_and_no_link_for_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to("file")
    with opened(tmp_path) as number:
        descriptor = by_path.open_file("file", dir_fd=number)
        assert os.read(descriptor, 100) == b"content"
        os.close(descriptor)
        with refused(errno.ELOOP):
            by_path.open_file("link", dir_fd=number)
        assert by_path.readlink("link", dir_fd=number) == "file"


def test_what_one_process_makes_another_sees_and_sweeps(
    root: Path,
    own_system_temp: Path,
    inv: Program,
    sweeping: Callable[..., Any],
) -> None:
    made = sweeping(
        "from common.temp import TempManager, get_debug_temp_dir, temp_working_dir\n"
        "path = get_debug_temp_dir('kept')\n"
        "(path / 'file').write_text('text')\n"
        "with temp_working_dir() as gone:\n"
        "    (gone / 'file').write_text('text')\n"
        "assert not gone.exists()\n"
        "print(json.dumps(path.name))"
    )
    assert [path.name for path in (root / "debug").iterdir()] == [made]
    (temporary,) = own_system_temp.glob("tempkeep-*")
    assert listing(temporary / "work") == []
    # Nobody can tell whether its owner lives, so it counts as in use for a day.
    assert inv("temp-clean", "--max-age-hours", "0", "--yes").returncode == 0
    assert [path.name for path in (root / "debug").iterdir()] == [made]
    seen = inv("temp-status")
    assert seen.returncode == 0, seen.stderr
    assert "cannot be checked from here" in " ".join(seen.stdout.split())


def test_an_owner_that_has_nothing_left_leaves_no_file(
    own_system_temp: Path, sweeping: Callable[..., Any]
) -> None:
    sweeping(
        "from common.temp import temp_working_dir\nwith temp_working_dir():\n    pass\nprint(0)"
    )
    (temporary,) = own_system_temp.glob("tempkeep-*")
    assert listing(temporary / ".tempkeep" / "owners") == []


TRACKED = """
import json, os, time
from pathlib import Path
from common.temp import TempFileContext, ThreadedFileCleanupManager
from common.temp.store.system import at

assert not at.RELATIVE
manager = ThreadedFileCleanupManager("files", 1)
for name, hours in (("old", 5), ("sub/old", 5), ("new", 0)):
    path = Path("files", name)
    manager.track_file(path)
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    os.utime(path, (time.time() - hours * 3600,) * 2)
with TempFileContext("beside") as path:
    path.touch()
cleaned = manager.cleanup_old_files()
print(json.dumps([cleaned["removed_count"], cleaned["errors"], sorted(os.listdir("files"))]))
print(json.dumps([manager.get_stats()["total_disk_bytes"], manager.cleanup_all_tracked()]))
"""


def test_tracked_files_are_deleted_there_too(project: Path, windows: Program) -> None:
    done = windows("-c", TRACKED, cwd=project)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [2, 0, [".tempkeep", "new", "sub"]],
        [512, 1],
    ]
    assert not (project / "beside").exists()
    assert sorted(os.listdir(project / "files")) == [".tempkeep", "sub"]


@pytest.mark.parametrize(
    "place", [".tempkeep", ".tempkeep/holding", ".tempkeep/owners", ".tempkeep/undo"]
)
def test_a_junction_in_the_place_of_what_the_store_keeps_is_refused(
    root: Path,
    inv: Program,
    canary: Path,
    place: str,
) -> None:
    make_root(str(root))
    make_entry(root, "debug/x")
    with suppress(FileNotFoundError):
        (root / place).rename(root.parent / "aside")
    junction(root / place, canary)
    done = inv("temp-clean", "--everything", "--yes")
    assert done.returncode != 0
    assert f"{root / place} is not a directory made by this program" in done.stderr
    assert (root / "debug" / "x").is_dir()


def test_a_root_may_be_a_junction_but_not_to_what_holds_more(
    root: Path, inv: Program, tmp_path: Path
) -> None:
    make_root(str(tmp_path / "elsewhere"))
    make_entry(tmp_path / "elsewhere", "debug/x")
    junction(root, tmp_path / "elsewhere")
    done = inv("temp-clean", "--everything", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert listing(tmp_path / "elsewhere" / "debug") == []
    root.unlink()
    junction(root, root.parent)
    done = inv("temp-clean", "--everything", "--yes")
    assert done.returncode != 0
    assert "which holds far more" in done.stderr


def test_a_tree_as_deep_as_a_path_goes_is_removed(root: Path, sweeping: Callable[..., Any]) -> None:
    make_root(str(root))
    deep = make_entry(root, "debug/deep")
    levels = (4000 - len(str(root / ".tempkeep" / "holding")) - 64) // len("/dd")
    chain(deep, levels, name="dd")
    assert sweeping() == {"debug/deep": ["done", ""]}
    assert in_holding(root) == []


def test_a_tree_that_is_deeper_stays_and_the_outcome_says_why(
    root: Path, sweeping: Callable[..., Any]
) -> None:
    make_root(str(root))
    deep = make_entry(root, "debug/deep")
    chain(deep, 1500, name="dd")
    try:
        ((status, detail),) = sweeping().values()
        assert (status, "File name too long" in detail) == ("failed", True)
        assert deep.is_dir()
        assert in_holding(root) == []
    finally:
        run(["rm", "-rf", str(root)], cwd=root.parent)


def test_what_a_killed_sweep_left_is_finished(
    root: Path,
    project: Path,
    as_windows: dict[str, str],
    inv: Program,
    canary: Path,
) -> None:
    make_root(str(root))
    top = tree(make_entry(root, "debug/x", files=500) / "tree")
    (top / "link").symlink_to(canary)
    stall = SWEEP + (
        "def stall(files, freed):\n"
        "    if files:\n"
        "        print('at work', flush=True)\n"
        "        time.sleep(600)\n"
        "sweep(on_freed=stall)"
    )
    with process(stall, cwd=project, **as_windows) as killed:
        assert killed.first_line == "at work"
    assert len(in_holding(root)) == 1
    assert 0 < len(listing(root / ".tempkeep" / "holding")) < 500 + 85 * 4
    done = inv("temp-clean", "--everything", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert in_holding(root) == []


SWEPT_AND_SWAPPED = """
from collections import Counter
import os
from tests.support import tree

counts = Counter()
told = set()
end = time.monotonic() + 100
while (len(os.listdir("../aside")) < 300 or not counts["done"]) and time.monotonic() < end:
    for number in range(8):
        tree(root / "debug" / f"{counts['sweeps']}.{number}", width=3, depth=2, files=1)
    report = execute(prepare(root, Policy(everything=True), time.time()))
    counts["sweeps"] += 1
    for done in report.outcomes:
        counts[done.status] += 1
        if done.status != "done":
            told.add(done.detail)
print(json.dumps([counts, sorted(told)]))
"""


def test_directories_that_are_swapped_for_links_lead_no_sweep_out(
    root: Path,
    sweeping: Callable[..., Any],
    canary: Path,
    figure: Callable[[str], None],
) -> None:
    # Each once, and the names outside are others: by path, what is swapped in the instant between
    # look and step has that step done outside, which only descriptors can help.
    make_root(str(root))
    (root / "debug").mkdir()
    aside = root.parent.parent / "aside"
    aside.mkdir()
    count = 0

    def swap() -> None:
        nonlocal count
        for held in (root / ".tempkeep" / "holding").iterdir():
            for below in ("d2/d1", "d1/d1", "d1", "d0/d2", "d0", "."):
                with suppress(OSError):
                    place = held / below
                    if stat.S_ISDIR(place.lstat().st_mode) and held.stat().st_dev:
                        place.rename(aside / str(count))
                        count += 1
                        place.symlink_to(canary)

    with meanwhile(swap):
        counts, told = sweeping(SWEPT_AND_SWAPPED)
    swapped = len(os.listdir(aside))
    assert swapped >= 150
    assert counts["done"] > 0
    assert counts["failed"] > 0
    assert "" not in told
    for _ in range(2):  # what was left, and then what the first of these put back
        sweeping()
    assert listing(root / "debug") == []
    assert in_holding(root) == []
    figure(f"by path: {swapped} directories swapped for a link: {counts}")


def test_a_scheduled_clean_logs_its_line_there_too_and_puts_a_long_log_aside(
    project: Path, root: Path, inv: Program
) -> None:
    gone = make_entry(root, "debug/old_1696348800", age_hours=999)
    log = root / ".tempkeep" / "schedule.log"
    log.parent.mkdir()
    log.write_text("long\n" * 10_000)
    for what in ("cleaned 1 entry", "nothing to clean"):
        done = inv("temp-clean", "--yes", "--scheduled", "--strategy", "moderate")
        assert (done.returncode, done.stderr) == (0, "")
        assert f" exit 0: project: {what}" in done.stdout
    assert not gone.exists()
    assert log.read_text() == done.stdout
    aside = log.with_name("schedule.log.1").read_text().splitlines()
    assert (aside[0], "cleaned 1 entry" in aside[-1]) == ("long", True)
