"""Owners whose lock is gone or out of reach: which are still alive, and which cannot be checked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.contexts import get_debug_temp_dir
from common.temp.core.policy import Policy
from common.temp.holding import hold as hold_on
from common.temp.jobs import StorageRoot
from common.temp.manager import TempManager
from common.temp.store.root import owner as lease
from common.temp.store.root import owner_file, owning
from common.temp.store.root.current_owners import own
from tests.store.sshfs import over_sshfs
from tests.support import (
    HOUR,
    LONG_AGO,
    environment,
    hold,
    make_entry,
    make_project,
    only,
    outcomes,
    process,
    run,
    swept,
)

needs_unshare = pytest.mark.skipif(
    not shutil.which("unshare"), reason="needs unshare of util-linux"
)
MAKE = "from common.temp import get_debug_temp_dir as make; print(make('x'), flush=True);"


def owner_files(root: Path) -> list[Path]:
    return sorted((root / ".tempkeep" / "owners").iterdir())


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# -- alive though the lock is gone ---------------------------------------------------------------


def test_what_a_process_has_stays_though_its_owner_file_has_lost_its_name(project: Path) -> None:
    root = project / ".tmp"
    held, released = make_entry(root, "work/held"), make_entry(root, "work/released")
    code = (
        f"from common.temp import get_debug_temp_dir, hold; hold({str(held)!r}); "
        f"hold({str(released)!r}).release(); print(get_debug_temp_dir('x'), flush=True); "
        "input()"
    )
    with process(code, cwd=project) as maker:
        made = Path(maker.first_line)
        for file in owner_files(root):
            file.unlink()
        users = [hold(root, path) for path in (made, held, released)]
        assert users == ["process", "process", ""]
    assert [hold(root, path) for path in (made, held)] == ["", ""]


def test_a_last_sign_of_life_that_has_not_come_yet_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was ahead then: whatever is made until that time would count as made before."""
    now = time.time()
    file = make_entry(root, "work/x") / "file0.txt"
    name = file.with_name(f"{int(now)}-1-a")
    file.rename(name)
    assert now - 1 <= owner_file.last_alive(str(name), name.stat().st_mtime) <= time.time()
    monkeypatch.setattr(time, "time", lambda: now - 7200)
    assert owner_file.last_alive(str(name), name.stat().st_mtime) == 0.0


def test_a_process_that_executes_another_program_keeps_its_entries_until_it_ends(
    project: Path,
) -> None:
    with process(f"import os; {MAKE} os.execv('/bin/sleep', ['sleep', '60'])", cwd=project) as it:
        path = Path(it.first_line)
        wait_until(lambda: Path(f"/proc/{it.pid}/comm").read_text() == "sleep\n")
        assert hold(project / ".tmp", path) == "owner"
        assert swept(project / ".tmp").outcomes == ()
        it.kill()
        wait_until(lambda: hold(project / ".tmp", path) == "")  # a zombie by now
        assert outcomes(swept(project / ".tmp")) == {f"debug/{path.name}": ("done", "")}


@pytest.mark.parametrize(
    "order",
    ["setsid fork close", "close setsid fork", "setsid fork close fork"],
)
def test_a_daemon_that_closes_everything_keeps_the_entries_of_who_forked_it(
    project: Path, order: str
) -> None:
    steps = {
        "setsid": "os.setsid(); os.chdir('/')",
        "fork": "os.fork() and os._exit(0)",
        "close": "os.closerange(3, 1024)",
    }
    code = (
        f"import os, sys, time; {MAKE}\n"
        "if os.fork(): sys.exit()\n"
        + "\n".join(steps[step] for step in order.split())
        + "\nos.closerange(3, 1024)\nprint(os.getpid(), flush=True); time.sleep(60)"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        path, daemon = Path(maker.first_line), int(maker.stdout.readline())
        maker.wait()
        try:
            assert hold(project / ".tmp", path) == "owner"
            assert str(daemon) in str(only(project / ".tmp").use)
            assert swept(project / ".tmp").outcomes == ()
        finally:
            os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: hold(project / ".tmp", path) == "")
        assert len(swept(project / ".tmp").done) == 1
        assert owner_files(project / ".tmp") == []


