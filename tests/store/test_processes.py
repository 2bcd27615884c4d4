"""Processes that work in an entry keep it, where the system can tell."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from common.temp.core.entry import Use
from common.temp.core.policy import Policy
from common.temp.errors import TempError
from common.temp.store.root.forked_helpers import fork_helper
from common.temp.store.system.processes import processes_inside
from common.temp.store.system.procfs import spell_command
from tests.store.children import until
from tests.store.trees import long_chain
from tests.support import (
    environment,
    hold,
    let_others_reach,
    make_entry,
    process,
    run,
    scanned,
    swept,
)


@pytest.mark.parametrize(
    "work", ["os.chdir('.tmp/debug/x/deep')", "f = open('.tmp/debug/x/deep/log', 'w')"]
)
def test_a_process_that_works_in_an_entry_without_a_record_protects_it(
    root: Path, work: str
) -> None:
    path = make_entry(root, "debug/x")
    (path / "deep").mkdir()
    with process(f"import os; {work}; print('ready', flush=True); input()", cwd=root.parent) as it:
        entry = scanned(root)["debug/x"]
        assert entry.use is not None
        assert entry.use.who.startswith(f"pid {it.pid} (python")
        assert entry.use.who.endswith("works in it")
        assert swept(root).outcomes == ()
    assert hold(root, path) == ""
    assert len(swept(root).done) == 1


def until_free(root: Path, path: Path) -> None:
    """Wait until nothing uses the entry: a mount namespace that another test made meanwhile has a
    copy of each mount.
    """
    until(lambda: hold(root, path) == "", "what was mounted is gone everywhere")


def found_with(root: Path, free: int) -> dict[str, Use] | None:
    """What is found in `root` while so many descriptors are free; `None` if it cannot be told."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, hard))
    try:
        return processes_inside(root)
    except TempError as error:
        return None if "cannot look for processes: Too many open files" in str(error) else {}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_no_more_files_can_be_opened_nothing_counts_as_unused(root: Path) -> None:
    make_entry(root, "debug/x")
    with process(
        "f = open('.tmp/debug/x/log', 'w'); print(1, flush=True); input()", cwd=root.parent
    ):
        found = [found_with(root, free) for free in (*range(8), 99)]
    assert found[0] is None
    assert found[-1] is not None
    assert all(one is None or "debug/x/log" in one for one in found)


@pytest.mark.parametrize("word", ["tempkeep.asks.md", "tempkeep.asks=1"])
def test_a_process_whose_command_line_looks_like_a_question_of_ours_protects_it(
    root: Path, word: str
) -> None:
    path = make_entry(root, "debug/x")
    (path / word).touch()
    with subprocess.Popen(["tail", "-f", word], cwd=path, stdout=subprocess.DEVNULL) as it:
        assert hold(root, path) == "process"
        it.kill()


