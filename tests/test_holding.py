"""Handing an entry over to another process: `hold` and `lease_fds`."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.contexts import get_debug_temp_dir
from common.temp.core.policy import Policy
from common.temp.errors import InvalidName, InvalidSettings, StorageError
from common.temp.holding import hold as hold_on
from common.temp.holding import lease_fds
from common.temp.jobs import StorageRoot
from common.temp.pins import pin, unpin
from common.temp.pipeline import start_run
from common.temp.store.root.allocation import allocate
from common.temp.store.root.current_owners import own
from tests.support import hold, make_entry, process, swept

EXPIRED = Policy(max_age=0)


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


WORKER = """
import multiprocessing, os, sys, time
from pathlib import Path
from common.temp import get_debug_temp_dir, hold
def work(path, queue):
    hold(path)
    queue.put(os.getpid()); time.sleep(60)
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    path = get_debug_temp_dir("x")
    context.Process(target=work, args=(path, queue)).start()
    print(path, flush=True); print(queue.get(), flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_that_holds_an_entry_keeps_it_when_its_parent_is_dead(
    project: Path, method: str
) -> None:
    (project / "worker.py").write_text(WORKER)
    code = f"import os, sys; os.execv(sys.executable, [sys.executable, 'worker.py', {method!r}])"
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        path, worker = Path(maker.first_line), int(maker.stdout.readline())
        maker.wait()
        try:
            assert hold(project / ".tmp", path) == "owner"
            assert swept(project / ".tmp").outcomes == ()
        finally:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: hold(project / ".tmp", path) == "")
        assert len(swept(project / ".tmp").done) == 1


@pytest.mark.parametrize("given", ["pass_fds=lease_fds(path)", "cwd='/'"])
def test_a_command_that_got_the_descriptors_keeps_the_entry_and_no_other(
    project: Path, given: str
) -> None:
    code = (
        "import os, subprocess\n"
        "from common.temp import get_debug_temp_dir, lease_fds\n"
        "path, other = get_debug_temp_dir('x'), get_debug_temp_dir('other')\n"
        f"child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL, {given})\n"
        "print(path, flush=True); print(child.pid, flush=True); print(other, flush=True)"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        path, child = Path(maker.first_line), int(maker.stdout.readline())
        other = Path(maker.stdout.readline().strip())
        maker.wait()
        try:
            is_handed = given.startswith("pass_fds")
            assert hold(project / ".tmp", path) == ("owner" if is_handed else "")
            assert hold(project / ".tmp", other) == ""
            swept(project / ".tmp")
            assert (path.exists(), other.exists()) == (is_handed, False)
        finally:
            os.kill(child, signal.SIGKILL)
        wait_until(lambda: not path.exists() or hold(project / ".tmp", path) == "")


def test_a_program_that_is_executed_has_the_lock_if_it_is_inheritable(project: Path) -> None:
    code = (
        "import os\n"
        "from common.temp import get_debug_temp_dir, lease_fds\n"
        "path = get_debug_temp_dir('x'); fds = lease_fds(path, inheritable=True)\n"
        "print(path, flush=True); os.execv('/bin/sh', ['sh', '-c', 'sleep 60 & exec sleep 0.01'])"
    )
    with process(code, cwd=project) as maker:
        path = Path(maker.first_line)
        assert maker.wait() == 0
        assert hold(project / ".tmp", path) == "owner"  # the shell's child
        with os.scandir("/proc") as listing:
            sleepers = [
                int(item.name)
                for item in listing
                if item.name.isdigit() and _has_open(item.name, str(project))
            ]
        for pid in sleepers:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: hold(project / ".tmp", path) == "")


ENDS = {
    "release_job": "storage.release_job('a')",
    "temp_working_dir": "block.__exit__(None, None, None)",
    "OutputRoot.cleanup": "outputs.cleanup()",
}
MAKES = {
    "release_job": "storage = StorageRoot(Path('jobs')); path = storage.allocate_job('a').root",
    "temp_working_dir": "block = temp_working_dir(); path = block.__enter__()",
    "OutputRoot.cleanup": "outputs = OutputRoot(); outputs.run_dir(); path = outputs.temp_dir",
}
HOLDS = {
    "hold": "child = subprocess.Popen([sys.executable, '-c', 'import sys; from common.temp import "
    "hold; hold(sys.argv[1]); print(1, flush=True); input()', path], stdin=-1, stdout=-1)\n"
    "child.stdout.readline()",
    "lease_fds": "child = subprocess.Popen(['cat'], stdin=-1, pass_fds=lease_fds(path))",
    "nobody": "child = subprocess.Popen(['cat'], stdin=-1)",
    "a fork": "inner, outer = os.pipe()\nif not os.fork(): os.close(outer); os.read(inner, 1); "
    "os._exit(0)",
}


