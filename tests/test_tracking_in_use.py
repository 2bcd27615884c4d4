"""Tracked files of other processes: those of live ones stay, those of killed ones are cleaned."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from common.temp import expiring
from common.temp.core.layouts import FILES
from common.temp.store.root.pinning import write_pin
from common.temp.store.system.creation_time import born_at
from common.temp.tracking import (
    FileCleanupManager,
    TempFileContext,
    ThreadedFileCleanupManager,
)
from tests.driven import Driven
from tests.store.children import until
from tests.support import (
    Process,
    age,
    in_holding,
    inv,
    make_entry,
    make_project,
    process,
    run,
    status,
)

ROOTS = '[tool.tempkeep]\nroots = ["var/files"]\n'

SERVICE = """
import sys
from pathlib import Path
from common.temp import ThreadedFileCleanupManager
manager = ThreadedFileCleanupManager({base!r})
for name in {names!r}:
    path = Path({base!r}, name)
    manager.track_file(path)
    path.parent.mkdir(exist_ok=True)
    path.write_text("work")
{more}
print("ready", flush=True)
sys.stdin.readline()
"""


def service(base: Path, *names: str, more: str = "") -> AbstractContextManager[Process]:
    """A process that tracks files of those names in `base`, and has made them."""
    code = SERVICE.format(base=str(base), names=names, more=more)
    return process(code, cwd=base.parent)


def owner_files(base: Path) -> list[Path]:
    """The files of the processes that track anything in `base`."""
    return sorted((base / ".tempkeep" / "owners").iterdir())


def kill(running: Process) -> None:
    running.send_signal(signal.SIGKILL)
    running.wait()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The directory of files of a project whose settings name it."""
    project = make_project(tmp_path / "project", ROOTS)
    (project / "var").mkdir()
    return project / "var" / "files"


@pytest.fixture(params=[FileCleanupManager, ThreadedFileCleanupManager])
def kind(request: pytest.FixtureRequest) -> Any:
    """Either manager."""
    return request.param


def names(base: Path) -> list[str]:
    """What lies in `base`, but its store."""
    return sorted(name for name in os.listdir(base) if name != ".tempkeep")


@pytest.mark.parametrize("clean", [("--max-age-hours", "0"), ("--everything",)])
def test_a_clean_leaves_the_files_of_a_live_process_and_takes_those_of_a_killed_one(
    base: Path, clean: tuple[str, ...]
) -> None:
    project = base.parents[1]
    with service(base, "one", "sub/two") as running:
        assert inv("temp-clean", *clean, cwd=project).returncode == 0
        assert names(base) == ["one", "sub"]
        assert (base / "sub" / "two").exists()
        kill(running)
    assert inv("temp-clean", *clean, cwd=project).returncode == 0
    assert names(base) == []


def test_the_status_says_who_uses_a_tracked_file(base: Path) -> None:
    with service(base, "one") as running:
        shown = inv("temp-status", cwd=base.parents[1]).stdout
    assert f"in use: pid {running.pid}" in shown
    assert status(base.parents[1])["entries"] == []  # of the project's own root


def test_what_a_killed_run_tracked_is_recovered_and_nothing_else(base: Path, kind: Any) -> None:
    with service(base, "one", "sub/two", "pinned", "live") as killed, service(base, "live"):
        files = Driven(kind, base)
        own = files.file("own")
        files.file("somebody's", tracked=False, hours=1000)
        make_entry(base, "directory", age_hours=1000)
        write_pin(base, "pinned", "for the report", FILES)
        assert files.recover() == 0
        kill(killed)
        assert files.recover() == 2
        assert names(base) == ["directory", "live", "own", "pinned", "somebody's", "sub"]
        assert names(base / "sub") == []
        assert own.exists()
        assert files.recover() == 0


