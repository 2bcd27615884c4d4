"""Shared helpers of tests: entries as values, projects on disk, real commands, real processes."""

from __future__ import annotations

import ctypes
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema  # type: ignore[import-untyped]
import pytest
from invoke.program import Program

from common.temp.core.entry import Entry
from common.temp.core.layouts import PIPELINE, SCRATCH
from common.temp.core.links import Link
from common.temp.core.plan import Report
from common.temp.core.policy import Policy
from common.temp.store.archive.local import LocalArchive
from common.temp.store.root import owner as lease
from common.temp.store.root.allocation import allocate
from common.temp.store.root.current_owners import owners
from common.temp.store.root.records import record_name
from common.temp.store.scanning.scan import scan
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.tasks import ns
from common.temp.until import until_exit
from tests.warm import Server, Started, in_environment

REPOSITORY = Path(__file__).resolve().parent.parent
NOW = 1_700_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
EVERYTHING = Policy(everything=True)

DENIED = "Permission denied; change its permissions (chmod), or have its owner do it"
FULL = (
    "No space left on device; free some space or inodes (df -h, df -i), for example with "
    "`temp-clean`"
)
IMMUTABLE = "Operation not permitted (it is immutable); chattr -i it"
BROKEN = "Input/output error; the disk may be failing: see dmesg, and save what you need"
MANY_OPEN = "Too many open files; raise the limit of open files (ulimit -n), or close some"
READ_ONLY = "Read-only file system; remount that filesystem writable, or work elsewhere"
NO_DIRECTORY = "Not a directory; something else is in the place of a directory: move it away"
LINK = "Too many levels of symbolic links; a symlink is in its place: remove that"
"""Messages for errors of the disk, with their remedies."""

HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "...",
    "../victim",
    "../../victim",
    "./job",
    "job/..",
    "job/../../victim",
    "a/b",
    "/",
    "/etc",
    "/victim",
    "job/",
    "//server/share",
    "..\\victim",
    "a\\b",
    "C:\\victim",
    "\\\\server\\share",
    "\0",
    "job\0",
    "job\0../victim",
    "job\n",
    "job\r\nX-Header: 1",
    "\x1b[2J",
    "job\u202egnp",
    "\udcff",
    "\u200bjob",
    ".hidden",
    ".tempkeep",
    ".tempkeep/owners",
    ".gitignore",
    "CACHEDIR.TAG",
    "CON",
    "nul.txt",
    "com1",
    "é" * 128,
    "x" * 256,
    "~/../victim\x7f",
    "output/../../victim",
]
"""Forty names that are not safe path components."""

_ENTRY: dict[str, Any] = {
    "path": "debug/demo_1699990000",
    "category": "debug",
    "label": "demo",
    "stamp": 1_699_990_000,
    "size": 4096,
    "changed": NOW - HOUR,
}


def entry(**overrides: Any) -> Entry:
    """An entry that nothing protects, changed an hour before `NOW`.

    `shared` bytes of it are in a file with another hard link elsewhere.
    """
    shared = overrides.pop("shared", 0)
    if shared:
        overrides["links"] = (link(shared),)
    return Entry(**{**_ENTRY, **overrides})


def link(size: int, inode: int = 0, *, names: int = 2, met: int = 1) -> Link:
    """A file of `size` bytes with several hard links, `met` of them in its tree.

    Without an `inode`, it is another file each time.
    """
    return Link((1, inode or next(_INODES)), names, met, size)


_INODES = count(1 << 40)


def make_project(directory: Path, pyproject: str = "") -> Path:
    """A project with a `tasks.py` that imports the shared tasks."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(pyproject)
    (directory / "tasks.py").write_text("from common.temp.tasks import *\n")
    return directory


def have_git_ignore(patterns: Iterable[str], where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make git ignore `patterns` everywhere, as a user may have configured it."""
    (where / "ignored").write_text("\n".join(patterns))
    (where / "gitconfig").write_text(f'[core]\nexcludesFile = "{where}/ignored"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(where / "gitconfig"))


def make_entry(root: Path, relative: str, *, age_hours: float = 0.0, files: int = 1) -> Path:
    """A directory with files in `root`, made without `common.temp` and last changed `age_hours`
    ago.
    """
    path = root / relative
    path.mkdir(parents=True)
    for index in range(files):
        (path / f"file{index}.txt").write_text("x" * 100)
    age(path, age_hours)
    return path


def set_aside_earlier(manifest: Path, hours: float) -> None:
    """Make the entry of `manifest` look as if it had been set aside `hours` ago."""
    then = time.time() - hours * HOUR
    when = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(then))
    told = {**json.loads(manifest.read_text()), "archived_at": when, "boot": "another"}
    manifest.write_text(json.dumps(told, indent=2))
    os.utime(manifest, (then, then))
    entry = manifest.with_name(manifest.name.removesuffix(".tempkeep.json"))
    for path in (entry, *entry.rglob("*")):
        if path.lstat().st_mtime > then:
            os.utime(path, (then, then), follow_symlinks=False)