@pytest.mark.parametrize("by", HOLDS)
@pytest.mark.parametrize("way", ENDS)
def test_what_another_process_holds_outlives_who_made_it_and_what_nobody_holds_goes(
    project: Path, way: str, by: str
) -> None:
    code = (
        "import os, subprocess, sys; from pathlib import Path\n"
        "from common.temp import OutputRoot, StorageRoot, lease_fds, temp_working_dir\n"
        f"{MAKES[way]}\n{HOLDS[by]}\n{ENDS[way]}\nprint(path.exists(), flush=True)\n"
    )
    with process(code, cwd=project) as maker:
        assert maker.first_line == str(by in ("hold", "lease_fds"))


def linked(project: Path) -> tuple[Path, Path, Path]:
    """An entry, a link beside it that leads there, and an entry that nobody needs."""
    made = [make_entry(project / ".tmp" / "debug", f"{name}_1696348800") for name in ("run", "old")]
    link = project / ".tmp" / "debug" / "latest"
    link.symlink_to("current")
    (link.parent / "current").symlink_to(made[0].name)  # a link on the way is needed as well
    return made[0], link, made[1]


@pytest.mark.parametrize("below", ["", "file0.txt"])
@pytest.mark.parametrize("how", ["hold", "lease_fds", "pin", "OutputRoot().run_dir"])
def test_who_keeps_a_link_keeps_what_it_leads_to(project: Path, how: str, below: str) -> None:
    run, link, old = linked(project)
    if how == "OutputRoot().run_dir" and below:
        below = "results"
    why = ", 'why'" if how == "pin" else ""
    code = (
        "import sys; from common.temp import OutputRoot, hold, lease_fds, pin\n"
        f"{how}({str(link / below)!r}{why})\nprint(1, flush=True); sys.stdin.readline()"
    )
    with process(code, cwd=project):
        swept(project / ".tmp", Policy(everything=True))
        assert (link.samefile(run), old.exists()) == (True, False)
    if how == "pin":
        assert unpin(link / below)
    swept(project / ".tmp", Policy(everything=True))
    assert not run.exists()


KEEPERS = {
    "hold": "from common.temp import hold; hold('.tmp/stuff')",
    "flock": "import fcntl; f = os.open('.tmp/stuff', 0); fcntl.flock(f, fcntl.LOCK_SH)",
    "cwd": "os.chdir('.tmp/stuff')",
    "cwd elsewhere": "os.chdir('.tmp/debug')",
}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nobody tells who works where")
@pytest.mark.parametrize("how", KEEPERS)
def test_what_was_an_entry_keeps_what_is_in_it_when_it_looks_like_a_category(
    project: Path, how: str
) -> None:
    (project / ".tmp" / "stuff").mkdir(parents=True)
    known = make_entry(project / ".tmp" / "debug", "run_1696348800")
    with process(f"import os; {KEEPERS[how]}; print(1, flush=True); input()", cwd=project):
        inner = make_entry(project / ".tmp" / "stuff", "run_1696348800")
        swept(project / ".tmp", Policy(everything=True))
        assert (inner.exists(), known.exists()) == (how != "cwd elsewhere", False)
    swept(project / ".tmp", Policy(everything=True))
    assert not inner.exists()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nobody tells who works where")
def test_what_was_an_entry_is_in_use_as_one_when_somebody_makes_an_entry_in_it(
    project: Path,
) -> None:
    known = make_entry(project / ".tmp" / "build", "CMakeFiles")
    with process("print(1, flush=True); input()", cwd=project / ".tmp" / "build"):
        allocate(str(project / ".tmp"), "build", "x")
        swept(project / ".tmp", Policy(everything=True))
        assert known.exists()
    swept(project / ".tmp", Policy(everything=True))
    assert not known.exists()


