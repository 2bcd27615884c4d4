"""A root within an entry keeps it while that root is in use or has a pin."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.temp.core.policy import Policy
from common.temp.jobs import StorageRoot
from common.temp.manager import TempManager
from common.temp.pins import pin, unpin
from common.temp.store.claiming.named_removal import NamedRemover, delete_elsewhere
from common.temp.store.root.making import make_root
from common.temp.store.scanning.protections_inside import Within
from common.temp.store.sweep.discard import discard
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system.locks import lock_file
from common.temp.store.system.opening import opened
from common.temp.store.trees.measured_path import look_inside
from tests.support import (
    EVERYTHING,
    inv,
    make_entry,
    make_project,
    outcomes,
    process,
    run,
    scanned,
    swept,
)

MAKES = {
    "jobs": "StorageRoot(Path('.tmp/jobs')).allocate_job('j')",
    "work/svc": "StorageRoot(Path('.tmp/work/svc/deep/jobs')).allocate_job('j')",
    "cache/jobs": "StorageRoot(Path('.tmp/cache/jobs')).allocate_job('j')",
    "debug/job": "StorageRoot(Path('.tmp/debug')).allocate_job('job')",
    "idle": "s = StorageRoot(Path('.tmp/idle')); s.allocate_job('j'); s.release_job('j')",
    "artifacts": "os.makedirs('.tmp/artifacts'); start_run('.tmp/artifacts')",
    "work/clone": "os.chdir('.tmp/work/clone'); get_debug_temp_dir('x'); os.chdir('/')",
}
"""What makes a root in that entry, or is one."""


def owner_code(*made: str) -> str:
    """The code of a process that does so, and lives on."""
    return f"""
import os, time
from pathlib import Path
from common.temp import *
{"; ".join(made)}
print('ready', flush=True)
time.sleep(100)"""


def blind(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A real `inv` that sees no process but its own, as in a container."""
    unshare = ["unshare", "-p", "-f", "--mount-proc"]
    if not shutil.which("unshare") or run([*unshare, "true"], cwd=cwd).returncode:
        pytest.skip("cannot make a process namespace")
    return run([*unshare, sys.executable, "-m", "invoke", *arguments], cwd=cwd)


def test_a_live_root_in_an_entry_keeps_it_from_whoever_cannot_see_the_process(
    project: Path, root: Path
) -> None:
    make_project(root / "work" / "clone")
    make_entry(root, "work/other")
    with process(owner_code(*MAKES.values()), cwd=project) as owner:
        done = blind("temp-clean", "--everything", "--yes", cwd=project)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(f"pid {owner.pid} ") == len(MAKES), done.stdout
        assert all((root / entry).is_dir() for entry in MAKES)
        assert not (root / "work" / "other").exists()
        assert all(swept(root, policy).done == () for policy in (EVERYTHING, Policy(max_age=0)))
    blind("temp-clean", "--everything", "--yes", cwd=project)
    assert not any((root / entry).exists() for entry in MAKES)


def test_every_way_to_clean_keeps_it(project: Path, root: Path) -> None:
    with process(owner_code(MAKES["jobs"]), cwd=project):
        job = root / "jobs" / "j"
        for arguments in (
            ("--everything", "--yes", "--undoable"),
            ("--max-age-hours", "0", "--yes", "--background"),
        ):
            blind("temp-clean", *arguments, cwd=project)
            assert job.is_dir(), arguments
        assert swept(root, archive=project / "archive", disposal="archive").done == ()
        said = blind("temp-explain", "--path", "jobs", cwd=project).stdout
        assert "in use: pid" in said
        assert "in the root jobs" in said
        blind("clean", cwd=project)
        assert job.is_dir()
        done = inv("temp-clean", "--yes", "--include-in-use", "--name", "jobs", cwd=project)
        assert not job.exists(), done.stdout


def test_a_flat_entry_with_a_live_root_is_not_adopted(project: Path, root: Path) -> None:
    make_entry(root, "old_1696348800")
    code = f"""
from pathlib import Path
from common.temp import StorageRoot
StorageRoot(Path({str(root / "old_1696348800" / "jobs")!r})).allocate_job('j')
print('ready', flush=True)
input()"""
    with process(code, cwd=Path("/")):
        done = blind("temp-adopt", cwd=project)
        assert (root / "old_1696348800" / "jobs" / "j").is_dir(), done.stdout
    blind("temp-adopt", cwd=project)
    assert (root / "uncategorized" / "old_1696348800").is_dir()


