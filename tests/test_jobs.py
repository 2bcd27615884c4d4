"""A directory for each job: made, released, recovered, and never shared."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.temp import jobs as jobs_module
from common.temp.core.layouts import JOBS
from common.temp.errors import InvalidName, Refused, StorageError
from common.temp.jobs import JobStorage, StorageRoot
from common.temp.pins import pin
from common.temp.store.root.current_owners import own
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system.creation_time import born_at
from tests.each import each
from tests.store.children import in_child, until
from tests.support import (
    EVERYTHING,
    HOSTILE_NAMES,
    IMMUTABLE,
    environment,
    immutable,
    inv,
    listing,
    make_entry,
    make_project,
    mounted,
    plain_user,
    process,
)
from tests.warm import Started

ODD = [
    "a b",
    "-rf",
    "--",
    "~",
    "$HOME",
    "*",
    "[a]",
    "?",
    "%2e%2e%2fvictim",
    "job",
    "JOB",
    "é",
    "e\u0301",
    "日本",
    "🛰",
    "x" * 255,
    "a..b",
    "input.csv",
    "layout",
    "'; rm -rf .",
]
HOLD = """
import sys
from pathlib import Path
from common.temp import StorageRoot
storage = StorageRoot(Path({root!r}))
for job_id in {jobs!r}:
    (storage.allocate_job(job_id).output_dir / "half").write_text("of it")
print("ready", flush=True)
sys.stdin.readline()
"""
CHURN = """
import itertools, sys
from pathlib import Path
from common.temp import StorageRoot
storage = StorageRoot(Path({root!r}))
print("ready", flush=True)
for number in itertools.count():
    job = storage.allocate_job(f"job-{{number}}")
    (job.output_dir / "a").mkdir()
    job.csv_path.write_text("x")
    if number >= 3:
        storage.release_job(f"job-{{number - 3}}")
"""


@pytest.fixture
def storage(tmp_path: Path) -> StorageRoot:
    return StorageRoot(tmp_path / "jobs")


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What this module has warned of by now."""
    caplog.set_level(logging.WARNING, logger="common.temp.jobs")

    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name.endswith(".jobs")]

    return said


def jobs(storage: StorageRoot) -> list[str]:
    """What lies in the root, but for its store."""
    return sorted(name for name in os.listdir(storage.root) if name != ".tempkeep")


def hold(storage: StorageRoot, *job_ids: str) -> Any:
    """A process that has allocated these jobs and lives until the block ends."""
    return process(HOLD.format(root=str(storage.root), jobs=job_ids), cwd=storage.root.parent)


def outside_the_store(directory: Path) -> list[str]:
    """Every path below, but for what this program keeps of its own."""
    return [path for path in listing(directory) if "/.tempkeep/" not in path]


def orphan(storage: StorageRoot, *job_ids: str) -> None:
    """Jobs whose process was killed."""
    with hold(storage, *job_ids):
        pass


# -- names and shapes -------------------------------------------------------------------------


def test_a_job_has_a_directory_with_its_output_and_nothing_else(storage: StorageRoot) -> None:
    job = storage.allocate_job("a")
    assert job.root == storage.root / "a"
    assert listing(job.root) == ["output"]


# -- the root ---------------------------------------------------------------------------------


def test_the_root_is_made_with_its_parents(tmp_path: Path) -> None:
    assert StorageRoot(tmp_path / "a" / "b").root.is_dir()


def test_a_relative_root_stays_where_it_was_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    storage = StorageRoot(Path("var/../jobs"))
    monkeypatch.chdir("elsewhere")
    assert storage.allocate_job("a").root == tmp_path / "jobs" / "a"
    assert os.listdir() == []
    storage.release_job("a")
    assert jobs(storage) == []


def test_a_root_relative_to_a_directory_that_is_gone_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StorageError, match=r"the working directory is gone.*an absolute path"):
        StorageRoot(Path("jobs"))


def test_a_file_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("mine")
    with pytest.raises(StorageError, match="jobs"):
        StorageRoot(tmp_path / "jobs")
    assert (tmp_path / "jobs").read_text() == "mine"