def age(path: Path, hours: float) -> None:
    """Make `path` look `hours` old: its modification time and those of everything in it, and its
    arrival if it is an entry of a root.

    The time in its name stays. To make an entry with an older name, use `long_ago`.
    """
    when = time.time() - hours * HOUR
    if path.is_symlink() or not path.is_dir():
        os.utime(path, (when, when), follow_symlinks=False)
    else:
        for directory, _, files in os.walk(path, topdown=False):
            for name in files:
                os.utime(os.path.join(directory, name), (when, when), follow_symlinks=False)
            os.utime(directory, (when, when))
    if hours > 0 and all(one.arrival_of(path.name) is None for one in (SCRATCH, PIPELINE)):
        _note_arrival(path, when)


def _note_arrival(path: Path, when: float) -> None:
    """Record the arrival of an entry, like a clean that puts one back."""
    for root in (path.parent, path.parent.parent):
        if root.name == ".tmp" or (root / ".tempkeep").is_dir():
            relative = path.relative_to(root).as_posix()
            status = path.lstat()
            says = {
                "path": relative,
                "arrived": max(0.0, when),
                "changed": 0.0,
                "unfinished": False,
                "inode": status.st_ino,
                "ctime_ns": status.st_ctime_ns,
            }
            records = root / ".tempkeep" / "arrivals"
            records.mkdir(parents=True, exist_ok=True)
            (records / record_name(relative)).write_text(json.dumps(says))
            return


LONG_AGO = "import time; _now = time.time; time.time = lambda: _now() - 1000 * 3600\n"
"""The start of a program whose clock is a thousand hours behind."""


@contextmanager
def long_ago(hours: float = 1000) -> Iterator[None]:
    """Set the clock of this process back by `hours`."""
    now = time.time

    def behind() -> float:
        return now() - hours * HOUR

    with mock.patch.object(time, "time", behind):
        yield


NO_PLUGINS = " ".join(
    f"-p no:{name}" for name in ("zarr", "anyio", "hypothesispytest", "pytest_cov", "cacheprovider")
)
"""Options for a pytest run by a test: without plugins that load slowly or measure."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: this one, without variables that change what it prints."""
    left_out = ("TEMPKEEP_", "PYTEST_", "COV_CORE", "GITHUB_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": path, "PYTEST_ADDOPTS": NO_PLUGINS, **more}


