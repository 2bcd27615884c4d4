"""Use by a process that shows neither in its directories nor in its open files is noticed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.temp.store.system.hidden_processes import processes_that_hide
from common.temp.store.system.processes import processes_inside
from tests.support import (
    EVERYTHING,
    environment,
    hold,
    let_others_reach,
    listing,
    make_entry,
    make_project,
    process,
    run,
    swept,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")

WAITS = "import time; print('ready', flush=True); time.sleep(60)"


@contextmanager
def started(*command: str | Path, cwd: str | Path = "/") -> Iterator[subprocess.Popen[str]]:
    """A command that runs until the end of the block."""
    words = [str(word) for word in command]
    done = subprocess.Popen(words, cwd=cwd, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        yield done
    finally:
        done.kill()
        done.communicate()


@contextmanager
def ready(*command: str | Path, cwd: str | Path = "/") -> Iterator[None]:
    """The same, once the command has printed something."""
    with started(*command, cwd=cwd) as it:
        assert it.stdout is not None
        assert it.stdout.readline()
        yield


def until(is_true: Callable[[], object]) -> None:
    """Wait for that, at most for half a minute."""
    for _ in range(3000):
        if is_true():
            return
        time.sleep(0.01)
    pytest.fail("it never was")


# -- what it was started with -------------------------------------------------------------------


def venv(path: Path) -> Path:
    """A virtual environment at `path`, as far as it counts."""
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (path / "pyvenv.cfg").touch()
    return path


@contextmanager
def called_python(**variables: str) -> Iterator[None]:
    """A program with these variables that was called `python`, as one that is found by PATH is."""
    program = os.path.realpath(shutil.which("sleep") or "")
    with subprocess.Popen(["python", "60"], executable=program, cwd="/", env=variables) as it:
        try:
            yield
        finally:
            it.kill()


@pytest.mark.parametrize(
    "variables",
    [
        {"VIRTUAL_ENV": "{}"},
        {"PATH": "/usr/bin:{}/bin/:/bin"},
        {"VIRTUAL_ENV": "{link}"},
        {"_": "{}/bin/python"},
    ],
    ids=["VIRTUAL_ENV", "PATH", "through a link", "_"],
)
def test_the_virtual_environment_that_a_process_was_started_in_is_in_use(
    root: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    path = venv(make_entry(root, "work/venv"))
    (tmp_path / "link").symlink_to(path)
    given = {name: said.format(path, link=tmp_path / "link") for name, said in variables.items()}
    with called_python(**given):
        assert hold(root, path) == "process"
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


@pytest.mark.parametrize("is_activated", [True, False])
def test_a_virtual_environment_that_is_a_category_is_in_use_as_a_whole(
    root: Path, is_activated: bool
) -> None:
    path = venv(root / "work")
    make_entry(root, "work/lib")
    names = listing(path)
    python = path / "bin" / "python"
    command = [str(python), "-c", WAITS]
    with called_python(VIRTUAL_ENV=str(path)) if is_activated else ready(*command):
        assert swept(root).outcomes == ()
    assert listing(path) == names
    assert len(swept(root).done) == 3


def test_what_is_no_virtual_environment_or_not_used_as_one_goes(root: Path) -> None:
    path, other = make_entry(root, "work/tools"), venv(make_entry(root, "work/venv"))
    (path / "bin").mkdir()
    named = {"VIRTUAL_ENV": str(path)}
    with called_python(**named, NOTES=f"VIRTUAL_ENV={other}", _=f"{other}/bin/python3"):
        assert (hold(root, path), hold(root, other)) == ("", "")
        assert len(swept(root).done) == 2


@pytest.mark.parametrize("word", ["{}", "--homedir={}"])
def test_a_directory_that_a_command_line_names_is_in_use(root: Path, word: str) -> None:
    path, other = make_entry(root, "work/served"), make_entry(root, "work/other")
    with ready(sys.executable, "-c", WAITS, "--directory", word.format(path)):
        assert (hold(root, path), hold(root, other)) == ("process", "")
        assert [done.step.entry.path for done in swept(root).done] == ["work/other"]
    assert len(swept(root).done) == 1


def test_a_directory_that_a_command_line_names_by_links_is_in_use_and_so_are_they(
    root: Path,
) -> None:
    path, other = make_entry(root, "work/served"), make_entry(root, "work/other")
    (root / "work" / "latest").symlink_to("current")
    (root / "work" / "current").symlink_to("served")
    with ready(sys.executable, "-c", WAITS, root / "work" / "latest" / "file0.txt"):
        assert [done.step.entry.path for done in swept(root).done] == ["work/other"]
        assert (root / "work" / "latest").samefile(path)
        assert not other.exists()
    assert len(swept(root).done) == 3


def test_a_directory_that_a_command_line_names_from_within_the_root_is_in_use(root: Path) -> None:
    path, other = make_entry(root, "work/served"), make_entry(root, "work/other_1696348800")
    with ready(sys.executable, "-c", WAITS, "served", cwd=root / "work"):
        assert (hold(root, path), hold(root, other)) == ("process", "")
        assert [done.step.entry.path for done in swept(root).done] == ["work/other_1696348800"]
    assert len(swept(root).done) == 1


def test_who_waits_to_open_a_fifo_keeps_its_entry(root: Path) -> None:
    path = make_entry(root, "work/ipc")
    os.mkfifo(path / "pipe")
    with started("cat", path / "pipe"):
        until(lambda: hold(root, path) == "process")
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


# -- what shows nothing in /proc ----------------------------------------------------------------


SHOWS_NOTHING = """
import ctypes, os, socket, sys
if not os.geteuid():
    os.setresuid(1000, 1000, 1000)
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # as ssh-agent: it is not dumpable
"""


def by_their_user(work: Callable[[], object]) -> str:
    """What `work` prints when a plain user does it."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        try:
            if not os.geteuid():
                os.setresuid(1000, 1000, 1000)
            with open(tell, "w", encoding="utf-8") as sys.stdout:
                sys.stderr = sys.stdout
                try:
                    work()
                except Exception:
                    traceback.print_exc()
        finally:
            os._exit(0)
    os.close(tell)
    with open(told, encoding="utf-8") as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def seen_by_their_user(root: Path) -> dict[str, str]:
    """Who works below `root`, for a plain user."""

    def look() -> None:
        for path, use in processes_inside(root).items():
            print(path, use.who, sep="\t")

    return dict(line.split("\t") for line in by_their_user(look).splitlines())


