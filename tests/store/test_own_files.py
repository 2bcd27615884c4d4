"""Files that this process has open keep an entry, unless the entry is its own."""

from __future__ import annotations

import mmap
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from common.temp import TempManager, get_debug_temp_dir
from common.temp.core.policy import Policy
from common.temp.jobs import StorageRoot
from tests.support import (
    HOUR,
    age,
    environment,
    hold,
    inv,
    make_entry,
    outcomes,
    run,
    scanned,
    swept,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")


def test_a_file_that_this_process_has_open_protects_an_entry_of_others(root: Path) -> None:
    path, other = make_entry(root, "debug/x"), make_entry(root, "debug/y")
    with open(path / "log", "w"):
        use = scanned(root)["debug/x"].use
        assert use is not None
        assert use.who.startswith(f"pid {os.getpid()} (")
        assert hold(root, other) == ""
        assert [done.step.entry.path for done in swept(root).done] == ["debug/y"]
    assert hold(root, path) == ""
    assert len(swept(root).done) == 1


def test_an_open_database_stays_when_this_process_cleans_by_age(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    path, other = (make_entry(root, f"cache/{name}_1696348800") for name in ("model", "old"))
    database = sqlite3.connect(path / "a.db")
    database.execute("create table t (x)")
    for old in (path, other):
        age(old, 48)
    assert TempManager.clean_persistent_temps(24) == 1
    assert (path.exists(), other.exists()) == (True, False)
    database.close()
    age(path, 48)
    assert TempManager.clean_persistent_temps(24) == 1


def test_what_the_command_line_of_a_service_names_stays_when_it_cleans_itself(root: Path) -> None:
    entries = [make_entry(root, f"cache/{name}") for name in ("model", "settings", "other")]
    for path in entries:
        age(path, 48)
    code = "from common.temp import TempManager; print(TempManager.clean_persistent_temps(24))"
    words = [f"--model={entries[0]}", ".tmp/cache/settings/file0.txt"]
    command = [sys.executable, "-c", code, *words]  # a fork of a warm one has another command line
    assert subprocess.check_output(command, cwd=root.parent, env=environment()) == b"1\n"
    assert [path.exists() for path in entries] == [True, True, False]


def test_a_file_that_this_process_has_mapped_protects_its_entry(root: Path) -> None:
    path = make_entry(root, "cache/matrix")
    (path / "data").write_bytes(bytes(4096))
    with open(path / "data", "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 4096)
    assert hold(root, path) == "process"
    mapped.close()
    assert hold(root, path) == ""


def test_an_own_entry_goes_when_this_process_asks_for_all_of_its_own_though_it_has_a_file_open(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    path = get_debug_temp_dir("worker")
    with open(path / "log", "w"):
        assert swept(root, Policy(max_age=HOUR)).outcomes == ()
        assert TempManager.clean_persistent_temps() == 1
    assert not path.exists()


def test_the_jobs_of_this_process_go_though_it_has_files_open_in_them(root: Path) -> None:
    jobs = StorageRoot(root / "jobs")
    path = jobs.allocate_job("j").root
    with open(path / "log", "w"):
        assert jobs.cleanup_all() == 1
    assert not path.exists()


def test_what_this_program_keeps_open_in_a_root_in_an_entry_protects_nothing(root: Path) -> None:
    StorageRoot(root / "jobs").allocate_job("j")  # its owner file is open
    assert list(outcomes(swept(root))) == ["jobs"]


def test_the_log_that_a_clean_is_written_to_stays(root: Path) -> None:
    logs, other = make_entry(root, "logs"), make_entry(root, "work/other")
    script = f'exec "$@" >> {logs}/clean.log'
    words = [sys.executable, "-m", "common.temp", "temp-clean", "--everything", "--yes"]
    assert run(["sh", "-c", script, "sh", *words], cwd=root.parent).returncode == 0
    assert "kept logs: in use: pid " in (logs / "clean.log").read_text()
    assert not other.exists()
    assert inv("temp-clean", "--everything", "--yes", cwd=root.parent).returncode == 0
    assert not logs.exists()