def inv(
    *arguments: str, cwd: Path, stdin: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """A real run of `inv` in `cwd`. Does not raise for its exit code."""
    return run([sys.executable, "-m", "invoke", *arguments], cwd=cwd, stdin=stdin, **more)


def tempkeep(*arguments: str) -> int:
    """The exit code of the program `tempkeep`, run in this process with its usual output."""
    program = Program(namespace=ns, name="tempkeep", binary="tempkeep")
    try:
        with mock.patch.object(sys, "argv", ["tempkeep", *arguments]):
            program.run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def forked(
    *arguments: str, cwd: str | Path, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The program `tempkeep`, run in `cwd` by a forked child: as real as `run`, but quicker, and
    with coverage. Its environment is `env`, or the same as in `run`.
    """
    from common.temp.__main__ import program

    given = environment() if env is None else env
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.chdir(cwd)
                os.environ.clear()
                os.environ.update(given)
                sys.stdin, sys.stdout, sys.stderr = io.StringIO(stdin), out, error
                sys.argv = ["tempkeep", *arguments]
                program.run(exit=True)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc(file=error)
            finally:
                out.flush()
                error.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        error.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), error.read())


def run(
    command: Sequence[str], *, cwd: Path, stdin: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """A real command in `cwd`, with its output as text. Does not raise for its exit code."""
    return run_in(environment(**more), command, cwd=cwd, stdin=stdin)


def run_in(
    env: dict[str, str],
    command: Sequence[str],
    *,
    cwd: Path,
    stdin: str | None = None,
    server: Server | None = None,
) -> subprocess.CompletedProcess[str]:
    """Like `run`, in the environment `env`, forked by `server` if there is one."""
    with Started(
        command,
        server=server,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
    ) as started:
        try:
            out, error = started.communicate(stdin, timeout=120)
        except BaseException:
            started.kill()
            raise
    return subprocess.CompletedProcess(command, started.returncode, out, error)


def run_client(
    name: str, *command: str | Path, cwd: Path | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Python with the arguments `command`, run like the client `name` in `projects`, in this
    environment.
    """
    env = dict(os.environ)
    server = in_environment(sys.executable, env, name)
    given = [sys.executable, *map(str, command)]
    return run_in(env, given, cwd=cwd or Path.cwd(), stdin=stdin, server=server)


def status(cwd: Path, *arguments: str, **more: str) -> dict[str, Any]:
    """The first root of `inv temp-status --format json`."""
    done = inv("temp-status", "--format", "json", *arguments, cwd=cwd, **more)
    assert done.stdout, done.stderr
    document: dict[str, Any] = check_report(json.loads(done.stdout))["projects"][0]
    return document


def check_report(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, after checking it against the schema of `--format json`."""
    _report_validator().validate(document)
    return document


@cache
def _report_validator() -> Any:
    path = REPOSITORY / "common" / "temp" / "schemas" / "report.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


class Process(Started):
    """A process that has printed its first line."""

    first_line: str


@contextmanager
def process(code: str, *, cwd: Path, **more: str) -> Iterator[Process]:
    """A real Python process that runs `code` and has printed its `first_line`.

    It is killed at the end of the block.
    """
    started = Process(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        line = started.stdout.readline().rstrip("\n")
        assert line, f"ended with {started.wait()}"
        started.first_line = line
        yield started
    finally:
        started.kill()
        started.communicate()


def as_plain_user(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A real run of `inv` to which file permissions apply, even if the superuser runs the tests."""
    command = [sys.executable, "-m", "invoke", *arguments]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root needs setpriv of util-linux to test file permissions")
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    return run(command, cwd=cwd, **more)


def let_others_reach(directory: Path) -> None:
    """Let every user search the directories above `directory`, wherever tests run."""
    for above in directory.parents:
        mode = above.stat().st_mode
        if mode & 0o011 != 0o011:
            above.chmod(mode | 0o011)


def working_in(root: Path, label: str = "x") -> AbstractContextManager[Path]:
    """A new directory in `root` that this process owns and that is deleted when the block ends."""
    return until_exit(str(root), lambda: allocate(str(root), "work", label))


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[Path]:
    """A private tmpfs at `directory`. Skips the test where mounting is not permitted."""
    directory.mkdir(parents=True, exist_ok=True)
    done = run(
        ["mount", "-t", "tmpfs", "-o", f"mode=755,{options}", "none", str(directory)], cwd=directory
    )
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        run(["umount", "--lazy", str(directory)], cwd=directory.parent)


def listing(directory: Path) -> list[str]:
    """Every path below `directory`, relative to it, sorted. Symlinks are not followed."""
    found = []
    for above, directories, files in os.walk(directory):
        found += [os.path.relpath(os.path.join(above, name), directory) for name in files]
        found += [os.path.relpath(os.path.join(above, name), directory) for name in directories]
    return sorted(found)


@contextmanager
def plain_user() -> Iterator[None]:
    """Make file permissions apply to this thread, even if it runs as the superuser."""
    capget, capset = (getattr(ctypes.CDLL(None), name, None) for name in ("capget", "capset"))
    if os.geteuid() != 0:
        yield
        return
    if capget is None or capset is None:
        pytest.skip("root's power over file permissions cannot be dropped here")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    had = (ctypes.c_uint32 * 6)()
    assert capget(header, had) == 0
    fewer = (ctypes.c_uint32 * 6)(*had)
    fewer[0] &= ~0b1110  # dac_override, dac_read_search, fowner
    assert capset(header, fewer) == 0
    try:
        yield
    finally:
        assert capset(header, had) == 0


@contextmanager
def ext4(tmp_path: Path, *, megabytes: int = 16) -> Iterator[Path]:
    """A small private ext4 filesystem. Skips the test where mounting is not permitted."""
    image, directory = tmp_path / "image", tmp_path / "ext4"
    directory.mkdir()
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    for command in (
        ["mkfs.ext4", "-q", "-m", "0", str(image)],
        ["mount", "-o", "loop", str(image), str(directory)],
    ):
        if not shutil.which(command[0]) or run(command, cwd=tmp_path).returncode:
            pytest.skip(f"cannot run {' '.join(command)}")
    try:
        yield directory
    finally:
        run(["umount", "--lazy", str(directory)], cwd=tmp_path)


def fill(directory: Path) -> None:
    """Leave no free byte on the filesystem of `directory`."""
    with open(directory / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512, 512):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
            os.fsync(file)  # frees blocks that were reserved for the worst case


def scanned(root: Path) -> dict[str, Entry]:
    """The entries of `root` by path, from a new scan."""
    return {entry.path: entry for entry in scan(root, time.time()).entries}


def swept(root: Path, policy: Policy = EVERYTHING, **options: Any) -> Report:
    """The report of a real sweep of `root`."""
    archive, form = options.pop("archive", None), options.pop("archive_format", "dir")
    archive = LocalArchive(archive) if isinstance(archive, Path) else archive
    return execute(
        prepare(root, policy, time.time(), archive=archive, **options),
        archive=archive,
        archive_format=form,
        workers=options.get("workers"),
    )


def stored(archive: Path) -> list[str]:
    """The names of what was archived in `archive`, without the archive's own files."""
    names = os.listdir(archive) if archive.is_dir() else []
    ours = (".gitignore", ".tempkeep", ".tempkeep.json")
    return sorted(name for name in names if not name.endswith(ours))


def outcomes(report: Report) -> dict[str, tuple[str, str]]:
    """The status and detail of each step of `report`, by path."""
    return {done.step.entry.path: (done.status, done.detail) for done in report.outcomes}


def chain(top: Path, depth: int, *, pairs: bool = False, name: str = "d") -> None:
    """Make a chain of directories called `name` in `top`, `depth` deep, which may exceed the
    maximum path length. With `pairs`, each level has a second subdirectory with a file.
    """
    descriptor = os.open(top, os.O_RDONLY)
    for level in range(depth):
        if pairs:
            os.mkdir("side", dir_fd=descriptor)
            os.close(os.open("side/file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.mkdir(name, dir_fd=descriptor)
        above, descriptor = descriptor, os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(above)
        if level == depth - 1:
            os.close(os.open("deepest", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


def only(root: Path) -> Entry:
    """The only entry of `root`, from a new scan."""
    (found,) = scanned(root).values()
    return found


def hold(root: Path, path: Path) -> str:
    """How the entry at `path` is held, as seen by a new reader; "" if it is not."""
    found = scanned(root)[path.relative_to(root).as_posix()]
    return found.use.how if found.use is not None else ""


def identity(path: Path) -> tuple[int, int]:
    """The device and inode of `path`."""
    status = path.lstat()
    return status.st_dev, status.st_ino


def in_holding(root: Path) -> list[str]:
    """The names of the claimed entries in the holding area of `root`."""
    holding = root / ".tempkeep" / "holding"
    held = [path.name for path in root.iterdir() if path.name.startswith(".tempkeep-held")]
    return held + (os.listdir(holding) if holding.is_dir() else [])


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Repeat `work` in a separate process during the block, ignoring failures."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            while True:
                with suppress(OSError):
                    work()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def tree(top: Path, *, width: int = 4, depth: int = 3, files: int = 3) -> Path:
    """A tree of `depth` levels of `width` directories, each with `files` files."""
    top.mkdir(parents=True)
    for number in range(files):
        (top / f"f{number}").write_bytes(b"x" * 5000)
    if depth:
        for number in range(width):
            tree(top / f"d{number}", width=width, depth=depth - 1, files=files)
    return top


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Make the file at `path` immutable during the block, even if it is moved."""
    if not shutil.which("chattr") or run(["chattr", "+i", str(path)], cwd=path.parent).returncode:
        pytest.skip("cannot make a file immutable here")
    inode = path.lstat().st_ino
    above = path.parent
    try:
        yield
    finally:
        for found in above.parent.parent.rglob(path.name):
            if found.lstat().st_ino == inode:
                run(["chattr", "-i", str(found)], cwd=above.parent.parent)


def runs(tested: pytest.Pytester, code: str, *arguments: str, **outcomes: int) -> pytest.RunResult:
    """A run of the tests in `code` in this process, after checking its `outcomes`."""
    result = tested.runpytest_inprocess("-q", *arguments, tested.makepyfile(test_it=code))
    result.assert_outcomes(**outcomes)
    return result


def end_leases() -> None:
    """End all leases of this process, as when it ends."""
    for owner in lease.owners_here():
        if owner.pid == os.getpid():
            with suppress(OSError):
                owner.close()
    owners.clear()
