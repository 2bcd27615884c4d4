"""`auto_clean`: making an entry starts the configured clean in the background, and nothing else."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.store.children import until
from tests.support import age, environment, listing, make_entry, process, run

ON = '[tool.tempkeep]\nauto_clean = "1d"\nmax_age_hours = 24\n'
MAKES = {
    "a directory": "from common.temp import get_debug_temp_dir as make; make('x')",
    "a cache": "from common.temp import cache_dir; cache_dir('x')",
    "a job": "import os; from common.temp.jobs import StorageRoot\n"
    "StorageRoot('jobs').allocate_job(str(os.getpid()))",
    "a run": "from common.temp.pipeline import start_run; start_run()",
}
TEMPKEEP = [sys.executable, "-m", "common.temp"]
MAKE = MAKES["a directory"]


@pytest.fixture
def old(project: Path, root: Path) -> Path:
    """An entry that the settings of the project let go."""
    (project / "pyproject.toml").write_text(ON)
    assert makes(project, "from common.temp import get_debug_temp_dir; get_debug_temp_dir('a')")
    (root / ".tempkeep" / "auto-clean").unlink(missing_ok=True)
    return make_entry(root, "debug/old_1600000000", age_hours=48)


def makes(project: Path, code: str) -> bool:
    """Whether a process could do that, which says nothing."""
    done = run([sys.executable, "-c", code], cwd=project)
    return (done.returncode, done.stdout, done.stderr) == (0, "", "")


def log(root: Path) -> list[str]:
    """What the cleans in the background said."""
    path = root / ".tempkeep" / "schedule.log"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("what", MAKES)
def test_making_an_entry_starts_one_clean_in_that_time(
    project: Path, root: Path, old: Path, what: str
) -> None:
    assert makes(project, MAKES[what])
    until(lambda: len(log(root)) == 1, "the clean ended")
    assert "exit 0: project: cleaned 1 entry" in log(root)[0]
    assert not old.exists()
    again = make_entry(root, "debug/old_1600000001", age_hours=48)
    assert makes(project, MAKES[what])
    # Its time is over: the next one is due.
    note = root / ".tempkeep" / "auto-clean"
    assert again.exists()
    note.write_text("1600000000\n")
    age(note, 1)
    assert makes(project, MAKES[what])
    until(lambda: len(log(root)) == 2, "the second clean ended")
    assert not again.exists()


def test_it_is_off_unless_it_is_set_and_without_a_limit_it_takes_nothing(
    project: Path, root: Path, old: Path
) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_hours = 24\n")
    assert makes(project, MAKE)
    assert not (root / ".tempkeep" / "auto-clean").exists()
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nauto_clean = "1d"\n')
    assert makes(project, MAKE)
    until(lambda: len(log(root)) == 1, "the clean ended")
    assert "exit 2: error:" in log(root)[0]
    assert "no limit is configured" in log(root)[0]
    assert old.exists()


def test_settings_that_change_are_followed_at_once(project: Path, root: Path, old: Path) -> None:
    (project / "pyproject.toml").write_text(ON.replace("24", "999999"))
    assert makes(project, MAKE)
    until(lambda: len(log(root)) == 1, "the clean ended")
    assert old.exists()
    note = root / ".tempkeep" / "auto-clean"
    until(lambda: note.stat().st_mtime > time.time() + 3600, "the next one is put off")
    note.write_text(f"{time.time() - 7200:.0f}\n")
    (project / "pyproject.toml").write_text(ON.replace("1d", "1h"))
    later = time.time() + 1
    os.utime(project / "pyproject.toml", (later, later))
    assert makes(project, MAKE)
    until(lambda: not old.exists(), "the old entry is cleaned")


def test_of_many_processes_that_make_entries_at_once_one_cleans(
    project: Path, root: Path, old: Path
) -> None:
    code = f"print('ready', flush=True); input(); {MAKE}; input()"
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(process(code, cwd=project)) for _ in range(3)]
        for one in many:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        until(lambda: len(log(root)) > 0, "the clean ended")
    until(lambda: not old.exists(), "the old entry is cleaned")
    cleaned = [line for line in log(root) if "cleaned 1 entry" in line]
    assert len(cleaned) == 1
    assert all("exit 0" in line for line in log(root))


@pytest.mark.parametrize("planted", ["link", "dangling", "fifo", "directory", "junk", "future"])
def test_what_is_planted_in_its_place_hurts_nobody(
    project: Path, root: Path, old: Path, tmp_path: Path, planted: str
) -> None:
    note, canary = root / ".tempkeep" / "auto-clean", tmp_path / "canary"
    canary.write_text("precious")
    before = canary.stat().st_mtime_ns
    if planted in ("link", "dangling"):
        note.symlink_to(canary if planted == "link" else tmp_path / "nothing")
    elif planted == "fifo":
        os.mkfifo(note)
    elif planted == "directory":
        note.mkdir()
    else:
        note.write_text("9" * 500 if planted == "junk" else f"{time.time() + 1e9:.0f}")
        age(note, -1e6 if planted == "future" else 1)
    assert makes(project, MAKE)
    assert (canary.read_text(), canary.stat().st_mtime_ns) == ("precious", before)
    assert listing(tmp_path / "nothing") == []
    if planted in ("junk", "future"):
        until(lambda: not old.exists(), "the old entry is cleaned")


def test_it_leaves_no_child_and_holds_nothing_of_its_caller(
    project: Path, root: Path, old: Path
) -> None:
    code = (
        "import os; read, write = os.pipe(); os.set_inheritable(write, True)\n"
        f"{MAKE}\nos.close(write)\n"
        "try: os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError: pass\n"
        "else: print('a child')\n"
        "assert os.read(read, 1) == b''\n"
    )
    assert makes(project, code)
    until(lambda: not old.exists(), "the old entry is cleaned")


def test_the_first_status_over_a_limit_offers_it(project: Path, root: Path, old: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_hours = 24\n")
    offer = 'hint: with `auto_clean = "1d"` in [tool.tempkeep], this clean starts by itself'
    assert offer in on_terminal("temp-status", cwd=project)
    assert offer not in run([*TEMPKEEP, "temp-status"], cwd=project).stdout  # no person reads that
    assert run([*TEMPKEEP, "temp-clean", "--yes"], cwd=project).returncode == 0
    make_entry(root, "debug/old_1600000000", age_hours=48)
    assert offer not in on_terminal("temp-status", cwd=project)


def on_terminal(*arguments: str, cwd: Path) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as shown:
        try:
            done = subprocess.run(
                [*TEMPKEEP, *arguments], cwd=cwd, env=environment(), stdout=theirs, check=False
            )
        finally:
            os.close(theirs)
        assert done.returncode == 0
        seen = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while part := shown.read(4096):
                seen += part
    return seen.decode()