def test_what_is_tracked_in_another_root_stays_while_it_is_pinned_or_another_uses_it(
    base: Path, tmp_path: Path, kind: Any
) -> None:
    files = Driven(kind, tmp_path / "mine")
    used, pinned, free = (
        make_entry(base, name, age_hours=1000) for name in ("used", "pinned", "free")
    )
    write_pin(base, "pinned", "for the report", FILES)
    (tmp_path / "link").symlink_to(pinned)
    for path in (used, pinned, tmp_path / "link" / "file0.txt", free):
        files.manager.track_file(path)
    with service(base, "used/one"):
        age(used, 1000)
        files.cleanup_old_files(1)
        assert names(base) == ["pinned", "used"]
    files.cleanup_old_files(1)
    assert names(base) == ["pinned"]
    assert names(pinned) == ["file0.txt"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nobody tells who works where")
@pytest.mark.parametrize("where", ["mine", "elsewhere"])
def test_an_old_directory_stays_while_a_process_works_in_it_or_it_has_unsaved_work(
    tmp_path: Path, kind: Any, where: str
) -> None:
    files = Driven(kind, tmp_path / "mine")
    above = tmp_path / where
    busy, clone = (make_entry(above, name, age_hours=1000) for name in ("busy", "clone"))
    (clone / ".git").write_text("damaged")
    age(clone, 1000)
    for path in (busy, clone):
        files.manager.track_file(path)
    with subprocess.Popen(["sleep", "60"], cwd=busy) as running:
        try:
            files.cleanup_old_files(1)
            assert (names(above), files.tracked) == (["busy", "clone"], 2)
        finally:
            running.kill()
    files.cleanup_old_files(1)
    assert names(above) == ["clone"]


CLEANS = """
import sys
from common.temp import ThreadedFileCleanupManager
manager = ThreadedFileCleanupManager("uploads", default_ttl_hours=1)
for path in sys.argv[1:]:
    manager.track_file(path)
print(manager.cleanup_old_files(1)["removed_count"])
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare of util-linux")
def test_what_is_locked_by_a_process_that_cannot_be_seen_stays(project: Path) -> None:
    unshare = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if run([*unshare, "true"], cwd=project).returncode:
        pytest.skip("cannot make a namespace here")
    mine = make_entry(project / "uploads", "locked", age_hours=1000)
    directory, file = (make_entry(project / "elsewhere", name, age_hours=1000) for name in "df")
    locked = [mine, directory, file / "file0.txt"]
    with ExitStack() as stack:
        for path in locked:
            descriptor = os.open(path, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        done = run([*unshare, sys.executable, "-c", CLEANS, *map(str, locked)], cwd=project)
        assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr
        assert all(map(os.path.exists, locked))
    done = run([*unshare, sys.executable, "-c", CLEANS, *map(str, locked)], cwd=project)
    assert done.stdout == "3\n", done.stderr


UNTRACKED = """
from common.temp import OutputRoot, hold
(Path({base!r}) / "sub" / "beside").write_text("never tracked")
(Path({base!r}) / "held").mkdir()
hold({base!r} + "/held")
OutputRoot().run_dir({base!r} + "/results")
"""


def test_what_a_dead_run_only_held_or_never_tracked_is_not_recovered(base: Path, kind: Any) -> None:
    with service(base, "sub/tracked", more=UNTRACKED.format(base=str(base))) as killed:
        kill(killed)
    assert Driven(kind, base).recover() == 1
    assert names(base) == ["held", "results", "sub"]
    assert names(base / "sub") == ["beside"]
    assert len(os.listdir(base / "results")) == 1


def test_what_is_made_under_the_name_of_what_was_recovered_stays(base: Path, kind: Any) -> None:
    with service(base, "one", "pinned") as killed:
        write_pin(base, "pinned", "for the report", FILES)
        kill(killed)
    files = Driven(kind, base)
    assert files.recover() == 1
    files.file("one", tracked=False)
    assert files.recover() == 0
    assert names(base) == ["one", "pinned"]


def test_what_a_dead_run_tracked_stays_while_another_process_has_it_open(
    base: Path, kind: Any
) -> None:
    with service(base, "one") as killed:
        kill(killed)
    with process(
        f"f = open({str(base / 'one')!r}, 'a'); print(1, flush=True); input()", cwd=base.parent
    ):
        assert Driven(kind, base).recover() == 0
    assert Driven(kind, base).recover() == 1


SLOW_GIT = """#!/bin/sh
touch {told}; until [ -e {told}.killed ]; do sleep .05; done
exec {git} "$@"
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_a_clean_up_that_is_killed_while_git_is_asked_leaves_the_directory_in_its_place(
    base: Path, kind: Any, tmp_path: Path
) -> None:
    told, git = tmp_path / "asked", tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(SLOW_GIT.format(told=told, git=shutil.which("git")))
    git.chmod(0o755)
    path = os.pathsep.join((str(git.parent), os.environ["PATH"]))
    more = f'''
import os, subprocess
os.environ["PATH"] = {path!r}
clone = Path({str(base)!r}, "clone")
manager.track_file(clone)
subprocess.run(["{shutil.which("git")}", "init", "-q", clone], check=True)
print("ready", flush=True)
manager.cleanup_old_files(0)
'''
    with service(base, more=more) as running:
        until(told.exists, "git is asked")
        assert names(base) == ["clone"]
        kill(running)
    told.with_name("asked.killed").touch()
    assert (base / "clone" / ".git").is_dir()
    assert in_holding(base) == []


def test_a_file_that_a_killed_run_had_let_go_stays(base: Path, kind: Any) -> None:
    with service(base, "one", "two", more="manager.untrack_file(path)") as killed:
        kill(killed)
    assert Driven(kind, base).recover() == 1
    assert names(base) == ["two"]


def test_what_the_next_run_tracks_under_the_name_of_an_orphan_stays(base: Path, kind: Any) -> None:
    with service(base, "sub/old") as killed:
        kill(killed)
    files = Driven(kind, base)
    files.file("sub/new")
    assert files.recover() == 0
    assert (base / "sub" / "new").exists()


ANOTHER = """
import os, sqlite3, sys, time
os.chdir(sys.argv[1])
os.unlink("anew")
for name in ("anew", "in_place", "directory/new"):
    with open(name, "w") as file:
        file.write("by another")
os.utime("in_place", (time.time(), 0))
with open("elsewhere", "w") as file:
    file.write("by another")
os.utime("elsewhere", (time.time(), 0))
os.rename("elsewhere", "moved_there")
with open("dated/data", "w") as file:
    file.write("by another")
os.utime("dated/data", (time.time(), 0))
connection = sqlite3.connect("log.db")
connection.execute("insert into t values ('by another')")
connection.commit()
os._exit(0)  # without a checkpoint
"""


def test_what_another_made_later_under_a_name_that_a_dead_one_tracked_stays(
    base: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "_ALLOWED_SECONDS", 0.0)
    more = (
        f"directory = Path({str(base)!r}, 'directory'); manager.track_file(directory)\n"
        "dated = directory.with_name('dated'); manager.track_file(dated)\n"
        "database = directory.with_name('log.db'); manager.track_file(database)\n"
        "directory.mkdir(); dated.mkdir(); (dated / 'data').touch()\n"
        "import sqlite3; connection = sqlite3.connect(database)\n"
        "connection.execute('pragma journal_mode=wal'); connection.execute('create table t (x)')\n"
        "manager.track_file(directory / 'last')"  # so long it surely lived
    )
    with service(base, "anew", "in_place", "moved_there", "its_own", more=more) as killed:
        kill(killed)
    made = (base / "its_own").stat().st_ctime
    until(lambda: time.time() > made + 0.05, "a change shows in the times")
    assert run([sys.executable, "-c", ANOTHER, str(base)], cwd=base).returncode == 0
    files = Driven(kind, base)
    stay = ["anew", "dated", "directory", "in_place", "log.db", "log.db-shm", "log.db-wal"]
    for count in (1, 0):
        assert files.recover() == count
        assert names(base) == [*stay, "moved_there"]
    for name in ("anew", "dated/data", "in_place", "moved_there"):
        assert (base / name).read_text() == "by another"
    with closing(sqlite3.connect(base / "log.db")) as database:
        assert database.execute("select x from t").fetchall() == [("by another",)]
    assert owner_files(base) == []


@pytest.mark.parametrize("how", ["hold(path)", "open(path)"])
def test_an_old_file_that_another_process_has_stays_and_stays_tracked(
    base: Path, tmp_path: Path, kind: Any, how: str
) -> None:
    files = Driven(kind, base)
    path, elsewhere = files.file("one", hours=99), tmp_path / "elsewhere"
    files.track_file(elsewhere)
    elsewhere.touch()
    age(elsewhere, 99)
    paths = [str(path), *([str(elsewhere)] if how[0] == "o" else [])]
    code = f"from common.temp import hold; keep = [{how} for path in {paths}]; print(1, flush=True)"
    with process(f"{code}; input()", cwd=tmp_path):
        files.cleanup_old_files(1)
        assert [path.exists(), elsewhere.exists()] == [True, how[0] == "o"]
        assert files.tracked == len(paths)
    assert files.cleanup_old_files(1)["removed_count"] == len(paths)


def test_what_a_record_names_that_was_unpacked_or_is_dated_in_the_future_is_not_recovered(
    base: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "_ALLOWED_SECONDS", 0.0)
    with service(base, "one", "two") as killed:
        kill(killed)
    copied, later = base.with_name("copied"), time.time() + 9999
    shutil.copytree(base, copied)
    (owner,) = owner_files(base)
    os.utime(owner, (later, later))
    changed = owner.stat().st_ctime
    until(lambda: time.time() > changed + 0.05, "what comes now is surely later")
    (base / "one").write_text("mine")
    (copied / "one").write_text("mine")
    assert Driven(kind, base).recover() == 1
    assert names(base) == ["one"]
    if born_at(str(base)) is not None:
        (record,) = owner_files(copied)
        record.rename(record.with_name(f"1600000000{record.name[10:]}"))
        assert Driven(kind, copied).recover() == 0
        assert names(copied) == ["one", "two"]


def test_a_started_manager_shows_that_its_process_lives(base: Path, kind: Any) -> None:
    files = Driven(kind, base)
    files.file("one")
    (owner,) = owner_files(base)
    os.utime(owner, (0, 0))
    files.start_periodic_cleanup()
    until(lambda: owner.stat().st_mtime > time.time() - 60, "the owner file says so")
    files.stop_periodic_cleanup()


def test_what_a_run_tracked_that_was_not_killed_lives_as_long_as_it_may(
    base: Path, kind: Any
) -> None:
    """A worker may be replaced by another at any time, which goes on to serve its files."""
    with service(base, "one") as ending:
        ending.communicate("\n")
    worker = multiprocessing.get_context("fork").Process(target=_track, args=(base / "two",))
    worker.start()
    worker.join()
    assert Driven(kind, base).recover() == 0
    assert names(base) == ["one", "two"]
    assert Driven(kind, base, default_ttl_hours=0).recover() == 2


def _track(path: Path) -> None:
    ThreadedFileCleanupManager(path.parent).track_file(path)
    path.touch()


@pytest.mark.parametrize("start", ["start", "with"])
def test_to_start_cleans_what_a_killed_run_left(base: Path, kind: Any, start: str) -> None:
    with service(base, "one", "two") as killed:
        kill(killed)
    begin = "with manager: print(os.listdir(path), flush=True)"
    if kind is FileCleanupManager:
        begin = "\n".join(
            (
                "async def main():",
                "    async with manager: print(os.listdir(path), flush=True)",
                "asyncio.run(main())",
            )
        )
    if start == "start":
        begin = "manager.start_periodic_cleanup(); print(1, flush=True); input()"
    code = (
        f"import asyncio, os\nfrom common.temp import {kind.__name__} as Manager\n"
        f"path = {str(base)!r}\nmanager = Manager(path)\n{begin}\n"
    )
    with process(code, cwd=base.parent) as running:
        if start == "start":
            until(lambda: names(base) == [], "what was left is cleaned")
        assert running.first_line in ("1", "['.tempkeep']")


def test_a_directory_of_another_live_process_stays(
    base: Path, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with service(base, "sub/file") as other:
        files = Driven(kind, base)
        assert files.cleanup_directory(base / "sub") is False
        assert files.cleanup_file(base / "sub" / "file") is False
        assert files.cleanup_old_files(0)["removed_count"] == 0
        assert (base / "sub" / "file").exists()
        assert f"in use: pid {other.pid}" in caplog.text
        kill(other)
        assert files.cleanup_directory(base / "sub") is True


def test_one_s_own_file_goes_from_a_directory_that_another_process_uses_too(
    base: Path, kind: Any
) -> None:
    with service(base, "sub/theirs"):
        files = Driven(kind, base)
        own = files.file("sub/own")
        assert files.cleanup_file(own) is True
        assert names(base / "sub") == ["theirs"]


def test_all_that_is_tracked_goes_but_for_what_is_pinned_or_held_by_another(
    base: Path, kind: Any
) -> None:
    files = Driven(kind, base)
    for name in ("free", "pinned", "held/one"):
        files.file(name)
    files.manager.track_file(base / "held")
    write_pin(base, "pinned", "evidence", FILES)
    with ExitStack() as stack, TempFileContext(base / "block") as path:
        path.touch()
        both = [str(base / "held"), str(path)]
        holds = f"from common.temp import hold; list(map(hold, {both}))"
        holder = process(f"{holds}; print('ready', flush=True); input()", cwd=base.parent)
        stack.enter_context(holder)
        assert files.cleanup_all_tracked() == 1
    assert names(base) == ["block", "held", "pinned"]
    assert files.cleanup_all_tracked() == 2
    assert names(base) == ["block", "pinned"]


MIDWAY = """
big = Path({base!r}, "big")
big.mkdir()
manager.track_file(big)
for number in range(200):
    (big / str(number)).touch()
turns = iter([True] * 2)

def go_on():
    if not next(turns, False):
        print("midway", flush=True)
        sys.stdin.readline()
    return True

manager._cleanup_old_files(0, go_on)
"""


def test_a_clean_up_that_is_killed_midway_is_finished_by_the_next_run(
    base: Path, kind: Any
) -> None:
    with service(base, more=MIDWAY.format(base=str(base))) as running:
        assert running.first_line == "midway"
        kill(running)
    (held,) = in_holding(base)
    assert 0 < len(os.listdir(base / ".tempkeep" / "holding" / held)) < 200
    assert names(base) == []
    Driven(kind, base).recover()
    assert in_holding(base) == []