@pytest.fixture
def short_root() -> Iterator[Path]:
    """A root whose path is short enough for a socket's, which everybody may reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        root = Path(short, ".tmp")
        make_entry(root, "work/agent").chmod(0o777)
        let_others_reach(root / "work" / "agent")
        yield root


def test_the_socket_of_a_process_that_shows_nothing_is_in_use(short_root: Path) -> None:
    path = short_root / "work" / "agent"
    bind = f"s = socket.socket(socket.AF_UNIX); s.bind({str(path / 's')!r}); s.listen(); {WAITS}"
    with ready(sys.executable, "-c", SHOWS_NOTHING + bind):
        assert "work/agent/s" in seen_by_their_user(short_root)
        assert hold(short_root, path) == "process"
    assert seen_by_their_user(short_root) == {}  # its file is there still


def test_what_the_command_line_of_a_process_that_shows_nothing_names_is_in_use(
    short_root: Path,
) -> None:
    path = short_root / "work" / "agent"
    with ready(sys.executable, "-c", SHOWS_NOTHING + WAITS, "--homedir", path):
        assert "was started with a directory" in seen_by_their_user(short_root)["work/agent"]
    with ready(sys.executable, "-c", SHOWS_NOTHING + WAITS, "--homedir", "/"):
        assert seen_by_their_user(short_root) == {}


@pytest.mark.parametrize("hides", [True, False])
def test_a_process_that_shows_nothing_is_named(hides: bool) -> None:
    """`temp-explain` says so of an entry that nobody is known to use."""
    code = SHOWS_NOTHING if hides else SHOWS_NOTHING.partition("ctypes.CDLL")[0]
    # Of a user that it has only become, it still shows nothing: that is undone.
    shows = "" if hides else "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
    with started(sys.executable, "-c", code + shows + WAITS) as it:
        assert it.stdout is not None
        assert it.stdout.readline()
        said = by_their_user(lambda: print(processes_that_hide()))
        assert (f"pid {it.pid} (python" in said) == hides


def test_a_socket_s_file_that_nobody_listens_at_is_not_in_use(short_root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(short_root / "work" / "agent" / "s"))
    found = processes_inside(short_root).keys()  # the commands of other tests name `.tmp/work`
    assert not {place for place in found if place.startswith("work/agent")}


# -- what is deep, mirrored or mounted ----------------------------------------------------------


def test_a_process_deeper_than_a_path_can_be_long_keeps_its_entry(root: Path) -> None:
    path, other = make_entry(root, "debug/deep"), make_entry(root, "debug/other")
    code = "import os\nfor _ in range(30): os.mkdir('d' * 200); os.chdir('d' * 200)\n"
    with process(code + WAITS, cwd=path):
        assert (hold(root, path), hold(root, other)) == ("process", "")
        assert [done.step.entry.path for done in swept(root).done] == ["debug/other"]
    assert len(swept(root).done) == 1


@contextmanager
def mirrored(source: Path, mirror: Path) -> Iterator[Path]:
    """What is in `source` is in `mirror`, too, by a FUSE filesystem; skips where there is none."""
    mirror.mkdir()
    command = ["bindfs", str(source), str(mirror)]
    if not shutil.which("bindfs") or run(command, cwd=source).returncode:
        pytest.skip("no bindfs here")
    try:
        yield mirror
    finally:
        run(["umount", "--lazy", str(mirror)], cwd=source)


def test_a_process_that_came_through_a_mirror_keeps_its_entry(root: Path, tmp_path: Path) -> None:
    path, other = make_entry(root, "work/e"), make_entry(root, "work/other")
    with mirrored(root.parent, tmp_path / "mirror") as mirror:
        with process(WAITS, cwd=mirror / ".tmp" / "work" / "e"):
            assert (hold(root, path), hold(root, other)) == ("process", "")
            assert [done.step.entry.path for done in swept(root).done] == ["work/other"]
        assert len(swept(root).done) == 1


def test_what_a_clean_seems_to_have_left_in_a_mirror_stays_while_it_is_new(
    root: Path, tmp_path: Path
) -> None:
    """Its lock may not reach from one side to the other."""
    root.mkdir()
    (tmp_path / "own").mkdir()
    with mirrored(tmp_path / "own", tmp_path / "mirror") as mirror:
        archive = mirror / "archive"
        part = make_entry(archive, ".tempkeep/holding/batch-0123456789abcdef")
        assert swept(root, archive=archive).finished == 0
        assert part.exists()
        make_project(mirror, "[tool.tempkeep]\nforeign_hours = 0\n")
        assert swept(root, archive=archive).finished == 1
        assert not part.exists()


def test_a_process_that_came_by_the_plain_path_keeps_what_is_cleaned_in_a_mirror(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "work/e")
    with mirrored(root.parent, tmp_path / "mirror") as mirror:
        with process(WAITS, cwd=path):
            assert swept(mirror / ".tmp").outcomes == ()
        assert len(swept(mirror / ".tmp").done) == 1


def test_an_entry_that_is_mirrored_elsewhere_is_in_use(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "work/e")
    with mirrored(path, tmp_path / "mirror"):
        assert hold(root, path) == "process"
    assert hold(root, path) == ""


def test_a_filesystem_that_another_mount_namespace_has_in_an_entry_keeps_it(root: Path) -> None:
    path, other = make_entry(root, "work/build"), make_entry(root, "work/other")
    (path / "mnt").mkdir()
    script = "mount -t tmpfs none mnt && cd / && echo ready && exec sleep 60"
    if not shutil.which("unshare") or run(["unshare", "-m", "true"], cwd=root).returncode:
        pytest.skip("cannot make a mount namespace")
    with ready("unshare", "-m", "sh", "-c", script, cwd=path):
        assert (hold(root, path), hold(root, other)) == ("process", "")
        assert [done.step.entry.path for done in swept(root).done] == ["work/other"]
    assert len(swept(root).done) == 1


def test_a_file_that_a_process_gave_to_io_uring_keeps_its_entry(root: Path) -> None:
    path = make_entry(root, "work/ring")
    code = f"""