def test_a_process_without_a_command_line_protects_it_too(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with subprocess.Popen([""], executable=shutil.which("cat"), cwd=path, stdin=subprocess.PIPE):
        assert hold(root, path) == "process"
    assert hold(root, path) == ""


def test_ones_own_working_directory_is_protected_too(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "demo_1696348800")
    monkeypatch.chdir(path)
    assert hold(root, path) == "process"
    assert swept(root).outcomes == ()


def test_another_users_processes_are_not_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_entry(root, "debug/x")
    with process("print('ready', flush=True); input()", cwd=path):
        assert hold(root, path) == "process"
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
        assert processes_inside(root) == {}


def test_without_proc_no_process_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    assert processes_inside(root) == {}


def test_the_command_that_names_an_owner_is_short() -> None:
    assert spell_command([]) == ""
    assert spell_command([sys.executable, "-c", "a\nb"]).endswith(" -c …")
    assert len(spell_command(["x" * 100])) == 60


WAITS = "import time; print('ready', flush=True); time.sleep(60)"


@contextmanager
def worker(program: list[str], cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that works until the end of the block."""
    with open(os.devnull, "r+") as nothing:
        started = subprocess.Popen(program, cwd=cwd, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        # The kernel tells the command line a moment after the program runs, and never that of one
        # whose main thread has ended.
        end = time.monotonic() + 0.2
        while not Path(f"/proc/{started.pid}/cmdline").read_bytes() and time.monotonic() < end:
            time.sleep(0.001)
        yield started
    finally:
        started.kill()
        started.wait()


def test_a_program_that_runs_from_an_entry_protects_it(root: Path) -> None:
    path = make_entry(root, "work/tools")
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path / "server")
    with worker([str(path / "server"), "60"], cwd=Path("/")):
        assert wait_for_hold(root, path).endswith("runs a program in it")
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


@pytest.mark.parametrize("relative", [False, True])
def test_a_script_that_was_read_from_an_entry_protects_it(root: Path, relative: bool) -> None:
    path = make_entry(root, "work/app")
    (path / "server.py").write_text(WAITS)
    script = ".tmp/work/app/server.py" if relative else str(path / "server.py")
    with worker([sys.executable, script], cwd=root.parent):
        assert wait_for_hold(root, path).endswith("runs a program in it")
    assert hold(root, path) == ""


@pytest.mark.parametrize("name", ["data", "a new\nline \\012"])
def test_a_mapped_file_protects_its_entry_when_it_is_closed(root: Path, name: str) -> None:
    path = make_entry(root, "debug/x")
    file = path / name
    file.write_bytes(b"x" * 4096)
    # mmap.mmap keeps a descriptor of its own.
    code = f"""
import ctypes, os
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
opened = os.open({str(file)!r}, os.O_RDONLY)
libc.mmap(None, 4096, 1, 1, opened, 0)
os.close(opened)
{WAITS}"""
    with process(code, cwd=Path("/")):
        assert scanned(root)["debug/x"].use is not None
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


@pytest.mark.parametrize(
    "work",
    [
        "import os; held = os.open(sys.argv[1], os.O_RDONLY)",
        "import os; held = os.scandir(sys.argv[1]); next(held)",
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + '/s'); s.listen()",
        "import os, socket; os.chdir(sys.argv[1]); s = socket.socket(socket.AF_UNIX); s.bind('s')",
    ],
)
def test_an_open_directory_or_a_bound_socket_protects_its_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # for a socket's path is short
        root = Path(short, ".tmp")
        path = make_entry(root, "debug/x")
        with process(f"import sys; sys.argv = ['', {str(path)!r}]; {work}; {WAITS}", cwd=Path("/")):
            assert hold(root, path) == "process"
            assert swept(root).outcomes == ()
        assert len(swept(root).done) == 1


BINDS = """
import os, socket, sys
held = []
def bind(path):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].bind(path)
bind("link/.tmp/work/link/s")
bind(os.getcwd() + "/link/.tmp/work/far/s")
bind(".tmp/../.tmp/work/up/s")
bind(os.getcwd() + "//.tmp/work//double/s")
bind(os.getcwd() + "/.tmp/work/new\\nline/s\\n1")
top = os.open(".tmp/work/fd", os.O_RDONLY)
bind(f"/proc/self/fd/{top}/s")
os.close(top)
bind(os.getcwd() + "/.tmp/work/before/s")
os.rename(".tmp/work/before", ".tmp/work/renamed")
bind(os.getcwd() + "/.tmp/work/up/s.12")
os.rename(".tmp/work/up/s.12", ".tmp/work/moved/s")
os.chdir(".tmp/work/relative")
bind("s")
os.chdir("/")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")
@pytest.mark.parametrize("is_link", [False, True], ids=["", "the root is a link"])
def test_a_socket_that_was_bound_in_whatever_way_protects_its_entry(is_link: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # for a socket's path is short
        project = Path(short).resolve()
        root = project / ("disk" if is_link else ".tmp")
        names = {"link", "far", "up", "double", "new\nline", "fd", "before", "relative", "moved"}
        for name in (*names, "other"):
            make_entry(root, f"work/{name}")
        if is_link:
            (project / ".tmp").symlink_to(root)
        (project / "link").symlink_to(".")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(root / "work" / "other" / "s"))
        with process(BINDS + WAITS, cwd=project):
            found = processes_inside(project / ".tmp")
        # Its own command line names directories too, unless it was forked by a warm interpreter.
        held = {place.split("/")[1] for place in found if place.count("/") > 1}
        assert held == names | {"renamed"}


def test_what_lies_beside_an_entry_protects_nothing_in_it(root: Path) -> None:
    path, other = make_entry(root, "debug/x"), make_entry(root, "debug/x2")
    with process(f"import os; held = os.open({str(other)!r}, os.O_RDONLY); {WAITS}", cwd=root):
        assert (hold(root, path), hold(root, other)) == ("", "process")


def test_the_directories_that_another_scan_has_open_protect_nothing(root: Path) -> None:
    path = make_entry(root, "debug/x", files=3)
    code = f"""
from pathlib import Path
from common.temp.store.system import at
top = at.open({str(path)!r}, at.DIRECTORY_FLAGS)
listed = at.scandir(top)
next(listed)
{WAITS}"""
    with process(code, cwd=root):
        assert hold(root, path) == ""


def test_what_a_helper_that_scans_with_this_process_has_open_protects_nothing(root: Path) -> None:
    path = make_entry(root, "debug/x")
    stopped, told = os.pipe()

    with open(path / "log", "w") as file:

        def wait() -> None:
            os.close(told)
            os.read(stopped, 1)
            file.close()

        child = fork_helper(wait)
    try:
        assert hold(root, path) == ""
    finally:
        os.close(told)
        os.close(stopped)
        os.waitpid(child, 0)


def test_a_program_that_has_the_id_of_a_helper_is_in_use(root: Path) -> None:
    path = make_entry(root, "debug/x")

    def runs() -> None:
        os.chdir(path)
        os.execvp("sleep", ["sleep", "60"])

    child = fork_helper(runs)
    try:
        assert f"pid {child} (sleep 60) works in it" == wait_for_hold(root, path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@contextmanager
def bound(source: Path, target: Path) -> Iterator[Path]:
    """The directory `source` is mounted at `target` as well; skips where we may not."""
    target.mkdir()
    if run(["mount", "--bind", str(source), str(target)], cwd=target.parent).returncode:
        pytest.skip("cannot bind-mount")
    try:
        yield target
    finally:
        run(["umount", "--lazy", str(target)], cwd=target.parent)


@pytest.mark.parametrize("what", [".", ".tmp", ".tmp/debug/x/deep"])
def test_a_process_that_came_through_a_bind_mount_protects_the_entry(
    root: Path, tmp_path: Path, what: str
) -> None:
    path = make_entry(root, "debug/x")
    (path / "deep").mkdir()
    with bound(root.parent / what, tmp_path / "a mount\\\r ") as mount:
        inside = mount / os.path.relpath(path / "deep", root.parent / what)
        with process(f"import os; os.chdir({str(inside)!r}); {WAITS}", cwd=Path("/")):
            assert hold(root, path) == "process"
            assert swept(root).outcomes == ()
        # What is mounted elsewhere is in use by that alone.
        assert hold(root, path) == ("process" if what.endswith("deep") else "")
    assert len(swept(root).done) == 1


@pytest.mark.parametrize("source", ["..", ".", "debug", "debug/x"])
def test_a_process_that_came_through_a_bind_mount_that_was_unmounted_since_protects_the_entry(
    root: Path, tmp_path: Path, source: str
) -> None:
    inside, free = make_entry(root, "debug/x/deep"), make_entry(root, "debug/free")
    top = (root / source).resolve()
    below = os.path.relpath(inside, top)
    with ExitStack() as stack:
        with bound(top, tmp_path / "mount") as there:
            at_work = stack.enter_context(subprocess.Popen(["sleep", "60"], cwd=there / below))
            stack.callback(at_work.kill)
            with (there / below / "file0.txt").open() as file:
                reads = subprocess.Popen(["sleep", "60"], cwd="/", stdin=file)
            stack.enter_context(reads)
            stack.callback(reads.kill)
        shutil.copytree(root, tmp_path / "another" / ".tmp")
        assert processes_inside(tmp_path / "another" / ".tmp") == {}  # though it has such names
        place = os.path.relpath(inside, root)
        assert set(processes_inside(root)) == {place, f"{place}/file0.txt"}
        swept(root)
        assert (inside.exists(), free.exists()) == (True, False)
    assert processes_inside(root) == {}


def test_a_process_that_came_by_the_plain_path_protects_what_is_cleaned_through_a_bind_mount(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "debug/x")
    with bound(root.parent, tmp_path / "mount") as mount:
        with process(WAITS, cwd=path):
            assert swept(mount / ".tmp").outcomes == ()
        assert len(swept(mount / ".tmp").done) == 1


def test_a_process_in_another_mount_namespace_protects_the_entry(
    root: Path, tmp_path: Path
) -> None:
    path, other = make_entry(root, "debug/x"), tmp_path / "other"
    other.mkdir()
    script = 'mount --bind "$1" "$2" && cd "$2/debug/x" && exec sleep 60'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(root), str(other)]
    if not shutil.which("unshare") or run([*command[:2], "true"], cwd=root).returncode:
        pytest.skip("cannot make a mount namespace")
    with worker(command, cwd=Path("/")):
        assert wait_for_hold(root, path).endswith("works in it")
        assert os.listdir(other) == []
        assert swept(root).outcomes == ()


ENDS_ITS_FIRST_THREAD = """
import ctypes, os, sys, threading, time
def work():
    UNSHARE
    os.chdir(sys.argv[1])
    time.sleep(60)
threading.Thread(target=work).start()
END
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads of other processes: Linux")
@pytest.mark.parametrize(
    ("unshare", "end"),
    [
        ("pass", "time.sleep(0.1); ctypes.CDLL(None).pthread_exit(None)"),
        ("ctypes.CDLL(None).unshare(0x200)", "time.sleep(60)"),
    ],
    ids=["the others have ended", "it has one of its own"],
)
def test_the_working_directory_of_any_thread_protects_the_entry(
    root: Path, unshare: str, end: str
) -> None:
    path = make_entry(root, "debug/x")
    code = ENDS_ITS_FIRST_THREAD.replace("UNSHARE", unshare).replace("END", end)
    with worker([sys.executable, "-c", code, str(path)], cwd=Path("/")):
        time.sleep(0.5)
        assert wait_for_hold(root, path).endswith("works in it")
        assert swept(root).outcomes == ()


def test_a_layer_of_an_overlay_protects_its_entry(root: Path, tmp_path: Path) -> None:
    path, other = make_entry(root, "debug/x"), tmp_path / "other"
    for directory in (path / "up", path / "work", other, tmp_path / "low"):
        directory.mkdir()
    layers = f"lowerdir={tmp_path}/low,upperdir={path}/up,workdir={path}/work"
    mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(other)]
    here = ["unshare", "-m", "sh", "-c", '"$@" && exec sleep 60', "sh", *mount]
    if not shutil.which("unshare") or run([*here[:4], '"$@"', *here[5:]], cwd=root).returncode:
        pytest.skip("cannot mount an overlay")
    with worker(here, cwd=Path("/")):
        assert wait_for_hold(root, path).endswith(f"has it mounted at {other}")
        assert swept(root).outcomes == ()
    if run(mount, cwd=root).returncode:
        pytest.skip("cannot mount an overlay")
    try:
        assert wait_for_hold(root, path) == f"it is mounted at {other} as well"
        assert swept(root).outcomes == ()
    finally:
        run(["umount", str(other)], cwd=root)
    assert len(swept(root).done) == 1


def test_root_sees_the_processes_of_all_users(root: Path, tmp_path: Path) -> None:
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    path = make_entry(root, "debug/x")
    let_others_reach(path)
    path.chmod(0o755)
    user = ["setpriv", "--reuid", "1000", "--clear-groups"]
    with worker([*user, "sleep", "60"], cwd=path):
        assert wait_for_hold(root, path).endswith("(sleep 60) works in it")


def wait_for_hold(root: Path, path: Path) -> str:
    """By whom the entry at `path` is held, as soon as it is: not by a process that has still to run
    the program, or to do what its command line says.
    """
    not_yet = ("unshare", "setpriv", " () ", "was started with")
    relative = path.relative_to(root).as_posix()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        use = scanned(root)[relative].use
        if use is not None and not any(sign in use.who for sign in not_yet):
            return use.who
        time.sleep(0.01)
    pytest.fail(f"{relative} is not in use")


IN_A_THREAD = (
    "import ctypes, os, sys, threading\n"
    "def work():\n"
    "    ctypes.CDLL(None).unshare(0x200)\n"  # CLONE_FS: from now on it has its own directory
    "    os.chdir('.tmp/debug/x')\n"
    "    print('ready', flush=True)\n"
    "    input()\n"
    "thread = threading.Thread(target=work)\n"
    "thread.start()\n"
)


@pytest.mark.skipif(sys.platform != "linux", reason="needs unshare")
def test_a_thread_with_a_working_directory_of_its_own_protects_the_entry(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with process(IN_A_THREAD, cwd=root.parent):
        assert hold(root, path) == "process"
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs cc")
def test_a_process_whose_main_thread_has_ended_protects_the_entry(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "debug/x")
    (tmp_path / "it.c").write_text(
        "#include <pthread.h>\n#include <unistd.h>\n"
        "static void *work(void *it) { sleep(60); return it; }\n"
        "int main(void) { pthread_t it; pthread_create(&it, 0, work, 0); pthread_exit(0); }\n"
    )
    program = str(tmp_path / "it")
    subprocess.run(["cc", "-pthread", "-o", program, f"{program}.c"], check=True)
    with worker([program], path) as it:
        for _ in range(500):
            if Path(f"/proc/{it.pid}/status").read_text().partition("State:\t")[2][0] == "Z":
                break
            time.sleep(0.01)
        assert hold(root, path) == "process"
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


def test_a_script_that_options_come_before_protects_its_entry(root: Path) -> None:
    path = make_entry(root, "debug/x")
    (path / "it.py").write_text(WAITS)
    options = ["-u", "-X", "dev", "-W", "error"]
    with worker([sys.executable, *options, str(path / "it.py")], root.parent):
        assert hold(root, path) == "process"
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 1


@pytest.mark.parametrize("made", ["it.py", "it/__main__.py", "it/part.py"])
def test_a_program_that_was_started_as_a_module_keeps_the_entry_that_it_left(
    root: Path, made: str
) -> None:
    path, other = make_entry(root, "debug/x"), make_entry(root, "debug/other")
    (path / made).parent.mkdir(exist_ok=True)
    (path / made).write_text(f"import os; os.chdir('/')\n{WAITS}")
    name = "it.part" if "part" in made else "it"
    with worker(["env", f"PWD={path}", sys.executable, "-um", name], path):
        assert (hold(root, path), hold(root, other)) == ("process", "")
    assert hold(root, path) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount")
@pytest.mark.parametrize("where", [".", "deep", "deep/er", "../../.."])
def test_an_overlay_that_was_mounted_by_relative_paths_is_made_of_what_is_in_use(
    root: Path, tmp_path: Path, where: str
) -> None:
    path, other = make_entry(root, "debug/x"), make_entry(root, "debug/other")
    (path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "merged").mkdir()
    top = (path / where).resolve()
    layers = {name: path / "deep" / name for name in ("l", "u", "w")}
    for place in layers.values():
        place.mkdir()
    lower, upper, work = (os.path.relpath(place, top) for place in layers.values())
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "merged")]
    if run(mount, cwd=top).returncode:
        pytest.skip("no overlay here")
    try:
        assert (hold(root, path), hold(root, other)) == ("process", "")
    finally:
        run(["umount", str(tmp_path / "merged")], cwd=tmp_path)
    until_free(root, path)


@pytest.mark.parametrize("how", ["bind", "overlay", "flock"])
def test_what_needs_all_of_a_category_keeps_what_is_in_it(
    root: Path, tmp_path: Path, how: str
) -> None:
    path, other = make_entry(root, "cache/x"), make_entry(root, "work/x")
    for name in ("below", "place"):
        (place := tmp_path / name).mkdir()
    lower = f"lowerdir={root / 'cache'}:{tmp_path / 'below'}"
    mounts = {"bind": ["--bind", str(root / "cache")], "overlay": ["-toverlay", "-o", lower, "o"]}
    with ExitStack() as stack:
        if how == "flock":
            lock = os.open(root / "cache", os.O_RDONLY)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
        elif run(["mount", *mounts[how], str(place)], cwd=tmp_path).returncode:
            pytest.skip("cannot mount")
        else:
            stack.callback(run, ["umount", str(place)], cwd=tmp_path)
        assert len(swept(root).done) == 1
        assert (path.exists(), other.exists()) == (True, False)
    until_free(root, path)
    assert len(swept(root).done) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount")
@pytest.mark.parametrize("layer", ["upperdir", "lowerdir"])
def test_what_an_overlay_is_made_of_is_in_use(root: Path, tmp_path: Path, layer: str) -> None:
    path = make_entry(root, "debug/x")
    above = {"lowerdir": tmp_path, "upperdir": tmp_path, "workdir": tmp_path}
    above |= {layer: path} | ({"workdir": path} if layer == "upperdir" else {})
    places = {name: place / name for name, place in above.items()}
    if layer == "lowerdir":
        places[layer] = path / "lower:1"  # of a list, in which a colon parts
    merged = tmp_path / "merged"
    for place in (*places.values(), merged):
        place.mkdir()
    options = ",".join(f"{name}={place}" for name, place in places.items()).replace(":", "\\:")
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
    if run(mount, cwd=tmp_path).returncode:
        pytest.skip("no overlay here")
    try:
        (merged / "work").write_text("mine")
        assert hold(root, path) == "process"
        assert swept(root).outcomes == ()
    finally:
        run(["umount", str(merged)], cwd=tmp_path)
    until_free(root, path)
    assert len(swept(root).done) == 1


@pytest.mark.parametrize(("before", "is_link"), [(0, False), (3000, False), (3000, True)])
def test_what_a_command_line_names_in_another_way_is_in_use(
    root: Path, before: int, is_link: bool
) -> None:
    """By a link without a slash, by a name that has signs in it, attached, yet to be made; after
    the process has gone elsewhere, or after thousands of other words; and nothing beside it.
    """
    if is_link:
        (root.parent / "disk").mkdir()
        root.symlink_to("disk")
    words = {
        "absolute": f"{root.parent}/absolute",
        "plain": ".tmp/work/plain/file0.txt",
        "link": "results",
        "option": "--out=model",
        "lr=0.1,bs=3": "hydra.run.dir=.tmp/work/lr=0.1,bs=3",
        "12:30": "--at=.tmp/work/12:30:rw",
        "e@2": "-v.tmp/work/e@2:/data",
        "attached": "-o.tmp/work/attached",
        "include": f"-isystem{root}/work/include",
        "new": "--log=.tmp/work/new/deep/new.log",
        "up": "results/../up",
        "db": "sqlite:///.tmp/work/db/x.db?mode=ro",
        "db2": f"sqlite:////{root}/work/db2/x.db",
        "double": f"/{root}/work/double",
        "json 1": '{"id": 7, "dir": ".tmp/work/json 1"}',
        "jsön": '--job={"in": ".tmp/work/js\\u00f6n/x", "out": "gone"}',
        "code 1": "for x in open('.tmp/work/code 1/x'): pass",
        "query": f"sqlite:///{root}/work/query?timeout=20",
        "mode": "file:.tmp/work/mode?mode=ro",
        "part": f"git+file://{root}/work/part#egg=x",
        "jar": "jar:file:.tmp/work/jar!/x",
        "odd?#1!": ".tmp/work/odd?#1!/x",
        "text": f"sleep 60; cat '{root}/work/text/y'|sort",
        "to": "exec >.tmp/work/to/log 2>&1",
        "later": "cd nowhere && (cat .tmp/work/later/y)",
        "home": "cat $HOME/src/x/.tmp/work/home/y",
        "braces": "cp -r ${HOME}/no-src/x/.tmp/work/braces x; echo done",
        "asked": "cp -r $(pwd)/.tmp/work/asked x; echo done",
        "tilde": "--logdir=~/src/x/.tmp/work/tilde/y",
        "glued": "cc -isystem.tmp/work/glued -c x.c",
        "by link": "-isystemlinked/x",
        "a b": "file://localhost.tmp/work/a%20b/x",
        "a c": f"file://localhost{root}/work/a%20c/x",
        "nul": f"{root}/work/nul/%00",
        "q 1": 'cp ".tmp/work/q 1/x" nowhere',
        "q 2": f"cp x \"{root}/work/q 1/x\" '{root}/work/q 2/y'; echo don't",
        "q 3": 'cp ".tmp/work/q 1/x" .tmp/work/q\\ 3/y',
        "q 4": 'sh -c \'cp ".tmp/work/q 1/x" ".tmp/work/q 4/y"\'',
    }
    unnamed = ("other", "hidden", "elsewhere")
    for name in (*words, *unnamed):
        make_entry(root, f"work/{name}")
    make_entry(root, "work/script").joinpath("job.py").write_text(WAITS)
    project = root.parent
    links = {"results": "link", "model": "option", "job.py": "script/job.py"}
    for link, to in (*links.items(), ("absolute", "absolute")):
        (project / link).symlink_to(f".tmp/work/{to}")
    (project / "unused").symlink_to(".tmp/work/hidden")
    (project / "linked").symlink_to(".tmp/work/by link")
    make_entry(project, "p/.tmp/work/elsewhere")  # of another project
    code = f"import os; os.chdir('/'); {WAITS}"
    others = [f"../in/{number}" for number in range(before)]
    command = [sys.executable, "-c", code, *others, *words.values(), "--name=nothing", "-x"]
    command.append("cat p/.tmp/work/elsewhere/file0.txt; cd gone/work/other/../hidden")
    with (
        subprocess.Popen(
            command, cwd=project, env=environment(PWD=str(project)), stdout=subprocess.PIPE
        ) as it,
        worker([sys.executable, "job.py"], cwd=project),
    ):
        assert it.stdout is not None
        it.stdout.readline()
        held = {place.split("/")[1] for place in processes_inside(root) if "/" in place}
        it.kill()
    assert held == {*words, "script"}


def test_a_process_that_was_started_in_an_entry_and_left_it_does_not_keep_it(root: Path) -> None:
    """A server of tmux may live for weeks; but what it was told to use in there counts."""
    path, named = make_entry(root, "work/left"), make_entry(root, "work/named")
    for place, words in (path, ["60", "./nothing", "a/b"]), (named, ["60", "--in=file0.txt"]):
        command = [sys.executable, "-c", WAITS, *words]
        given = environment(PWD=str(place))
        with subprocess.Popen(command, cwd="/", env=given, stdout=subprocess.PIPE) as it:
            assert it.stdout is not None
            it.stdout.readline()
            assert hold(root, place) == ("" if place == path else "process")
            it.kill()


def test_what_the_variables_of_a_process_name_by_a_relative_path_is_in_use(root: Path) -> None:
    sleep = os.path.realpath(shutil.which("sleep") or "")
    named = (
        "path",
        "active",
        "program",
        "conda",
        "conda_path",
        "toolchain",
        "tmp",
        "python",
        "node",
        "libraries",
        "not",
    )
    entries = [make_entry(root, f"work/{name}") for name in named]
    for path in entries:
        (path / "bin").mkdir()
        (path / "bin" / "python").symlink_to(sleep)
        if path.name in ("toolchain", "tmp", "python", "node", "libraries"):
            continue  # what was unpacked there is no environment
        if path.name.startswith("conda"):
            (path / "conda-meta").mkdir()
            (path / "conda-meta" / "history").touch()
        else:
            (path / "pyvenv.cfg").touch()
    given = {"PATH": ".tmp/work/path/bin:.tmp/work/conda_path/bin::.tmp/work/toolchain/bin"}
    given |= {"TMPDIR": ".tmp/work/tmp", "NODE_PATH": ".tmp/work/node"}
    given["PYTHONPATH"] = f"lib::{root}/work/python/bin"
    given["LD_LIBRARY_PATH"] = ".tmp/work/libraries/bin"
    given |= {"VIRTUAL_ENV": ".tmp/work/active", "CONDA_PREFIX": ".tmp/work/conda"}
    given["_"] = ".tmp/work/program/bin/python"
    given = {"FIRST": "x" * 90_000, "SECOND": "x" * 90_000, **given}
    with subprocess.Popen(["python", "60"], executable=sleep, cwd=root.parent, env=given) as it:
        assert [hold(root, path) for path in entries] == ["process"] * 10 + [""]
        it.kill()


MAKES_TEMPORARY = """
import os, tempfile
print(os.path.relpath(tempfile.mkdtemp(), ".tmp"), flush=True)
input()
"""


@pytest.mark.parametrize("where", [".tmp", ".tmp/work"])
def test_what_a_process_makes_by_its_tmpdir_is_in_use_and_goes_with_it(
    root: Path, where: str
) -> None:
    make_entry(root, "work/old_1696348800")
    make_entry(root, "old_1696348800")
    make_entry(root, "debug/beside")
    given = environment(TMPDIR=str(root.parent / where))
    command = [sys.executable, "-c", MAKES_TEMPORARY]
    with subprocess.Popen(
        command,
        cwd=root.parent,
        env=given,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as it:
        assert it.stdout is not None
        made = it.stdout.readline().strip()
        (use,) = (one.use for one in scanned(root).values() if one.path == made)
        assert use is not None
        assert use.who.startswith(f"pid {it.pid} (python")
        assert "may have made it (TMPDIR), so the entry counts as in use until" in use.who
        gone = {outcome.step.entry.path for outcome in swept(root).done}
        assert gone == {"work/old_1696348800", "old_1696348800", "debug/beside"}
        assert os.listdir(root / made) == []
        assert swept(root, Policy(max_age=0.0, foreign_for=0.0)).done != ()  # left by it, long ago
        it.kill()


@pytest.mark.parametrize("where", [".tmp", ".tmp/work"])
def test_what_a_process_makes_where_it_works_is_in_use(root: Path, where: str) -> None:
    make_entry(root, "work/old_1696348800")
    code = "import os, time; os.mkdir('made'); os.mkdir(f'made_{time.time():.0f}')"
    with process(f"{code}; print(1, flush=True); input()", cwd=root.parent / where) as it:
        gone = {outcome.step.entry.path.rpartition("/")[2] for outcome in swept(root).done}
        assert "old_1696348800" in gone
        assert "made" not in gone
        assert len(gone) == 2  # a helper has made the one with a time in its name, or leased it
        (entry,) = scanned(root).values()
        assert entry.use is not None
        assert f"pid {it.pid} (python" in entry.use.who
    assert [outcome.status for outcome in swept(root).outcomes] == ["done"]


def test_a_shell_that_waits_makes_nothing_by_its_tmpdir(root: Path) -> None:
    given = environment(TMPDIR=str(root))
    with subprocess.Popen(["sh"], stdin=subprocess.PIPE, cwd="/", env=given) as shell:
        make_entry(root, "tmpabc")
        assert [outcome.step.entry.path for outcome in swept(root).done] == ["tmpabc"]
        shell.kill()


def test_a_file_that_is_open_to_read_and_append_is_in_use(root: Path) -> None:
    path = make_entry(root, "work/log")
    code = "import os; held = os.open('file0.txt', os.O_RDONLY | os.O_APPEND); os.chdir('/'); "
    with process(code + WAITS, cwd=path):
        assert hold(root, path) == "process"
        assert swept(root).outcomes == ()


LOOKS_ON = """
import sys
from common.temp.store.system.processes import processes_inside
while True:
    processes_inside(sys.argv[1])
    print(flush=True)
"""


def test_who_looks_where_somebody_works_far_down_does_not_work_there(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "work/deep")
    long_chain(path)
    looks_on = [sys.executable, "-c", LOOKS_ON, str(tmp_path / "elsewhere")]
    works = f"import os, time\nfor _ in range(20): os.chdir('n' * 250)\n{WAITS}"
    try:
        with (
            subprocess.Popen(looks_on, cwd="/", stdout=subprocess.PIPE) as other,
            process(works, cwd=path) as worker,
        ):
            assert other.stdout is not None
            try:
                for _ in range(5):
                    other.stdout.readline()  # it has looked, and looks again
                    found = processes_inside(root).items()
                    # A command of another test may name `.tmp/work`.
                    who = [use.who for place, use in found if place.startswith("work/deep")]
                    assert [one for one in who if f"pid {worker.pid} " in one] == who != []
            finally:
                other.kill()
    finally:
        run(["rm", "-rf", str(path)], cwd=root)


LOOKS = """
import sys
from common.temp.store.system.processes import processes_inside
print(processes_inside(sys.argv[1]) != {})
"""


def test_a_thread_that_ends_while_it_is_looked_at_ends_no_look(root: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    path = make_entry(root, "work/x")
    with worker(["sleep", "60"], cwd=path) as busy:
        # What the kernel says of an open directory in /proc whose thread is gone.
        gone = ["-P", f"/proc/{busy.pid}/fd", "-e", "inject=newfstatat,fstat:error=ENOENT"]
        trace = ["strace", "-f", "-qq", "-o", os.devnull, *gone, sys.executable, "-c", LOOKS]
        seen = subprocess.run([*trace, str(root)], capture_output=True, text=True, check=False)
    if seen.stderr.startswith("strace:"):
        pytest.skip("strace may not trace here")
    assert (seen.stdout, seen.stderr) == ("True\n", "")