def test_a_worker_without_entries_of_its_parent_holds_nothing(project: Path) -> None:
    code = (
        "import os, time\n"
        "from common.temp import temp_working_dir\n"
        "with temp_working_dir() as path: pass\n"
        "child = os.fork()\n"
        "if child == 0: os.closerange(0, 1024); time.sleep(60)\n"
        f"{MAKE} print(child, flush=True); os.kill(os.getpid(), 9)"
    )
    with process(code, cwd=project) as maker:
        assert maker.stdout is not None
        path, child = Path(maker.first_line), int(maker.stdout.readline())
        maker.wait()
        assert hold(project / ".tmp", path) == ""
        os.kill(child, signal.SIGKILL)


def test_forks_without_end_leave_small_owner_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owning, "_COMPACT_AFTER", 30)
    path = get_debug_temp_dir("x")

    def fork_many(count: int) -> None:
        for _ in range(count):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)

    fork_many(100)
    child = os.fork()
    if child == 0:
        fork_many(100)  # whose lines go into a file of its own, which it counts
        os._exit(0)
    os.waitpid(child, 0)
    assert all(file.stat().st_size < 2000 for file in owner_files(project / ".tmp"))
    assert len(owner_files(project / ".tmp")) <= 3
    assert hold(project / ".tmp", path) == "owner"


def header_of(file: Path, **changes: object) -> None:
    """Change what the first line of an owner file says."""
    first, _, rest = file.read_bytes().partition(b"\n")
    said = {**json.loads(first), **changes}
    file.write_bytes(json.dumps(said).encode() + b"\n" + rest)


def test_a_recycled_process_id_holds_nothing(project: Path) -> None:
    with process(MAKE, cwd=project) as maker:
        path = Path(maker.first_line)
        maker.wait()
    (file,) = owner_files(project / ".tmp")
    own = {"pid": os.getpid()}
    header_of(file, **own)
    assert hold(project / ".tmp", path) == ""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    header_of(file, **own, start=int(fields[19]))
    text = file.read_bytes()
    assert text.endswith(b"\n.\n")  # it left the file when it ended
    assert hold(project / ".tmp", path) == ""
    file.write_bytes(text.removesuffix(b".\n"))
    assert hold(project / ".tmp", path) == "owner"
    header_of(file, namespace="pid:[1] time:[1]")  # where that number is another process
    assert hold(project / ".tmp", path) == ""


def forking(root: Path) -> tuple[Path, int]:
    """A new entry of this process, and a child that it forked then, which closes everything."""
    path = get_debug_temp_dir("shared")
    child = os.fork()
    if child == 0:
        os.closerange(3, 1024)
        os.chdir("/")
        signal.pause()
        os._exit(1)
    return path, child