def test_a_root_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir(mode=0o555)
    with (
        plain_user(),
        pytest.raises(StorageError, match=r"jobs.*Permission denied; change its permissions"),
    ):
        StorageRoot(tmp_path / "jobs")


def test_a_directory_for_everybody_is_a_root_if_it_is_new_and_none_if_others_have_something_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").touch()  # beside a root it does no harm
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for _ in range(2):  # again, by a service that starts again
        StorageRoot(shared).allocate_job("a")
        StorageRoot(shared).release_job("a")
    other = tmp_path / "other"
    make_entry(other, "systemd-private")
    other.chmod(0o1777)
    with pytest.raises(Refused, match=r"them alone, such as .*/other/jobs"):
        StorageRoot(other)
    with pytest.raises(Refused, match="choose a directory for them alone"):
        StorageRoot(Path("/var/tmp"))
    assert listing(other) == ["systemd-private", "systemd-private/file0.txt"]


@pytest.mark.parametrize("marker", ["pyproject.toml", ".git", "tasks.py"])
def test_a_project_is_refused_and_left_as_it_is(tmp_path: Path, marker: str) -> None:
    (tmp_path / marker).touch()
    before = listing(tmp_path)
    with pytest.raises(Refused, match="may hold more than jobs"):
        StorageRoot(tmp_path)
    assert listing(tmp_path) == before


def test_a_root_that_was_removed_is_made_again_for_the_next_job(storage: StorageRoot) -> None:
    storage.allocate_job("a")
    subprocess.run(["rm", "-rf", str(storage.root)], check=True)
    assert storage.recover() == 0
    storage.release_job("a")
    assert not storage.root.exists()
    storage.allocate_job("b")
    assert jobs(storage) == ["b"]


def test_a_root_that_was_moved_keeps_its_jobs_in_use(tmp_path: Path, storage: StorageRoot) -> None:
    storage.allocate_job("a")
    storage.root.rename(tmp_path / "moved")
    done = inv("temp-status", cwd=_project_with(tmp_path, "../moved"))
    assert "in use" in done.stdout


def test_what_was_put_in_the_place_of_a_root_is_not_taken_for_its_jobs(
    tmp_path: Path, storage: StorageRoot, warnings: Callable[[], list[str]]
) -> None:
    storage.allocate_job("a")
    other = StorageRoot(tmp_path / "other")
    with hold(other, "a"):
        storage.root.rename(tmp_path / "moved")
        other.root.rename(storage.root)
        storage.release_job("a")
        assert (storage.root / "a" / "output" / "half").exists()
    assert "in use: pid" in warnings()[0]


# -- ids --------------------------------------------------------------------------------------


def test_the_hostile_ids_are_forty() -> None:
    assert len(set(HOSTILE_NAMES)) == 40


@pytest.mark.parametrize("method", ["allocate_job", "release_job"])
def test_a_hostile_id_is_refused_before_the_disk_is_touched(
    tmp_path: Path, storage: StorageRoot, method: str
) -> None:
    make_entry(tmp_path, "victim")
    storage.allocate_job("job")
    before = listing(tmp_path)
    for job_id in HOSTILE_NAMES:
        with pytest.raises(InvalidName, match="job id"):
            getattr(storage, method)(job_id)
        assert listing(tmp_path) == before, job_id
    assert issubclass(InvalidName, ValueError)


@pytest.mark.parametrize("method", ["allocate_job", "release_job"])
def test_an_id_that_is_no_text_is_refused(storage: StorageRoot, method: str) -> None:
    for job_id in (None, 7, b"job", Path("job"), ["job"]):
        with pytest.raises(ValueError, match="is not a string"):
            getattr(storage, method)(job_id)
    assert jobs(storage) == []


def test_odd_ids_are_jobs_of_their_own(tmp_path: Path, storage: StorageRoot) -> None:
    for job_id in ODD:
        storage.allocate_job(job_id)
    assert jobs(storage) == sorted(ODD)
    for number, job_id in enumerate(ODD, 1):
        storage.release_job(job_id)
        assert jobs(storage) == sorted(ODD[number:])
    assert sorted(os.listdir(tmp_path)) == ["jobs", "system-temp"]