def test_a_root_that_is_made_after_the_look_keeps_its_entry(project: Path, root: Path) -> None:
    make_entry(root, "work/a")
    plan = prepare(root, Policy(everything=True), 2e9)
    assert [step.entry.path for step in plan.steps] == ["work/a"]
    code = "StorageRoot(Path('.tmp/work/a/b/jobs')).allocate_job('j')"
    with process(owner_code(code), cwd=project) as owner:
        done = outcomes(execute(plan))["work/a"]
        assert done[0] == "skipped"
        assert f"pid {owner.pid} " in done[1]
        assert (root / "work" / "a" / "b" / "jobs" / "j").is_dir()
    plan = prepare(root, Policy(everything=True), 2e9)
    execute(plan)
    assert not (root / "work" / "a").exists()


def test_a_live_root_in_what_a_process_gives_up_stays(project: Path, root: Path) -> None:
    made = TempManager.create_persistent_dir("outer", "work")
    relative = made.relative_to(root).as_posix()
    code = f"StorageRoot(Path({str(made / 'jobs')!r})).allocate_job('j')"
    with process(owner_code(code), cwd=project):
        assert "in use: pid" in discard(str(root), relative)
        assert (made / "jobs" / "j").is_dir()
    assert len([one for one in swept(root).done if one.step.entry.path == relative]) == 1


def test_a_live_root_in_a_named_directory_stays(project: Path, tmp_path: Path) -> None:
    uploads = tmp_path / "uploads"
    code = f"StorageRoot(Path({str(uploads / 'a' / 'jobs')!r})).allocate_job('j')"
    with process(owner_code(code), cwd=project):
        assert delete_elsewhere(str(uploads), "directory").status == "skipped"
        remover = NamedRemover(uploads)
        assert remover.delete("a", "directory", ours=True).status == "skipped"
        remover.close()
        assert (uploads / "a" / "jobs" / "j").is_dir()
    assert delete_elsewhere(str(uploads), "directory").status == "done"


def test_this_process_s_own_root_goes_when_it_asks_for_everything(root: Path) -> None:
    StorageRoot(root / "jobs").allocate_job("j")
    assert swept(root, Policy(max_age=0)).outcomes == ()
    assert [done.step.entry.path for done in swept(root).done] == ["jobs"]


@pytest.mark.parametrize("place", ["debug/nightly", "debug", "film.mp4", "."])
def test_a_lock_on_an_entry_of_a_root_in_an_entry_keeps_it(root: Path, place: str) -> None:
    outer = make_entry(root, "work/clone")
    make_entry(outer / ".tmp", "debug/nightly")
    if place != "debug/nightly":  # else it was made by `mkdir`, and has no store yet
        make_root(str(outer / ".tmp"))
    (outer / ".tmp" / "film.mp4").write_text("x")
    lock = os.open(outer / ".tmp" / place, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with opened(root) as top:
            inside = look_inside(top, "work/clone")
        use = Within(root).use_of("work/clone", outer, inside, 0, 0)
        assert use is not None
        where = "it" if place == "." else place
        assert use.who.startswith(f"a process that holds a lock (flock) on {where}, in the ")
        assert swept(root).done == ()
    finally:
        os.close(lock)
    assert len(swept(root).done) == 1


@pytest.mark.parametrize("policy", [Policy(everything=True), Policy(max_age=0)])
def test_a_pin_in_a_root_in_an_entry_keeps_it(root: Path, policy: Policy) -> None:
    inner = make_project(root / "work" / "clone_1696348800")
    entry = make_entry(inner / ".tmp", "debug/x")
    pin(entry, "to be looked at")
    assert swept(root, policy).outcomes == ()
    said = scanned(root)["work/clone_1696348800"].pin
    assert said == "to be looked at, on debug/x of the root work/clone_1696348800/.tmp"
    assert swept(root, policy, sizes=False).done == ()
    unpin(entry)
    assert len(swept(root, policy).done) == 1


def test_a_root_whose_owners_cannot_be_read_keeps_its_entry(root: Path) -> None:
    entry = make_entry(root, "work/clone")
    (entry / ".tmp" / ".tempkeep").mkdir(parents=True)
    (entry / ".tmp" / ".tempkeep" / "owners").symlink_to("/nonexistent")
    assert swept(root).outcomes == ()
    assert "cannot be checked" in str(scanned(root)["work/clone"].use)
    (entry / ".tmp" / ".tempkeep" / "owners").unlink()
    assert len(swept(root).done) == 1


def test_a_root_that_is_being_cleaned_keeps_its_entry(root: Path) -> None:
    entry = make_entry(root, "work/clone")
    held = entry / ".tmp" / ".tempkeep" / "holding" / "batch-1"
    held.mkdir(parents=True)
    descriptor = os.open(held, os.O_RDONLY)
    assert lock_file(descriptor)
    assert swept(root).outcomes == ()
    os.close(descriptor)
    assert len(swept(root).done) == 1