def ended(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_own_entries_in_which_a_forked_child_goes_on_stay(project: Path) -> None:
    path, child = forking(project)
    try:
        assert TempManager.clean_persistent_temps() == 0
        use = only(project / ".tmp").use
        assert use is not None
        assert not use.mine
        assert use.who.startswith(f"pid {child}, which was forked from pid {os.getpid()} (")
        assert path.is_dir()
    finally:
        ended(child)
    assert TempManager.clean_persistent_temps() == 1


def test_jobs_in_which_a_forked_child_goes_on_stay(project: Path) -> None:
    jobs = StorageRoot(project / "jobs")
    job = jobs.allocate_job("a").root
    _, child = forking(project)
    try:
        assert jobs.cleanup_all() == 0
        assert job.is_dir()
    finally:
        ended(child)
    assert jobs.cleanup_all() == 1


def test_a_root_in_an_own_entry_in_which_a_forked_child_goes_on_keeps_it(project: Path) -> None:
    outer = get_debug_temp_dir("outer")
    StorageRoot(outer / "jobs").allocate_job("a")
    hold_released(project / ".tmp", outer)
    _, child = forking(project)
    try:
        assert TempManager.clean_persistent_temps() == 0
        assert outer.is_dir()
    finally:
        ended(child)


def hold_released(root: Path, path: Path) -> None:
    """Give up this process's own lease on an entry."""
    lease.release(str(root), path.relative_to(root).as_posix())


def test_a_child_that_was_forked_before_there_was_an_entry_keeps_none(project: Path) -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(1)
    try:
        get_debug_temp_dir("x")
        assert TempManager.clean_persistent_temps() == 1
    finally:
        ended(child)


def test_a_child_that_has_yet_to_tell_of_itself_keeps_what_its_parent_had(project: Path) -> None:
    get_debug_temp_dir("x")
    owner = own(str(project / ".tmp"))
    assert owner is not None
    owner.note_fork()  # as just before a fork
    use = only(project / ".tmp").use
    assert use is not None
    assert use.who.startswith("a process that was forked from pid")
    assert TempManager.clean_persistent_temps() == 0


# -- who cannot be checked -----------------------------------------------------------------------

ELSEWHERE = "cannot be checked from here (it ran on another system, or before a restart)"


@pytest.fixture
def dead(project: Path) -> tuple[Path, Path]:
    """An entry whose process is dead, and the owner file of that."""
    with process(LONG_AGO + MAKE, cwd=project) as maker:
        path = Path(maker.first_line)
        maker.wait()
    return path, owner_files(project / ".tmp")[0]


def test_an_owner_of_another_boot_counts_as_running_until_its_entry_is_old(
    root: Path, dead: tuple[Path, Path]
) -> None:
    path, file = dead
    header_of(file, boot="another", machine="00000000")
    assert hold(root, path) == "unknown"
    use = only(root).use
    assert use is not None
    assert ELSEWHERE in use.who
    assert use.who.endswith("counts as in use until it has been unchanged for 24 h")
    assert swept(root).outcomes == ()
    assert file.exists()  # nor is it forgotten
    os.utime(path, (0, time.time() - 25 * HOUR))
    assert hold(root, path) == ""
    assert len(swept(root).done) == 1


def test_after_a_restart_of_the_same_machine_its_owners_are_dead(
    root: Path, dead: tuple[Path, Path]
) -> None:
    path, file = dead
    said = json.loads(file.read_bytes().partition(b"\n")[0])
    if "machine" not in said:
        pytest.skip("this machine has no id")
    header_of(file, boot="before", machine="0123abcd")
    assert hold(root, path) == "unknown"
    header_of(file, machine=said["machine"])
    assert hold(root, path) == ""
    header_of(file, view=f"{said['view'].split()[0]} nfs4")  # which others may work on
    assert hold(root, path) == "unknown"


def test_what_this_process_holds_as_well_is_not_its_own_alone(
    root: Path, dead: tuple[Path, Path]
) -> None:
    path, file = dead
    header_of(file, boot="another", machine="00000000")
    with hold_on(path):
        use = only(root).use
        assert use is not None
        assert not use.mine
        assert swept(root).outcomes == ()


def test_an_owner_file_of_an_older_version_is_judged_by_its_lock(
    root: Path, dead: tuple[Path, Path]
) -> None:
    path, file = dead
    file.write_bytes(
        b'{"pid": 1, "command": "c", "started": 1, "host": "h"}\n'
        + f"+debug/{path.name}\n".encode()
    )
    assert hold(root, path) == ""


@pytest.mark.parametrize("hours", ["1", "0"])
def test_how_long_is_a_setting(
    project: Path, dead: tuple[Path, Path], hours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, file = dead
    header_of(file, boot="another", machine="00000000")
    os.utime(path, (0, time.time() - 2 * HOUR))
    assert hold(project / ".tmp", path) == "unknown"
    monkeypatch.setenv("TEMPKEEP_FOREIGN_HOURS", hours)
    assert hold(project / ".tmp", path) == ""
    monkeypatch.delenv("TEMPKEEP_FOREIGN_HOURS")
    (project / "pyproject.toml").write_text(f"[tool.tempkeep]\nforeign_hours = {hours}\n")
    assert hold(project / ".tmp", path) == ""
    (project / "pyproject.toml").write_text("")
    (project / "cleanup_config.json").write_text(f'{{"foreign_hours": {hours}}}')
    assert hold(project / ".tmp", path) == ""
    assert len(swept(project / ".tmp", Policy(everything=True, foreign_for=3 * HOUR)).done) == 0
    assert len(swept(project / ".tmp", Policy(everything=True, foreign_for=HOUR)).done) == 1


def test_what_changes_after_it_was_planned_is_looked_at_again(
    root: Path, dead: tuple[Path, Path]
) -> None:
    from common.temp.store.sweep.prepare import prepare
    from common.temp.store.sweep.sweep import execute

    path, file = dead
    header_of(file, boot="another", machine="00000000")
    os.utime(path, (0, time.time() - 25 * HOUR))
    plan = prepare(root, Policy(everything=True), time.time())
    assert len(plan.steps) == 1
    (path / "result").write_text("of the other system")
    (done,) = execute(plan).outcomes
    assert done.status == "skipped"
    assert ELSEWHERE in done.detail
    assert path.is_dir()


@needs_unshare
@pytest.mark.parametrize("forks", [False, True])
def test_an_owner_in_another_time_namespace_that_executes_another_program_cannot_be_checked(
    project: Path, forks: bool
) -> None:
    """Nor can a child that it forks, which closes all files."""
    child = "if os.fork(): os._exit(0)\nos.closerange(3, 1024)\n"
    code = (
        f"import os\n{MAKE}\nos.chdir('/')\nprint(os.getpid(), flush=True)\n"
        f"{child if forks else ''}"
        "os.execv('/bin/sleep', ['sleep', '60'])"
    )
    command = ["unshare", "-T", "--fork", "--boottime", "99999", sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=project, env=environment(), stdout=subprocess.PIPE, text=True, process_group=0
    ) as it:
        try:
            assert it.stdout is not None
            said = it.stdout.readline()
            if not said:
                pytest.skip("cannot make a time namespace here")
            path = Path(said.strip())
            it.stdout.readline()
            wait_until(lambda: hold(project / ".tmp", path) == "unknown")
            assert "it runs in another time namespace" in str(only(project / ".tmp").use)
            assert swept(project / ".tmp").outcomes == ()
        finally:
            os.killpg(it.pid, signal.SIGKILL)
    wait_until(lambda: hold(project / ".tmp", path) == "")
    assert len(swept(project / ".tmp").done) == 1


@needs_unshare
@pytest.mark.parametrize("proc", [["--mount-proc"], []], ids=["own /proc", "/proc of outside"])
def test_an_owner_in_a_container_that_executes_another_program_is_seen_from_outside(
    project: Path, proc: list[str]
) -> None:
    goes_on = "os.execv('/bin/sh', ['sh', '-c', 'echo; exec sleep 60'])"
    code = f"import os\n{MAKE}\nos.chdir('/')\n{goes_on}"
    command = ["unshare", "-pf", "--kill-child", *proc, sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=project, env=environment(), stdout=subprocess.PIPE, text=True
    ) as it:
        assert it.stdout is not None
        said = it.stdout.readline()
        if not said:
            pytest.skip("cannot make a namespace here")
        it.stdout.readline()  # from another program
        assert hold(project / ".tmp", Path(said.strip())) == "owner"
        assert swept(project / ".tmp").outcomes == ()
        it.kill()
    wait_until(lambda: hold(project / ".tmp", Path(said.strip())) == "")


@needs_unshare
def test_two_containers_that_bind_mount_one_directory_see_the_same_filesystem(
    project: Path, tmp_path: Path
) -> None:
    point = tmp_path / "inside"
    point.mkdir()
    shell = 'mount --bind "$0" "$1" && cd "$1" && exec "$2" -c "$3"'
    words = ["unshare", "-mpf", "--kill-child", "--mount-proc", "sh", "-c", shell]
    done = run([*words, str(project), str(point), sys.executable, MAKE], cwd=project)
    if done.returncode:
        pytest.skip(f"cannot make a namespace here: {done.stderr.strip()}")
    entry = Path(done.stdout.strip())
    assert hold(project / ".tmp", project / entry.relative_to(point)) == ""  # dead for certain


def test_over_sshfs_an_owner_on_the_other_side_is_not_taken_for_dead(tmp_path: Path) -> None:
    here = tmp_path / "here"
    for name in ("there", "local", "same"):
        make_project(here / name)
    code = f"{MAKE} input()"
    with over_sshfs(here, tmp_path) as there:
        for name, maker_in, sweeper_in in (("there", there, here), ("local", here, there)):
            with process(code, cwd=maker_in / name) as maker:
                entry = Path(maker.first_line).relative_to(maker_in)
                (file,) = owner_files(here / name / ".tmp")
                # As from another machine, of whose processes nothing is known here.
                header_of_open(file, boot="another")
                assert hold(sweeper_in / name / ".tmp", sweeper_in / entry) == "unknown"
                assert swept(sweeper_in / name / ".tmp").outcomes == ()
                assert hold(maker_in / name / ".tmp", maker_in / entry) == "owner"
        with process(code, cwd=there / "same") as maker:
            entry = Path(maker.first_line).relative_to(there)
            assert hold(here / "same" / ".tmp", here / entry) == "owner"
        # Its lock was never to be seen from here; its process, one of this machine, is gone.
        use = only(here / "same" / ".tmp").use
        assert use is not None
        assert "it saw the filesystem by another mount" in use.who
        assert hold(there / "same" / ".tmp", there / entry) == ""


def header_of_open(file: Path, **changes: object) -> None:
    """As `header_of`, in the very file, which its owner has open."""
    first, _, rest = file.read_bytes().partition(b"\n")
    with open(file, "r+b") as there:
        there.write(json.dumps({**json.loads(first), **changes}).encode() + b"\n" + rest)
        there.truncate()
