"""What tempkeep promises, each promise end to end: real commands, processes, signals and disks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from common.temp.core.policy import Policy
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import (
    HOUR,
    LONG_AGO,
    REPOSITORY,
    Process,
    age,
    as_plain_user,
    environment,
    inv,
    make_entry,
    make_project,
    mounted,
    process,
    run,
    status,
)

CLEANS = [
    ("temp-clean",),
    ("temp-clean", "--everything"),
    ("temp-clean", "--everything", "--force", "--yes"),
    ("temp-clean", "--max-age-hours", "0"),
    ("temp-clean", "--strategy", "aggressive"),
    ("temp-clean", "--strategy", "moderate"),
    ("temp-clean", "--strategy", "conservative"),
    ("temp-clean", "--strategy", "archive"),
    ("clean",),
    ("clean", "--temp-age-hours", "0"),
]

OWNER = f"""{LONG_AGO}
import os, sys
from common.temp import get_debug_temp_dir
path = get_debug_temp_dir("busy")
(path / "old.txt").write_text("x")
long_ago = time.time()
os.utime(path / "old.txt", (long_ago, long_ago))
os.utime(path, (long_ago, long_ago))
{{more}}
print(path, flush=True)
sys.stdin.readline()
"""


def owner(project: Path, more: str = "") -> AbstractContextManager[Process]:
    """A process that owns an entry which no policy would spare for its age."""
    return process(OWNER.format(more=more), cwd=project)


@pytest.mark.parametrize("command", CLEANS, ids=" ".join)
def test_a_running_process_s_entry_survives_and_goes_after_sigkill(
    project: Path, command: tuple[str, ...]
) -> None:
    with owner(project) as running:
        path = Path(running.first_line)
        assert inv(*command, cwd=project).returncode == 0
        assert (path / "old.txt").exists()
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert inv(*command, cwd=project).returncode == 0
        assert not path.exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV])
def test_whatever_ends_the_process_ends_the_lease(project: Path, ending: signal.Signals) -> None:
    with owner(project) as running:
        running.send_signal(ending)
        running.wait()
        inv("temp-clean", cwd=project)
        assert not Path(running.first_line).exists()


CHILDREN = {
    "forked": "child = os.fork()\nif child == 0: time.sleep(600)",
    "working inside": (
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'], cwd=path).pid"
    ),
    "writing inside": (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], stdout=open(path / 'log', 'w')).pid"
    ),
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_a_child_that_still_runs_keeps_its_dead_parent_s_entry(project: Path, kind: str) -> None:
    more = f"{CHILDREN[kind]}\nprint(child, end=' ')"
    with owner(project, more) as running:
        child, _, name = running.first_line.partition(" ")
        path = Path(name)
        running.send_signal(signal.SIGKILL)
        running.wait()
        try:
            age(path, 1000)
            inv("temp-clean", "--max-age-hours", "0", cwd=project)
            inv("temp-clean", "--everything", cwd=project)
            assert path.exists()
        finally:
            os.kill(int(child), signal.SIGKILL)
        _until(lambda: not Path(f"/proc/{child}/cwd").exists())
        inv("temp-clean", "--everything", cwd=project)
        assert not path.exists()


def test_a_process_in_another_pid_namespace_keeps_its_entry(project: Path) -> None:
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if not shutil.which("unshare") or run([*unshare, "true"], cwd=project).returncode:
        pytest.skip("this system does not let us make a PID namespace")
    started = subprocess.Popen(
        [*unshare, sys.executable, "-c", OWNER.format(more="")],
        cwd=project,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    path = Path(started.stdout.readline().strip())
    try:
        inv("temp-clean", "--max-age-hours", "0", cwd=project)
        inv("temp-clean", cwd=project)
        assert path.exists()
    finally:
        started.kill()
        started.communicate()
    _until(lambda: "in use" not in inv("temp-status", cwd=project).stdout)
    inv("temp-clean", cwd=project)
    assert not path.exists()


@pytest.mark.parametrize("flags", [(), ("--shared",)])
def test_flock_in_a_shell_protects_an_entry(project: Path, flags: tuple[str, ...]) -> None:
    if not shutil.which("flock"):
        pytest.skip("needs flock of util-linux")
    path = make_entry(project / ".tmp", "debug/x", age_hours=1000)
    shell = subprocess.Popen(
        ["flock", *flags, ".tmp/debug/x", "sh", "-c", "echo locked; sleep 600"],
        cwd=project,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert shell.stdout is not None
        shell.stdout.readline()
        done = inv("temp-clean", "--max-age-hours", "24", cwd=project)
        assert path.exists()
        assert "in use" in done.stdout
        assert status(project)["entries"][0]["in_use"]["how"] == "lock"
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()
    inv("temp-clean", "--max-age-hours", "24", cwd=project)
    assert not path.exists()


def test_one_fresh_file_five_levels_down_keeps_an_old_entry_and_is_named(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/demo_1696348800")
    deep = path / "1" / "2" / "3" / "4"
    deep.mkdir(parents=True)
    (deep / "fresh.txt").write_text("x")
    fresh = (deep / "fresh.txt").stat().st_mtime
    age(path, 1000)
    os.utime(deep / "fresh.txt", (fresh, fresh))
    done = inv("temp-clean", "--max-age-hours", "24", cwd=project)
    assert (deep / "fresh.txt").exists()
    assert "cleaned 0 entries" in done.stdout
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_hours = 24\n")
    assert "newest change in 1/2/3/4/fresh.txt" in inv("temp-status", cwd=project).stdout


def test_one_old_file_in_a_fresh_entry_is_never_deleted_on_its_own(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/demo_1696348800", files=2)
    long_ago = time.time() - 1000 * HOUR
    os.utime(path / "file0.txt", (long_ago, long_ago))
    inv("temp-clean", "--max-age-hours", "24", cwd=project)
    assert sorted(os.listdir(path)) == ["file0.txt", "file1.txt"]


def test_from_deep_inside_the_photos_client_scratch_lands_in_its_root(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "projects" / "photos", tmp_path / "projects" / "photos")
    photos = tmp_path / "projects" / "photos"
    code = "from common.temp import get_debug_temp_dir; print(get_debug_temp_dir())"
    done = run([sys.executable, "-c", code], cwd=photos / "src" / "deep" / "down")
    assert Path(done.stdout.strip()).parent == photos / ".tmp" / "debug", done.stderr
    assert "debug" in inv("temp-status", cwd=photos / "src" / "deep" / "down").stdout


@pytest.mark.parametrize("command", [("temp-clean",), ("temp-clean", "--max-age-hours", "0")])
def test_a_symlink_in_an_entry_or_in_its_place_goes_and_its_target_stays(
    project: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "work.txt").write_text("x")
    path = make_entry(project / ".tmp", "debug/demo_1696348800")
    (path / "inside").symlink_to(target)
    (path / "file").symlink_to(target / "work.txt")
    (project / ".tmp" / "debug" / "link_1696348800").symlink_to(target)
    (project / ".tmp" / "linked").symlink_to(target)
    assert inv(*command, cwd=project).returncode == 0
    assert sorted(os.listdir(project / ".tmp" / "debug")) == []
    assert not (project / ".tmp" / "linked").is_symlink()
    assert (target / "work.txt").read_text() == "x"


def test_a_root_that_is_a_symlink_to_a_directory_of_the_same_user_works(project: Path) -> None:
    elsewhere = project.parent / "big-disk"
    make_entry(elsewhere, "debug/demo_1696348800")
    (elsewhere / ".tempkeep").mkdir()
    (project / ".tmp").symlink_to(elsewhere)
    assert [item["path"] for item in status(project)["entries"]] == ["debug/demo_1696348800"]
    assert inv("temp-clean", cwd=project).returncode == 0
    assert os.listdir(elsewhere / "debug") == []
    assert (project / ".tmp").is_symlink()


def test_one_unreadable_and_one_vanishing_entry_stop_nothing(project: Path) -> None:
    root = project / ".tmp"
    make_entry(root, "debug/a_1696348800", age_hours=1000)
    vanishing = make_entry(root, "debug/b_1696348800", age_hours=1000)
    make_entry(root, "debug/c_1696348800", age_hours=1000)
    (root / "debug" / "plain-file").write_text("x")
    age(root / "debug" / "plain-file", 1000)

    def vanish(entries: int, size: int) -> None:
        if vanishing.exists():
            shutil.rmtree(vanishing)

    now = time.time()
    plan = prepare(root, Policy(max_age=24 * HOUR), now, progress=vanish)
    assert [(problem.path, problem.blocking) for problem in plan.problems] == [
        ("debug/b_1696348800", False)
    ]
    assert "vanished" in plan.problems[0].what
    report = execute(plan)
    assert sorted(outcome.step.entry.path for outcome in report.done) == [
        "debug/a_1696348800",
        "debug/c_1696348800",
        "debug/plain-file",
    ]
    assert not report.failed


def test_an_unreadable_entry_has_its_line_and_exit_code_and_the_others_go(project: Path) -> None:
    root = project / ".tmp"
    locked = make_entry(root, "debug/locked_1696348800", age_hours=1000)
    make_entry(root, "debug/other_1696348800", age_hours=1000)
    (root / "debug" / "plain-file").write_text("x")
    age(root / "debug" / "plain-file", 1000)
    locked.chmod(0)
    listed = as_plain_user("temp-status", cwd=project)
    assert all(name in listed.stdout for name in ("other_1696348800", "plain-file", "locked"))
    assert listed.returncode == 1
    done = as_plain_user("temp-clean", "--max-age-hours", "24", cwd=project)
    assert done.returncode == 1
    assert "debug/locked_1696348800: Permission denied" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(root / "debug") == ["locked_1696348800"]


def test_everything_takes_an_unreadable_entry_of_one_s_own(project: Path) -> None:
    locked = make_entry(project / ".tmp", "debug/locked_1696348800")
    locked.chmod(0)
    assert as_plain_user("temp-clean", "--everything", cwd=project).returncode == 0
    assert not locked.exists()


def test_a_read_only_root_fails_clearly_and_loses_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        make_project(disk)
        path = make_entry(disk / ".tmp", "debug/demo_1696348800")
        assert run(["mount", "-o", "remount,ro", str(disk)], cwd=tmp_path).returncode == 0
        done = inv("temp-clean", cwd=disk)
        assert done.returncode == 1
        assert "Read-only file system" in done.stderr
        assert "Traceback" not in done.stderr
        assert (path / "file0.txt").exists()


def test_a_full_disk_can_be_cleaned(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        make_project(disk)
        path = make_entry(disk / ".tmp", "debug/demo_1696348800")
        with pytest.raises(OSError, match="No space left"):
            (path / "ballast").write_bytes(b"x" * 2_000_000)
        done = inv("temp-clean", cwd=disk)
        assert done.returncode == 0, done.stderr
        assert not path.exists()


def test_entries_of_the_old_helper_and_of_plain_mkdir_are_listed_and_cleaned(project: Path) -> None:
    root = project / ".tmp"
    make_entry(root, "demo_1696348800")
    make_entry(root, "debug/by hand")
    make_entry(root, "just-a-directory")
    listed = {item["path"]: item["category"] for item in status(project)["entries"]}
    assert listed == {
        "demo_1696348800": "uncategorized",
        "debug/by hand": "debug",
        "just-a-directory": "uncategorized",
    }
    assert inv("temp-clean", cwd=project).returncode == 0
    assert status(project)["entries"] == []


def _until(done: Callable[[], bool]) -> None:
    """Wait for `done`, which the kernel makes true a moment after a kill."""
    for _ in range(500):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("did not happen within five seconds")