# -- allocating -------------------------------------------------------------------------------


def test_a_job_that_is_there_is_not_made_again(storage: StorageRoot) -> None:
    first = storage.allocate_job("a")
    first.csv_path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"job 'a' exists already.*jobs/a"):
        storage.allocate_job("a")
    assert first.csv_path.read_text() == "mine"
    assert storage.recover() == 0


@pytest.mark.parametrize("kind", ["file", "symlink", "dangling"])
def test_whatever_lies_in_its_place_a_job_is_not_made(
    tmp_path: Path, storage: StorageRoot, kind: str
) -> None:
    place = storage.root / "a"
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(make_entry(tmp_path, "victim") if kind == "symlink" else "nowhere")
    before = outside_the_store(tmp_path)
    with pytest.raises(FileExistsError):
        storage.allocate_job("a")
    storage.release_job("a")
    assert outside_the_store(tmp_path) == before


def test_of_many_threads_one_makes_a_job(storage: StorageRoot) -> None:
    made: list[JobStorage] = []
    together = threading.Barrier(16)

    def allocate() -> None:
        together.wait()
        with contextlib.suppress(FileExistsError):
            made.append(storage.allocate_job("a"))

    _in_threads([allocate] * 16)
    assert len(made) == 1
    assert storage.recover() == 0