import ctypes, os
call = ctypes.CDLL(None).syscall
ring = call(425, 8, ctypes.byref((ctypes.c_ubyte * 120)()))
file = os.open({str(path / "data")!r}, os.O_CREAT | os.O_RDWR)
given = ring >= 0 and not call(427, ring, 2, ctypes.byref((ctypes.c_int * 1)(file)), 1)
os.close(file)
told = given and "UserFiles:\\t1" in open(f"/proc/self/fdinfo/{{ring}}").read()
import time; print(["no", "yes"][bool(told)], flush=True); time.sleep(60)
"""
    with process(code, cwd=Path("/")) as it:
        if it.first_line == "no":
            pytest.skip("no io_uring here, or it does not tell")
        assert hold(root, path) == "process"
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


def test_a_directory_at_the_end_of_a_long_command_line_is_in_use(root: Path) -> None:
    path = make_entry(root, "work/run")
    options = [f"--option-{number}={number}" for number in range(60)]
    with ready(sys.executable, "-c", WAITS, *options, f"--mount=type=bind,source={path}:rw"):
        assert "was started with a directory in it" in processes_inside(root)["work/run"].who
        assert swept(root).done == ()
    assert len(swept(root).done) == 1


def test_a_dead_mount_that_a_command_line_names_holds_nothing_up(
    root: Path, tmp_path: Path
) -> None:
    if not shutil.which("bindfs") or os.geteuid():
        pytest.skip("needs root and bindfs")
    make_entry(root, "work/x")
    for name in ("remote", "mount"):
        (tmp_path / name).mkdir()
    with started("bindfs", "-f", tmp_path / "remote", tmp_path / "mount") as daemon:
        until(lambda: os.path.ismount(tmp_path / "mount"))
        daemon.send_signal(signal.SIGSTOP)  # its own command line names where it is mounted
        try:
            sweeps = f"from tests.support import *; print(len(swept(Path({str(root)!r})).done))"
            done = run([sys.executable, "-c", sweeps], cwd=root.parent)
            assert done.stdout == "1\n", done.stderr
        finally:
            daemon.send_signal(signal.SIGCONT)
            run(["umount", "--lazy", str(tmp_path / "mount")], cwd=root)


@pytest.mark.parametrize(
    ("alone", "why"),
    [
        ("exec unshare --user --map-root-user", "they are in another user namespace"),
        (
            "exec unshare --mount --propagation private "
            "sh -c 'mount -t tmpfs none /proc && \"$@\"' x",
            "no /proc is mounted here",
        ),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user whose processes are all here")
def test_who_cannot_look_for_processes_takes_what_nobody_changed_for_long_alone(
    project: Path, alone: str, why: str
) -> None:
    fresh = make_entry(project / ".tmp", "work/fresh")
    old = make_entry(project / ".tmp", "work/old_1600000000", age_hours=30)
    command = [sys.executable, "-m", "common.temp", "temp-clean", "--everything", "--yes"]
    with started("sleep", "60", cwd=fresh):
        cleaned = run(["sh", "-c", f'{alone} "$@"', "x", *command], cwd=project)
    if cleaned.returncode and "unshare" in cleaned.stderr:
        pytest.skip("cannot unshare")
    assert f"cannot be looked for from here ({why})" in cleaned.stdout
    assert (fresh.exists(), old.exists()) == (True, False)
    assert swept(project / ".tmp", EVERYTHING).done
    assert not fresh.exists()