def test_an_entry_with_a_newline_in_its_path_is_refused_and_nothing_else_is_given_up(
    project: Path,
) -> None:
    mine = get_debug_temp_dir("mine")
    odd = project / ".tmp" / "a\n-debug" / mine.name
    odd.mkdir(parents=True)
    for hold_it in (hold_on, lease_fds):
        with pytest.raises(InvalidName, match="without a newline"):
            hold_it(odd)
    assert hold(project / ".tmp", mine) == "owner"


def _has_open(pid: str, directory: str) -> bool:
    try:
        return any(
            os.readlink(f"/proc/{pid}/fd/{name}").startswith(f"{directory}/.tmp/")
            for name in os.listdir(f"/proc/{pid}/fd")
        )
    except OSError:
        return False


def test_what_is_given_up_is_no_longer_handed_on_by_this_process(project: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    jobs = StorageRoot(Path("jobs"))
    for number in range(5):
        job = jobs.allocate_job(f"j{number}")
        assert lease_fds(job.output_dir) == lease_fds(job.root)  # of one entry
        jobs.release_job(f"j{number}")
        assert not job.root.exists()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_descriptors_that_somebody_closed_are_made_again(project: Path) -> None:
    path = get_debug_temp_dir("x")
    (first,) = lease_fds(path)
    os.close(first)
    (second,) = lease_fds(path)
    assert os.fstat(second).st_nlink == 1


def test_a_block_holds_an_entry_of_others_until_it_ends(root: Path, project: Path) -> None:
    path = make_entry(root, "debug/x")
    with hold_on(path / "f0") as held:
        assert held == path
        with hold_on(path):
            pass
        assert swept(root, EXPIRED).outcomes == ()
    assert len(swept(root, EXPIRED).done) == 1


def test_a_hold_lasts_though_nobody_keeps_it_and_is_released_once(root: Path) -> None:
    path = make_entry(root, "debug/x")
    hold_on(path)
    second = hold_on(path)
    second.release()
    second.release()
    assert hold(root, path) == "owner"


def test_a_child_that_releases_a_hold_of_its_parent_keeps_its_own(root: Path) -> None:
    made = make_entry(root, "debug/a")
    inherited = hold_on(made)
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        hold_on(made)
        inherited.release()
        os.write(told, b"x")
        time.sleep(60)
        os._exit(0)
    try:
        assert os.read(ready, 1) == b"x"
        inherited.release()
        assert swept(root, EXPIRED).done == ()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)
    assert len(swept(root, EXPIRED).done) == 1


def test_jobs_and_runs_can_be_held_as_well(project: Path) -> None:
    job = StorageRoot(Path("jobs")).allocate_job("a")
    run = start_run("runs")
    assert hold_on(job.output_dir).path == job.root
    assert hold_on(run).path == run


def test_what_is_in_a_root_in_an_entry_but_in_no_entry_of_that_is_held_and_pinned_as_well(
    project: Path,
) -> None:
    clone = make_entry(project / ".tmp", "work/clone_1600000000")
    start_run(clone)
    path = clone / "file0.txt"
    assert hold_on(path).path == clone
    assert len(lease_fds(path)) == 1
    assert pin(path, "mine") == clone
    assert unpin(path)
    assert swept(project / ".tmp", EXPIRED).done == ()


def test_an_entry_is_held_by_another_name_of_its_project(project: Path, tmp_path: Path) -> None:
    path = get_debug_temp_dir("x")
    (tmp_path / "link").symlink_to(path)
    assert hold_on(tmp_path / "link").path == path


def test_what_is_no_entry_or_is_gone_is_refused_and_leaves_nothing(project: Path) -> None:
    for call in (hold_on, lease_fds):
        with pytest.raises(InvalidSettings, match="is in no entry"):
            call(project / "src")
    path = get_debug_temp_dir("x")
    other = make_entry(project / ".tmp", "debug/y")
    owner = own(str(project / ".tmp"))
    assert owner is not None
    before = dict(owner.live)
    shutil.rmtree(other)
    with pytest.raises((InvalidSettings, StorageError)):
        hold_on(other)
    assert owner.live == before
    assert path.is_dir()