def test_of_many_processes_one_makes_a_job(storage: StorageRoot) -> None:
    code = (
        "import sys; from pathlib import Path; from common.temp import StorageRoot\n"
        f"storage = StorageRoot(Path({str(storage.root)!r}))\n"
        "sys.stdin.readline()\n"
        "storage.allocate_job('a')"
    )
    started = [
        Started(
            [sys.executable, "-c", code],
            env=environment(),
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(6)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.close()
    assert sorted(one.wait(60) for one in started) == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("inodes", [16, 17])
def test_where_the_disk_is_full_nothing_is_left_of_a_job(tmp_path: Path, inodes: int) -> None:
    with mounted(tmp_path / "small", f"size=1m,nr_inodes={inodes}") as small:
        storage = StorageRoot(small / "jobs")
        made = 0
        with pytest.raises(StorageError, match="No space left on device"):  # noqa: PT012
            for made in range(100):
                storage.allocate_job(f"job-{made}")
        assert made > 0
        assert jobs(storage) == sorted(f"job-{number}" for number in range(made))
        storage.release_job("job-0")
        storage.allocate_job("another")
        assert storage.cleanup_all() == made


# -- releasing --------------------------------------------------------------------------------


def test_a_released_job_is_gone_and_its_neighbours_stay(storage: StorageRoot) -> None:
    for job_id in ("a", "b", "ab"):
        storage.allocate_job(job_id).csv_path.write_text("x")
    (storage.root / "notes.txt").write_text("mine")
    storage.release_job("a")
    assert jobs(storage) == ["ab", "b", "notes.txt"]
    assert (storage.root / "ab" / "input.csv").read_text() == "x"


def test_a_job_with_directories_that_forbid_it_is_released(storage: StorageRoot) -> None:
    job = storage.allocate_job("a")
    (job.output_dir / "file").write_text("x")
    job.output_dir.chmod(0o500)
    job.root.chmod(0o500)
    with plain_user():
        storage.release_job("a")
    assert jobs(storage) == []


def test_an_unknown_job_is_no_error(
    storage: StorageRoot, warnings: Callable[[], list[str]]
) -> None:
    storage.release_job("a")
    storage.allocate_job("a")
    storage.release_job("a")
    storage.release_job("a")
    assert warnings() == []


def test_a_job_that_was_moved_away_can_be_made_again(tmp_path: Path, storage: StorageRoot) -> None:
    storage.allocate_job("a").root.rename(tmp_path / "kept")
    storage.release_job("a")
    storage.allocate_job("a")
    assert storage.recover() == 0
    assert (tmp_path / "kept" / "output").is_dir()


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_what_took_the_place_of_a_job_is_left_alone(
    tmp_path: Path, storage: StorageRoot, warnings: Callable[[], list[str]], kind: str
) -> None:
    victim = make_entry(tmp_path, "victim")
    job = storage.allocate_job("a")
    job.root.rename(tmp_path / "moved")
    if kind == "file":
        job.root.write_text("mine")
    else:
        job.root.symlink_to(victim)
    before = outside_the_store(tmp_path)
    storage.release_job("a")
    assert outside_the_store(tmp_path) == before
    assert warnings() == [
        f"cannot release {job.root}: is no longer a directory, so it is left alone"
    ]
    assert storage.cleanup_all() == 0
    assert outside_the_store(tmp_path) == before


def test_links_in_a_job_go_and_what_they_point_to_stays(
    tmp_path: Path, storage: StorageRoot
) -> None:
    victim = make_entry(tmp_path, "victim")
    job = storage.allocate_job("a")
    job.csv_path.symlink_to(victim / "file0.txt")
    (job.output_dir / "link").symlink_to(victim)
    storage.release_job("a")
    assert jobs(storage) == []
    assert listing(victim) == ["file0.txt"]


def test_a_job_of_another_live_process_is_released_by_its_name_and_cleaned_by_nothing_else(
    storage: StorageRoot, warnings: Callable[[], list[str]]
) -> None:
    with hold(storage, "a", "b"):
        storage.release_job("a")
        assert jobs(storage) == ["b"]
        assert (storage.recover(), storage.cleanup_all()) == (0, 0)
        assert jobs(storage) == ["b"]
        assert warnings() == []


def test_a_job_of_another_process_that_is_held_or_pinned_is_not_released(
    storage: StorageRoot, warnings: Callable[[], list[str]]
) -> None:
    code = (
        "import sys; from common.temp import hold\n"
        f"hold({str(storage.root / 'held')!r}); print(1, flush=True); sys.stdin.readline()"
    )
    with (
        hold(storage, "held", "pinned"),
        process(code, cwd=storage.root),
    ):
        pin(storage.root / "pinned", "evidence")
        for job_id in ("held", "pinned"):
            storage.release_job(job_id)
    assert jobs(storage) == ["held", "pinned"]
    assert ["in use: pid" in warnings()[0], "is pinned" in warnings()[1]] == [True, True]


def test_what_others_released_is_forgotten(
    storage: StorageRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_MANY", 3)
    storage = StorageRoot(storage.root)
    for number in range(8):
        storage.allocate_job(f"job-{number}")
        in_child(partial(storage.release_job, f"job-{number}"))
    owner = own(str(storage.root))
    assert owner is not None
    assert len(owner.live) <= 6
    assert jobs(storage) == []


def test_a_job_of_a_dead_process_is_released(
    storage: StorageRoot, warnings: Callable[[], list[str]]
) -> None:
    orphan(storage, "a", "b", "job")
    storage.release_job("job")  # which is what all of them are labelled
    assert jobs(storage) == ["a", "b"]
    storage.release_job("b")
    assert jobs(storage) == ["a"]
    assert warnings() == []


@pytest.mark.parametrize("retry", ["cleanup_all", "recover", "release_job"])
def test_a_job_that_cannot_be_released_is_logged_and_goes_later(
    storage: StorageRoot, warnings: Callable[[], list[str]], retry: str
) -> None:
    job = storage.allocate_job("a")
    job.csv_path.write_text("x")
    with immutable(job.csv_path):
        storage.release_job("a")
        assert job.csv_path.exists()
        assert warnings() == [f"cannot release {job.root}: input.csv: {IMMUTABLE}"]
    getattr(storage, retry)(*(["a"] if retry == "release_job" else []))
    assert jobs(storage) == []
    assert len(warnings()) == 1


def test_what_cannot_go_is_logged_in_one_harmless_line_whatever_its_name(
    storage: StorageRoot, warnings: Callable[[], list[str]]
) -> None:
    job = storage.allocate_job("a")
    odd = job.root / "\x1b[31m\r\n\u202eodd"
    odd.write_text("x")
    with immutable(odd):
        storage.release_job("a")
        storage.cleanup_all()
    assert len(warnings()) == 2
    assert all(line.isprintable() and "\\x1b[31m\\r\\n\\u202eodd" in line for line in warnings())


def test_a_sweep_of_another_process_retries_as_well(tmp_path: Path, storage: StorageRoot) -> None:
    job = storage.allocate_job("a")
    job.csv_path.write_text("x")
    live = storage.allocate_job("b")
    with immutable(job.csv_path):
        storage.release_job("a")
    done = inv("temp-clean", "--yes", cwd=_project_with(tmp_path, "../jobs"))
    assert (done.returncode, done.stderr) == (0, "")
    assert jobs(storage) == ["b"]
    assert live.output_dir.is_dir()


# -- cleaning and recovering ------------------------------------------------------------------


def test_all_jobs_that_nobody_else_uses_are_cleaned_and_nothing_else(
    tmp_path: Path, storage: StorageRoot
) -> None:
    orphan(storage, "dead")
    make_entry(storage.root, "made-by-hand")
    for job_id in ("a", "b"):
        storage.allocate_job(job_id)
    (storage.root / "notes.txt").write_text("mine")
    (storage.root / "link").symlink_to(make_entry(tmp_path, "victim"))
    with hold(storage, "theirs"):
        assert storage.cleanup_all() == 3
        assert jobs(storage) == ["link", "made-by-hand", "notes.txt", "theirs"]
        assert (storage.root / "theirs" / "output" / "half").exists()
    assert listing(tmp_path / "victim") == ["file0.txt"]


def test_after_all_was_cleaned_jobs_can_be_made_again(storage: StorageRoot) -> None:
    storage.allocate_job("a")
    assert storage.cleanup_all() == 1
    assert storage.cleanup_all() == 0
    storage.allocate_job("a")
    assert storage.recover() == 0


def test_only_what_dead_processes_left_is_recovered(storage: StorageRoot) -> None:
    orphan(storage, "dead-1", "dead-2")
    mine = storage.allocate_job("mine")
    with hold(storage, "theirs"):
        assert storage.recover() == 2
        assert jobs(storage) == ["mine", "theirs"]
        assert (storage.root / "theirs" / "output" / "half").exists()
    assert mine.output_dir.is_dir()
    assert storage.recover() == 1


def test_what_nobody_recorded_as_a_job_is_recovered_by_nobody(tmp_path: Path) -> None:
    root = tmp_path / "data"
    make_entry(root, "photos", age_hours=100)
    (root / "README").write_text("mine")
    storage = StorageRoot(root)
    storage.allocate_job("a")
    assert storage.recover() == 0
    assert (root / "README").exists()
    assert (root / "photos").exists()


def test_what_no_process_made_as_a_job_is_not_recovered(storage: StorageRoot) -> None:
    make_entry(storage.root, "photos")
    make_entry(storage.root, "held")
    held = f"from common.temp import hold; hold({str(storage.root / 'held')!r}); print(1)"
    with process(held, cwd=storage.root.parent) as ended:
        ended.wait()
    orphan(storage, "a")
    assert storage.recover() == 1
    assert jobs(storage) == ["held", "photos"]


def test_what_another_made_later_under_the_name_of_a_dead_one_s_job_is_not_recovered(
    tmp_path: Path, storage: StorageRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    if born_at(str(storage.root)) is None:
        pytest.skip("the filesystem does not tell when a directory came to be")
    monkeypatch.setattr(jobs_module, "_MAKES_WITHIN", 0.0)
    elsewhere, written = make_entry(tmp_path, "results"), make_entry(tmp_path, "written")
    orphan(storage, "tenant", "moved", "dead", "last", "used")
    for name in ("tenant", "moved", "last", "used"):
        shutil.rmtree(storage.root / name)
    began = time.time()
    until(lambda: time.time() > began + 0.05, "a change shows in the times")
    by_hand = make_entry(storage.root, "tenant", age_hours=100)
    elsewhere.rename(storage.root / "moved")
    written.rename(storage.root / "used")
    (storage.root / "used" / "file1.txt").touch()
    assert (storage.recover(), storage.recover()) == (1, 0)
    assert jobs(storage) == ["moved", "tenant", "used"]
    assert (by_hand / "file0.txt").exists()
    for name in jobs(storage):
        storage.release_job(name)  # which is an order by name
    assert jobs(storage) == []


def test_the_job_that_a_record_names_which_was_unpacked_is_not_recovered(
    storage: StorageRoot,
) -> None:
    if born_at(str(storage.root)) is None:
        pytest.skip("the filesystem does not tell when a file came to be")
    orphan(storage, "dead")
    (record,) = (storage.root / ".tempkeep" / "owners").iterdir()
    other = record.with_name(f"1600000000{record.name[10:]}")
    record.rename(other)
    assert (storage.recover(), jobs(storage)) == (0, ["dead"])
    other.rename(record)
    assert (storage.recover(), jobs(storage)) == (1, [])


def test_what_is_pinned_stays(tmp_path: Path, storage: StorageRoot) -> None:
    orphan(storage, "dead", "evidence")
    pin(storage.root / "evidence", "evidence")
    assert storage.recover() == 1
    assert storage.cleanup_all() == 0
    assert jobs(storage) == ["evidence"]


def test_what_a_live_process_works_in_is_not_recovered(storage: StorageRoot) -> None:
    orphan(storage, "a")
    code = "import sys; print('ready', flush=True); sys.stdin.readline()"
    with process(code, cwd=storage.root / "a"):
        assert storage.recover() == 0
        storage.release_job("a")
        assert jobs(storage) == ["a"]
    assert storage.recover() == 1


def test_what_cannot_be_cleaned_is_logged_and_the_rest_goes(
    storage: StorageRoot, warnings: Callable[[], list[str]]
) -> None:
    bad = storage.allocate_job("bad")
    bad.csv_path.write_text("x")
    storage.allocate_job("good")
    with immutable(bad.csv_path):
        assert storage.cleanup_all() == 1
        assert jobs(storage) == ["bad"]
        assert warnings() == [f"cannot delete {bad.root}: input.csv: {IMMUTABLE}"]


@pytest.mark.parametrize("method", ["cleanup_all", "recover", "release_job"])
def test_a_root_that_became_unsafe_is_logged_and_left_alone(
    tmp_path: Path, storage: StorageRoot, warnings: Callable[[], list[str]], method: str
) -> None:
    orphan(storage, "a")
    (storage.root / ".tempkeep" / "owners").rename(tmp_path / "owners")
    (storage.root / ".tempkeep" / "owners").symlink_to(tmp_path / "owners")
    getattr(storage, method)(*(["a"] if method == "release_job" else []))
    assert (storage.root / "a" / "output" / "half").exists()
    assert "owners is not a directory made by this program; remove it" in warnings()[0]


def test_whenever_a_service_is_killed_the_next_one_recovers_everything(
    tmp_path: Path, storage: StorageRoot
) -> None:
    mine = storage.allocate_job("mine")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for _ in range(6):
        with process(CHURN.format(root=str(storage.root)), cwd=tmp_path) as churning:
            time.sleep(chance.uniform(0, 0.05))
            churning.send_signal(signal.SIGKILL)
            churning.wait(30)
            storage.recover()
            left = listing(storage.root)
            assert [path for path in left if not path.startswith((".tempkeep", "mine"))] == [], seed
            assert os.listdir(storage.root / ".tempkeep" / "holding") == []
    assert mine.output_dir.is_dir()


def test_two_that_recover_at_once_take_each_job_once(tmp_path: Path, storage: StorageRoot) -> None:
    orphan(storage, *(f"job-{number}" for number in range(40)))
    code = (
        "import sys; from pathlib import Path; from common.temp import StorageRoot\n"
        f"storage = StorageRoot(Path({str(storage.root)!r}))\n"
        "print(storage.recover())"
    )
    started = [
        Started([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert sum(int(one.communicate(timeout=60)[0]) for one in started) == 40
    assert jobs(storage) == []


# -- forks and threads ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["cleanup_all", "recover", "release_job"])
def test_a_forked_child_deletes_its_parent_s_jobs_by_name_alone(
    storage: StorageRoot, method: str
) -> None:
    job = storage.allocate_job("a")
    job.csv_path.write_text("x")

    def child() -> list[str]:
        getattr(storage, method)(*(["a"] if method == "release_job" else []))
        return listing(job.root)

    assert in_child(child) == ([] if method == "release_job" else ["input.csv", "output"])
    storage.release_job("a")
    assert jobs(storage) == []
    storage.allocate_job("a")
    assert jobs(storage) == ["a"]


def test_a_forked_child_has_jobs_of_its_own(storage: StorageRoot) -> None:
    storage.allocate_job("parent")

    def child() -> list[str]:
        storage.allocate_job("child")
        storage.allocate_job("child-2")
        storage.release_job("child")
        return jobs(storage)

    assert in_child(child) == ["child-2", "parent"]
    assert storage.recover() == 1
    assert jobs(storage) == ["parent"]


for_a_while = pytest.mark.parametrize("seconds", [0.3, pytest.param(5.0, marks=pytest.mark.slow)])


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns fifty times as often as they would."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 50)
    yield
    sys.setswitchinterval(usual)


def churn(storage: StorageRoot, seconds: float) -> list[Callable[[], None]]:
    """Threads that allocate and release two jobs, each by a root of its own."""
    ends = time.monotonic() + seconds

    def work(own: StorageRoot) -> None:
        while time.monotonic() < ends:
            job_id = random.choice("ab")
            if random.random() < 0.5:
                with contextlib.suppress(FileExistsError):
                    own.allocate_job(job_id)
            else:
                own.release_job(job_id)

    return [partial(work, StorageRoot(storage.root)) for _ in range(4)]


def leases(storage: StorageRoot) -> dict[str, int]:
    owner = own(str(storage.root))
    return dict(owner.live) if owner is not None else {}


@pytest.mark.usefixtures("restless")
@for_a_while
def test_threads_that_make_and_release_the_same_jobs_do_not_get_in_each_other_s_way(
    storage: StorageRoot, warnings: Callable[[], list[str]], seconds: float
) -> None:
    _in_threads(churn(storage, seconds))
    assert leases(storage) == dict.fromkeys(jobs(storage), 1)
    assert warnings() == []


@pytest.mark.usefixtures("restless")
@for_a_while
def test_whatever_is_cleaned_meanwhile_what_is_there_is_leased_and_nothing_else(
    storage: StorageRoot, seconds: float
) -> None:
    ends = time.monotonic() + seconds

    def clean() -> None:
        while time.monotonic() < ends:
            storage.recover()
            storage.cleanup_all()

    _in_threads([*churn(storage, seconds), clean])
    assert leases(storage) == dict.fromkeys(jobs(storage), 1)


def test_a_job_that_is_made_while_the_last_of_its_name_is_deleted_keeps_its_lease(
    storage: StorageRoot,
) -> None:
    storage.allocate_job("a").csv_path.write_text("x")
    made: list[JobStorage] = []

    def release_and_make(files: int, size: int) -> None:
        if not made:
            storage.release_job("a")
            made.append(storage.allocate_job("a"))

    plan = prepare(storage.root, EVERYTHING, time.time(), layout=JOBS)
    execute(plan, on_freed=release_and_make, workers=1)
    assert made
    assert storage.recover() == 0
    assert made[0].output_dir.is_dir()


# -- other kinds of jobs ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scan:
    root: Path
    image_path: Path = Path("scan.tiff")
    thumbnail_path: Path = Path("small/scan.jpg")
    output_dir: Path = Path("pages")
    dpi: int = 300


@dataclass(frozen=True)
class Bare:
    root: Path

    @property
    def note_path(self) -> Path:
        return self.root / "note.txt"


@dataclass(frozen=True)
class Derived(Bare):
    @property
    def output_dir(self) -> Path:
        return self.root / "results" / "of it"


def test_a_service_declares_its_own_files(tmp_path: Path) -> None:
    job = StorageRoot(tmp_path / "scans", job_type=Scan).allocate_job("a")
    root = tmp_path / "scans" / "a"
    pages = root / "pages"
    assert job == Scan(root, root / "scan.tiff", root / "small" / "scan.jpg", pages, 300)
    assert listing(root) == ["pages"]


def test_a_job_without_an_output_directory_is_an_empty_one(tmp_path: Path) -> None:
    job = StorageRoot(tmp_path / "jobs", job_type=Bare).allocate_job("a")
    assert job.note_path == tmp_path / "jobs" / "a" / "note.txt"
    assert listing(job.root) == []


def test_an_output_directory_may_be_a_property(tmp_path: Path) -> None:
    job = StorageRoot(tmp_path / "jobs", job_type=Derived).allocate_job("a")
    assert listing(job.root) == ["results", "results/of it"]


def _type(frozen: bool = True, **fields: Any) -> Any:
    made = [(name, Path, dataclasses.field(**said)) for name, said in fields.items()]
    return dataclasses.make_dataclass("Made", made, frozen=frozen)


@each(
    ("job_type", "said"),
    [
        (dict, "is not a dataclass; declare a frozen one"),
        (Bare(Path()), "is not a dataclass; declare a frozen one"),
        (_type(frozen=False, root={}), "is not frozen"),
        (_type(place={}), "has no field `root`"),
        (_type(root={}, csv={}), r"field `csv` names no file; give it a default such as Path"),
        (_type(root={}, csv={"default": Path("/etc/x")}), "names /etc/x, which is not in the job"),
        (_type(root={}, csv={"default": Path("a/../../x")}), "which is not in the job"),
        (_type(root={}, csv={"default": Path()}), "which is not in the job"),
    ],
)
def test_a_type_that_is_no_job_is_refused_before_anything_is_made(
    tmp_path: Path, job_type: Any, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        StorageRoot(tmp_path / "jobs", job_type=job_type)
    assert not (tmp_path / "jobs").exists()


def test_an_output_directory_outside_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Outside:
        root: Path

        @property
        def output_dir(self) -> Path:
            return self.root / ".." / "other"

    storage = StorageRoot(tmp_path / "jobs", job_type=Outside)
    with pytest.raises(TypeError, match=r"Outside.output_dir is .*, which is not in"):
        storage.allocate_job("a")
    assert os.listdir(storage.root) == [".tempkeep"]


# -- in the tasks -----------------------------------------------------------------------------


def _project_with(tmp_path: Path, root: str) -> Path:
    return make_project(tmp_path / "project", f"[tool.tempkeep]\nroots = [{root!r}]\n")


def test_a_clean_takes_dead_jobs_where_the_settings_name_the_root(
    tmp_path: Path, storage: StorageRoot
) -> None:
    orphan(storage, "dead")
    storage.allocate_job("alive")
    project = _project_with(tmp_path, "../jobs")
    listed = inv("temp-status", cwd=project).stdout
    assert "dead" in listed
    assert "alive" in listed
    assert inv("temp-clean", "--max-age-hours", "0", cwd=project).returncode == 0
    assert jobs(storage) == ["alive"]


def test_nothing_sweeps_a_root_that_no_settings_name(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    storage = StorageRoot(project / "var" / "jobs")
    orphan(storage, "dead")
    for arguments in (["--yes"], ["--everything", "--yes"], ["--yes", "--all-projects"]):
        assert inv("temp-clean", *arguments, cwd=project).returncode == 0
    assert jobs(storage) == ["dead"]


def test_a_signals_handler_meets_no_half_loaded_module(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from common.temp import JobStorage, StorageRoot\n"
        "storage = StorageRoot(Path('jobs')); before = {*sys.modules}\n"
        "storage.allocate_job('a'); storage.release_job('a'); storage.release_job('b')\n"
        "storage.allocate_job('c'); storage.cleanup_all(); storage.recover()\n"
        "ours = 'common.temp', 'tempkeep'\n"
        "print([name for name in {*sys.modules} - before if name.startswith(ours)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def _in_threads(work: list[Callable[[], None]]) -> None:
    failed: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
