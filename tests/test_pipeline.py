"""Runs of a pipeline: made and leased, kept by policy, cleaned from code and by a command."""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import contextvars
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from common.temp import pipeline, started_runs
from common.temp.core.layouts import JOBS, PIPELINE, RUNS_ARCHIVE
from common.temp.core.policy import STRATEGIES
from common.temp.errors import InvalidSettings, Refused, StorageError
from common.temp.holding import hold
from common.temp.pipeline import (
    ArtifactCleaner,
    cleanup_after_pipeline_run,
    pipeline_run,
    start_run,
)
from common.temp.pipeline_config import CleanupConfig, CleanupStrategy
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import write_pin
from common.temp.store.scanning.scan import scan
from common.temp.store.settings.keys import JSON_KEYS
from common.temp.store.settings.loading import load
from tests.each import each
from tests.support import (
    DENIED,
    LONG_AGO,
    age,
    environment,
    fill,
    immutable,
    listing,
    long_ago,
    make_entry,
    make_project,
    mounted,
    plain_user,
    process,
    run,
    stored,
)
from tests.warm import Started

NAMES = re.compile(r"pipeline_artifacts_[0-9]{8}_[0-9]{6}(-[0-9a-f]{8})?")

NOTHING_DONE = {
    "directories_found": 0,
    "candidates_identified": 0,
    "directories_archived": 0,
    "directories_deleted": 0,
    "space_freed_bytes": 0,
    "space_archived_bytes": 0,
    "errors": [],
}

RUN = """
import sys
from common.temp.pipeline import start_run
print(start_run({base!r}), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def nothing_started() -> Iterator[None]:
    """This process has started no run yet."""
    started_runs._last = None
    started_runs._mine.set(None)
    yield
    started_runs._last = None
    started_runs._mine.set(None)


@pytest.fixture
def base(project: Path) -> Path:
    """An empty directory for runs, in a project which is the working directory."""
    directory = project / "artifacts"
    directory.mkdir()
    return directory


def name_of(number: int) -> str:
    return f"pipeline_artifacts_20250917_{number:06}"


def make_runs(base: Path, count: int, *, hours: float = 1.0) -> list[str]:
    """So many runs that other code made by `mkdir`, oldest last, each so many hours older."""
    for number in range(count):
        make_entry(base, name_of(number), age_hours=number * hours)
    return [name_of(number) for number in range(count)]


def runs(base: Path) -> list[str]:
    return sorted({path.name for path in base.iterdir()} - {".tempkeep", RUNS_ARCHIVE})


def use_of(path: Path) -> str:
    """How a run is in use, as a scan sees it; "" if it is not."""
    (found,) = (
        entry
        for entry in scan(path.parent, time.time(), layout=PIPELINE).entries
        if entry.path == path.name
    )
    return "" if found.use is None else found.use.how


def size_on_disk(path: Path) -> int:
    inside = [path, *path.rglob("*")]
    return sum(item.lstat().st_blocks * 512 for item in inside)


def clean(base: Path, **config: Any) -> dict[str, Any]:
    """What a clean did by that configuration, which deletes and keeps no newest run but for its
    limits.
    """
    said = {"keep_last_good": 0, "archive_before_delete": False} | config
    return ArtifactCleaner(base, CleanupConfig(**said)).cleanup()


# -- making runs ------------------------------------------------------------------------------


def test_a_run_is_an_empty_directory_in_its_base_with_an_absolute_path(base: Path) -> None:
    made = start_run("artifacts")
    assert made.parent == base
    assert NAMES.fullmatch(made.name)
    assert listing(made) == []


def test_a_run_is_named_by_the_time_in_utc_wherever_one_is(base: Path) -> None:
    earliest = int(time.time())
    with process(RUN.format(base="artifacts"), cwd=base.parent, TZ="XXX-14") as running:
        name = Path(running.first_line).name
    told = time.strptime(name[:34], "pipeline_artifacts_%Y%m%d_%H%M%S")
    assert earliest <= calendar.timegm(told) <= time.time()


def test_the_base_is_the_working_directory_unless_one_is_given(project: Path) -> None:
    assert start_run().parent == project


def test_a_missing_base_is_made_with_the_directories_above_it(project: Path) -> None:
    made = start_run(project / "a" / "b")
    assert made.is_dir()
    assert sorted(os.listdir(project / "a" / "b")) == [".tempkeep", made.name]


def test_runs_of_one_second_each_get_their_own(base: Path) -> None:
    made = {start_run(base) for _ in range(30)}
    assert sorted(run.name for run in made) == runs(base)
    assert all(NAMES.fullmatch(run.name) for run in made)
    assert len(made) == 30


def test_threads_and_processes_that_begin_at_once_each_get_their_own(base: Path) -> None:
    code = (
        "import threading\n"
        "from common.temp.pipeline import start_run\n"
        "made = []\n"
        "threads = [threading.Thread(target=lambda: made.append(start_run())) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(*made, sep='\\n')\n"
    )
    started = [
        Started(
            [sys.executable, "-c", code],
            cwd=base,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    printed = [line for one in started for line in one.communicate()[0].splitlines()]
    assert len(printed) == len(set(printed)) == 48
    assert sorted(Path(line).name for line in printed) == runs(base)


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a_name_that_other_code_has_taken_is_left_to_it(base: Path, kind: str) -> None:
    now = time.time()
    for second in range(60):
        taken = time.strftime("pipeline_artifacts_%Y%m%d_%H%M%S", time.gmtime(now + second))
        (base / taken).mkdir() if kind == "directory" else (base / taken).touch()
    made = start_run(base)
    assert re.fullmatch(r"pipeline_artifacts_[0-9]{8}_[0-9]{6}-[0-9a-f]{8}", made.name)
    assert len(runs(base)) == 61


@pytest.mark.parametrize("given", ["", "a\0b"])
def test_a_base_that_is_no_path_is_refused_and_nothing_is_made(project: Path, given: str) -> None:
    before = listing(project)
    for make in (start_run, ArtifactCleaner):
        with pytest.raises(InvalidSettings, match="base: expected the path of a directory"):
            make(given)
    assert listing(project) == before


def test_a_base_that_is_a_file_is_refused(base: Path) -> None:
    (base / "file").write_text("mine")
    with pytest.raises(StorageError, match="file"):
        start_run(base / "file")
    assert (base / "file").read_text() == "mine"


def test_a_directory_of_jobs_is_no_base(base: Path) -> None:
    make_root(str(base / "jobs"), JOBS)
    (base / "jobs" / ".tempkeep" / "owners").rmdir()
    before = listing(base)
    with pytest.raises(Refused, match="holds jobs, not pipeline"):
        start_run(base / "jobs")
    assert listing(base) == before


def test_a_run_is_in_use_until_its_block_ends_and_stays_after_it(base: Path) -> None:
    with pipeline_run(base) as made:
        assert use_of(made) == "owner"
    assert use_of(made) == ""
    assert made.is_dir()


def test_a_block_that_raises_ends_the_use_as_well_and_the_run_stays(base: Path) -> None:
    def fail() -> None:
        with pipeline_run(base) as made:
            (made / "partial.txt").write_text("half")
            raise ValueError(made.name)

    with pytest.raises(ValueError, match="pipeline_artifacts_") as raised:
        fail()
    made = base / str(raised.value)
    assert (use_of(made), (made / "partial.txt").read_text()) == ("", "half")


def test_a_run_of_a_process_is_in_use_until_that_is_killed(base: Path) -> None:
    with process(RUN.format(base=str(base)), cwd=base) as running:
        assert use_of(Path(running.first_line)) == "owner"
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert use_of(Path(running.first_line)) == ""


def test_a_forked_child_that_leaves_the_block_does_not_end_its_parents_use(base: Path) -> None:
    code = (
        "import os, sys\n"
        "from common.temp.pipeline import pipeline_run\n"
        "with pipeline_run() as made:\n"
        "    child = os.fork()\n"
        "    if child: os.waitpid(child, 0); print(made, flush=True); sys.stdin.readline()\n"
    )
    with process(code, cwd=base) as running:
        made = Path(running.first_line)
        assert use_of(made) == "owner"
        running.communicate("end\n")
        assert use_of(made) == ""


# -- the configuration --------------------------------------------------------------------------


def test_the_strategies_are_those_of_the_settings() -> None:
    assert [strategy.value for strategy in CleanupStrategy] == list(STRATEGIES)
    assert all(strategy.name.lower() == strategy.value for strategy in CleanupStrategy)


def test_the_configuration_has_the_keys_of_the_file() -> None:
    assert {field.name for field in fields(CleanupConfig)} == set(JSON_KEYS)


@each(
    ("key", "value"),
    [
        ("strategy", "reckless"),
        ("strategy", 5),
        ("max_age_days", -1),
        ("max_age_days", "7"),
        ("max_age_days", float("nan")),
        ("max_runs_to_keep", 2.5),
        ("max_runs_to_keep", True),
        ("max_runs_to_keep", False),
        ("archive_before_delete", 1),
        ("archive_location", ""),
        ("archive_location", 3),
        ("archive_format", "zip"),
        ("dry_run", "yes"),
        ("exclude_patterns", "pipeline_*"),
        ("exclude_patterns", [1]),
        ("exclude_patterns", 1),
        ("min_free_space_gb", "5"),
        ("min_free_space_gb", -0.1),
    ],
)
def test_a_value_that_the_file_could_not_have_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(InvalidSettings, match=f"^CleanupConfig: {key}: expected "):
        CleanupConfig(**{key: value})


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, {}),
        ({"strategy": CleanupStrategy.ARCHIVE}, {"strategy": "archive"}),
        ({"strategy": "conservative", "max_age_days": 0.5}, ...),
        ({"max_runs_to_keep": 0, "min_free_space_gb": 1.5, "dry_run": True}, ...),
        ({"archive_before_delete": False, "archive_location": "elsewhere"}, ...),
        ({"archive_location": Path("elsewhere")}, {"archive_location": "elsewhere"}),
        ({"archive_format": "tar.zst"}, ...),
        ({"exclude_patterns": ["a*", "b"]}, ...),
        ({"exclude_patterns": ("a*", "b")}, {"exclude_patterns": ["a*", "b"]}),
        ({"exclude_patterns": None}, {}),
    ],
)
def test_a_configuration_means_what_the_same_words_in_a_file_mean(
    base: Path, config: dict[str, Any], said: Any
) -> None:
    said = config if said is ... else said
    default = {
        "strategy": "moderate",
        "archive_before_delete": True,
        "archive_location": RUNS_ARCHIVE,
    }
    (base / "cleanup_config.json").write_text(json.dumps({**default, **said}))
    assert CleanupConfig(**config).settings(base) == load(base, {})


# -- what goes and what stays -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "count"),
    [
        (CleanupStrategy.AGGRESSIVE, 3),
        (CleanupStrategy.MODERATE, 5),
        (CleanupStrategy.CONSERVATIVE, 14),
        (CleanupStrategy.ARCHIVE, 5),
    ],
)
def test_a_strategy_keeps_so_many_of_the_newest(
    base: Path, strategy: CleanupStrategy, count: int
) -> None:
    made = make_runs(base, 16)
    done = clean(base, strategy=strategy, archive_location="../archive")
    assert runs(base) == made[:count]
    assert (done["directories_found"], done["candidates_identified"]) == (16, 16 - count)
    went = "archived" if strategy is CleanupStrategy.ARCHIVE else "deleted"
    assert done[f"directories_{went}"] == 16 - count


@pytest.mark.parametrize(
    ("strategy", "days"),
    [
        (CleanupStrategy.AGGRESSIVE, 3),
        (CleanupStrategy.MODERATE, 7),
        (CleanupStrategy.CONSERVATIVE, 30),
        (CleanupStrategy.ARCHIVE, 7),
    ],
)
def test_a_strategy_keeps_what_is_no_older_than_so_many_days(
    base: Path, strategy: CleanupStrategy, days: int
) -> None:
    make_entry(base, name_of(1), age_hours=days * 24 - 1)
    make_entry(base, name_of(2), age_hours=days * 24 + 1)
    clean(base, strategy=strategy, archive_location="../archive")
    assert runs(base) == [name_of(1)]


def test_numbers_beside_a_strategy_go_before_its_own(base: Path) -> None:
    make_runs(base, 5, hours=20)
    clean(base, strategy=CleanupStrategy.AGGRESSIVE, max_runs_to_keep=4, max_age_days=1.5)
    assert runs(base) == [name_of(0), name_of(1)]


def test_age_is_the_newest_change_inside_or_the_time_in_the_name_if_that_is_later(
    base: Path,
) -> None:
    make_entry(base, "pipeline_artifacts_20010101_000000")
    make_entry(base, "pipeline_artifacts_20010101_000001", age_hours=1000)
    make_entry(base, made := time.strftime("pipeline_artifacts_%Y%m%d_%H%M%S", time.gmtime()))
    age(base / made, 1000)
    clean(base)
    assert runs(base) == ["pipeline_artifacts_20010101_000000", made]


def test_nothing_but_directories_of_that_name_goes(base: Path, tmp_path: Path) -> None:
    precious = make_entry(tmp_path, "precious", age_hours=1000)
    others = [
        "pipeline_artifacts_20250917_013040.bak",
        "pipeline_artifacts_20250917_0130",
        "pipeline_artifacts_latest",
        "my_pipeline_artifacts_20250917_013040",
        "notes",
    ]
    for name in others:
        make_entry(base, name, age_hours=1000)
    (base / name_of(1)).write_text("a file")
    age(base / name_of(1), 1000)
    (base / name_of(2)).symlink_to(precious)
    make_entry(base / "below", name_of(3), age_hours=1000)
    before = listing(base)
    make_entry(base, name_of(4), age_hours=1000)
    assert clean(base, max_runs_to_keep=0)["directories_found"] == 1
    shutil.rmtree(base / ".tempkeep")
    assert listing(base) == before
    assert listing(precious) == ["file0.txt"]


def test_what_is_counted_as_freed_was_freed(base: Path) -> None:
    make_runs(base, 2)
    (base / name_of(1) / "big").write_bytes(os.urandom(300_000))
    age(base / name_of(1), 10)
    size = size_on_disk(base / name_of(1))
    assert clean(base, max_runs_to_keep=1) == {
        "directories_found": 2,
        "candidates_identified": 1,
        "directories_archived": 0,
        "directories_deleted": 1,
        "space_freed_bytes": size,
        "space_archived_bytes": 0,
        "errors": [],
    }


def test_archiving_on_the_same_disk_frees_nothing_and_the_figure_says_so(base: Path) -> None:
    make_runs(base, 3)
    done = clean(base, max_runs_to_keep=1, archive_before_delete=True, archive_location="old")
    assert (done["directories_archived"], done["directories_deleted"]) == (2, 0)
    assert (done["space_freed_bytes"], done["errors"]) == (0, [])
    kept = [path.parent.name for path in (base / "old").rglob("file0.txt")]
    assert sorted(kept) == [name_of(1), name_of(2)]


def test_runs_are_archived_in_the_format_that_is_asked_for(base: Path) -> None:
    make_runs(base, 2)
    done = clean(
        base,
        max_runs_to_keep=1,
        archive_before_delete=True,
        archive_location="old",
        archive_format="tar.gz",
    )
    assert (done["directories_archived"], done["errors"]) == (1, [])
    assert stored(base / "old") == [f"{name_of(1)}.tar.gz"]


def test_archiving_on_another_disk_frees_what_it_took(base: Path, tmp_path: Path) -> None:
    make_runs(base, 2)
    size = size_on_disk(base / name_of(1))
    with mounted(tmp_path / "disk", "size=4m") as disk:
        done = clean(base, max_runs_to_keep=1, archive_before_delete=True, archive_location=disk)
    assert (done["directories_archived"], done["space_freed_bytes"]) == (1, size)
    assert runs(base) == [name_of(0)]


def test_an_archive_among_the_runs_is_refused_before_anything_is_touched(base: Path) -> None:
    make_runs(base, 3)
    done = clean(base, max_runs_to_keep=0, archive_before_delete=True, archive_location=base)
    (error,) = done["errors"]
    assert "archive_location: expected another directory than that of the runs" in error
    assert runs(base) == [name_of(0), name_of(1), name_of(2)]


def test_a_dry_run_counts_and_writes_nothing_and_force_overrides_it(base: Path) -> None:
    make_runs(base, 3)
    before = listing(base)
    cleaner = ArtifactCleaner(base, CleanupConfig(max_runs_to_keep=1, dry_run=True))
    assert cleaner.cleanup() == {
        **NOTHING_DONE,
        "directories_found": 3,
        "candidates_identified": 2,
    }
    assert listing(base) == before
    assert cleaner.cleanup(force=True)["directories_archived"] == 2
    assert runs(base) == [name_of(0)]


def test_excluded_and_pinned_runs_stay(base: Path) -> None:
    make_runs(base, 4)
    write_pin(base, name_of(1), "evidence")
    done = clean(base, max_runs_to_keep=0, exclude_patterns=["*_000002"])
    assert runs(base) == [name_of(1), name_of(2)]
    assert (done["candidates_identified"], done["directories_deleted"]) == (2, 2)


def test_where_less_is_free_than_is_wanted_runs_go_by_their_limits_only(base: Path) -> None:
    made = make_runs(base, 6)
    done = clean(base, min_free_space_gb=10**9)
    assert (done["directories_deleted"], runs(base)) == (1, made[:5])


def test_on_a_low_disk_the_oldest_archives_of_runs_go_before_any_run(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=8m") as disk:
        base = disk / "base"
        make_runs(base, 4)
        for number in range(4):
            (base / name_of(number) / "noise").write_bytes(os.urandom(1 << 20))
            age(base / name_of(number), number + 1)
        config: dict[str, Any] = {"archive_before_delete": True, "archive_location": "old"}
        assert clean(base, max_runs_to_keep=2, **config)["directories_archived"] == 2
        bare = make_entry(base / "old", name_of(9))  # as an older script archived it
        (bare / "noise").write_bytes(os.urandom(1 << 20))
        done = clean(base, min_free_space_gb=4.5 / 1024, max_runs_to_keep=2, **config)
        assert (done["candidates_identified"], done["errors"]) == (0, [])
        assert done["space_freed_bytes"] > 1 << 20
        assert stored(base / "old") == [name_of(2)]
        assert (base / name_of(0)).is_dir()
        assert (base / name_of(1)).is_dir()


def test_that_too_little_is_free_after_all_is_logged_with_what_holds_it(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_runs(base, 2)
    done = clean(base, min_free_space_gb=10**9, exclude_patterns=[name_of(1)])
    assert (done["directories_deleted"], done["errors"]) == (0, [])
    (said,) = caplog.messages
    assert said.startswith(f"{base}: low space: ")
    assert said.endswith("held by what stays: 8.0 KiB excluded, 8.0 KiB within limits")


def test_a_live_processs_run_stays_and_goes_when_that_is_killed(base: Path) -> None:
    make_runs(base, 1, hours=0)
    with process(LONG_AGO + RUN.format(base=str(base)), cwd=base.parent) as running:
        made = Path(running.first_line)
        age(made, 1000)
        assert clean(base, max_runs_to_keep=0)["directories_deleted"] == 1
        assert runs(base) == [made.name]
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert clean(base)["directories_deleted"] == 1
    assert runs(base) == []


def test_a_run_that_other_code_made_stays_while_a_process_works_in_it(base: Path) -> None:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("only /proc tells where a process works")
    made = make_entry(base, name_of(1), age_hours=1000)
    with process("print('here', flush=True); input()", cwd=made):
        assert clean(base)["directories_deleted"] == 0
        assert made.is_dir()
    assert clean(base)["directories_deleted"] == 1


def test_ones_own_run_stays_while_it_goes_on(base: Path) -> None:
    with contextlib.ExitStack() as block:
        with long_ago():
            made = block.enter_context(pipeline_run(base))
        age(made, 1000)
        assert clean(base)["directories_deleted"] == 0
    assert clean(base)["directories_deleted"] == 1


def test_a_run_that_cannot_be_deleted_is_an_error_and_the_others_go(base: Path) -> None:
    make_runs(base, 4)
    with immutable(base / name_of(2) / "file0.txt"):
        done = clean(base, max_runs_to_keep=0)
        (error,) = done["errors"]
        assert error.startswith(f"{name_of(2)}: file0.txt: Operation not permitted")
        assert (done["candidates_identified"], done["directories_deleted"]) == (4, 3)
        assert runs(base) == [name_of(2)]


def test_a_run_that_cannot_be_read_is_an_error_and_the_others_go(base: Path) -> None:
    make_runs(base, 4, hours=1000)
    (base / name_of(2)).chmod(0)
    with plain_user():
        done = clean(base)
    assert done["errors"] == [f"{name_of(2)}: {DENIED}"]
    assert runs(base) == [name_of(0), name_of(2)]


def test_an_error_is_one_printable_line_whatever_a_file_is_called(base: Path) -> None:
    make_runs(base, 1)
    odd = base / name_of(0) / os.fsdecode(b"two\nlines\xff")
    odd.touch()
    with immutable(odd):
        (error,) = clean(base, max_runs_to_keep=0)["errors"]
    assert error.isprintable()
    assert error.encode()


def test_cleaners_side_by_side_delete_each_run_once_and_report_no_error(base: Path) -> None:
    make_runs(base, 60)
    code = (
        "import json\n"
        "from common.temp.pipeline import ArtifactCleaner, CleanupConfig\n"
        "print(json.dumps(ArtifactCleaner('.', CleanupConfig(max_runs_to_keep=0, keep_last_good=0"
        ", archive_before_delete=False)).cleanup()))\n"
    )
    started = [
        Started([sys.executable, "-c", code], cwd=base, env=environment(), stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    done = [json.loads(one.communicate()[0]) for one in started]
    assert [one["errors"] for one in done] == [[]] * 4
    assert sum(one["directories_deleted"] for one in done) == 60
    assert runs(base) == []


# -- whose settings hold ------------------------------------------------------------------------


def configure(project: Path, **said: object) -> None:
    (project / "cleanup_config.json").write_text(json.dumps(said))


def test_without_a_configuration_the_projects_settings_hold(base: Path) -> None:
    make_runs(base, 4)
    configure(base.parent, max_runs_to_keep=2, exclude_patterns=["*_000003"])
    assert ArtifactCleaner(base).cleanup()["directories_archived"] == 1
    assert runs(base) == [name_of(0), name_of(1), name_of(3)]


@pytest.mark.parametrize("said", ["", "[tool.tempkeep.category.cache]\nmax_count = 1\n"])
def test_where_the_project_has_no_limit_for_runs_it_is_the_moderate_strategy(
    base: Path, said: str
) -> None:
    make_runs(base, 7)
    (base.parent / "pyproject.toml").write_text(said)
    ArtifactCleaner(base).cleanup()
    assert len(runs(base)) == 5


def test_the_projects_table_for_runs_holds(base: Path) -> None:
    make_runs(base, 7)
    (base.parent / "pyproject.toml").write_text(
        "[tool.tempkeep.category.pipeline]\nmax_count = 6\n"
    )
    ArtifactCleaner(base).cleanup()
    assert len(runs(base)) == 6


def test_a_given_configuration_says_all_by_itself(base: Path) -> None:
    make_runs(base, 4)
    configure(base.parent, dry_run=True, exclude_patterns=["*"])
    assert clean(base, max_runs_to_keep=1)["directories_deleted"] == 3


def test_a_given_file_stands_for_that_of_the_project(base: Path, tmp_path: Path) -> None:
    make_runs(base, 4)
    configure(base.parent, dry_run=True, max_runs_to_keep=1)
    configure(tmp_path, max_runs_to_keep=2)
    done = ArtifactCleaner(base, tmp_path / "cleanup_config.json").cleanup()
    assert done["directories_archived"] == 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("cleanup_config.json", "{", "not valid JSON"),
        ("cleanup_config.json", '{"max_runs": 3}', "max_runs is not a key"),
        ("pyproject.toml", "[tool.tempkeep]\nstrategy = 3\n", "strategy: expected one of"),
    ],
)
def test_settings_that_cannot_be_used_are_an_error_and_nothing_is_touched(
    base: Path, name: str, text: str, said: str
) -> None:
    make_runs(base, 9)
    (base.parent / name).write_text(text)
    before = listing(base)
    done = ArtifactCleaner(base).cleanup()
    (error,) = done["errors"]
    assert (said in error, {**done, "errors": []}) == (True, NOTHING_DONE)
    assert listing(base) == before


# -- hostile bases ------------------------------------------------------------------------------


def hostile(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "base"
    if kind == "a file":
        path.write_text("mine")
    elif kind == "a link to nowhere":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "a link to itself":
        path.symlink_to(path)
    elif kind == "a link to everything":
        path.symlink_to("/")
    elif kind == "jobs":
        make_root(str(path), JOBS)
    elif kind == "a store that is a link":
        make_root(str(tmp_path / "other"), PIPELINE)
        path.mkdir()
        (path / ".tempkeep").symlink_to(tmp_path / "other" / ".tempkeep")
    if path.is_dir() and kind != "a link to everything":
        make_entry(path, name_of(1), age_hours=1000)
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("a file", "is not a directory"),
        ("a link to nowhere", "is a dangling symlink"),
        ("a link to itself", "symbolic links"),
        ("a link to everything", "which holds far more; remove the link"),
        ("jobs", "holds jobs, not pipeline"),
        ("a store that is a link", "is not a directory made by this program"),
    ],
)
def test_a_hostile_base_is_an_error_and_nothing_is_touched(
    tmp_path: Path, kind: str, said: str
) -> None:
    path = hostile(tmp_path, kind)
    before = listing(tmp_path)
    done = clean(path, max_runs_to_keep=0)
    (error,) = done["errors"]
    assert said in error
    assert {**done, "errors": []} == NOTHING_DONE
    assert listing(tmp_path) == before


def test_a_missing_base_is_nothing_to_do_and_is_not_made(tmp_path: Path) -> None:
    assert clean(tmp_path / "nowhere") == NOTHING_DONE
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_a_base_that_cannot_be_read_is_an_error(base: Path, mode: int) -> None:
    make_runs(base, 2, hours=1000)
    base.chmod(mode)
    try:
        with plain_user():
            done = clean(base)
    finally:
        base.chmod(0o700)
    assert any("Permission denied" in error for error in done["errors"])
    assert (done["directories_deleted"], len(runs(base))) == (0, 2)


def test_a_base_that_cannot_be_written_to_is_an_error_for_each_run(base: Path) -> None:
    make_runs(base, 3, hours=1000)
    base.chmod(0o500)
    try:
        with plain_user():
            done = clean(base)
    finally:
        base.chmod(0o700)
    assert (len(done["errors"]), done["directories_deleted"], len(runs(base))) == (2, 0, 3)


def test_the_root_of_the_filesystem_has_no_runs_and_stays_as_it_is() -> None:
    before = sorted(os.listdir("/"))
    assert clean(Path("/"), dry_run=True)["directories_found"] == 0
    assert clean(Path("/")) == NOTHING_DONE
    assert sorted(os.listdir("/")) == before


def test_a_base_that_is_a_link_to_a_directory_of_ones_own_is_cleaned(
    base: Path, tmp_path: Path
) -> None:
    make_runs(base, 2, hours=1000)
    (tmp_path / "link").symlink_to(base)
    assert clean(tmp_path / "link")["directories_deleted"] == 1
    assert runs(base) == [name_of(0)]
    assert (tmp_path / "link").is_symlink()


def test_a_base_that_is_scratch_loses_its_runs_and_no_other_entry(root: Path) -> None:
    make_entry(root, "debug/x_1696348800", age_hours=1000)
    make_entry(root, name_of(1), age_hours=1000)
    clean(root)
    assert (root / "debug" / "x_1696348800").is_dir()
    assert not (root / name_of(1)).exists()


# -- after a run --------------------------------------------------------------------------------


def test_the_base_is_that_of_the_run_which_was_started_last(base: Path, tmp_path: Path) -> None:
    make_runs(tmp_path, 9)
    make_runs(base, 9)
    with pipeline_run(base) as made:
        pass
    os.chdir(tmp_path)
    assert cleanup_after_pipeline_run()["directories_archived"] == 5
    assert runs(base) == [*(name_of(number) for number in range(4)), made.name]
    assert len([path for path in tmp_path.iterdir() if NAMES.fullmatch(path.name)]) == 9


def test_without_a_run_the_base_is_the_working_directory(project: Path) -> None:
    make_runs(project, 9)
    make_runs(project / "artifacts", 9)
    assert cleanup_after_pipeline_run("mine")["directories_archived"] == 4
    assert len(runs(project / "artifacts")) == 9


def test_a_thread_cleans_beside_its_own_run_and_one_that_has_none_beside_the_last(
    tmp_path: Path,
) -> None:
    barrier = threading.Barrier(3)
    bases = [tmp_path / name for name in "ab"]
    done: dict[Path, dict[str, Any]] = {}

    def work(base: Path) -> None:
        make_runs(base, 9)
        with pipeline_run(base) as made:
            barrier.wait(60)
        done[base] = cleanup_after_pipeline_run()
        assert made.is_dir()

    threads = [threading.Thread(target=work, args=(base,)) for base in bases]
    for thread in threads:
        thread.start()
    barrier.wait(60)
    for thread in threads:
        thread.join(60)
    assert [done[base]["directories_archived"] for base in bases] == [5, 5]
    assert cleanup_after_pipeline_run()["directories_found"] == 5


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "going on"])
def test_the_current_run_stays_however_old_it_is(base: Path, ended: bool) -> None:
    make_runs(base, 6, hours=0)
    with long_ago():
        if ended:
            with pipeline_run(base) as made:
                pass
        else:
            made = start_run(base)
    age(made, 1000)
    assert cleanup_after_pipeline_run(strategy=CleanupStrategy.AGGRESSIVE)["errors"] == []
    assert made.is_dir()
    assert len(runs(base)) == 4


def test_the_current_run_stays_also_under_a_table_of_its_category(base: Path) -> None:
    (base.parent / "pyproject.toml").write_text(
        '[tool.tempkeep.category.pipeline]\nexclude = ["x"]\n'
    )
    with long_ago(), pipeline_run(base) as made:
        pass
    age(made, 1000)
    cleanup_after_pipeline_run()
    assert made.is_dir()


def test_a_current_run_that_is_not_to_be_kept_goes_and_another_processs_live_one_stays(
    base: Path,
) -> None:
    with process(LONG_AGO + RUN.format(base=str(base)), cwd=base.parent) as running:
        theirs = Path(running.first_line)
        with long_ago():
            mine = start_run(base)
        for made in (theirs, mine):
            age(made, 1000)
        done = cleanup_after_pipeline_run(keep_current=False)
        assert (done["directories_archived"], done["errors"]) == (1, [])
        assert runs(base) == [theirs.name]


def test_a_current_run_that_is_not_to_be_kept_stays_if_the_policy_lets_it(base: Path) -> None:
    made = start_run(base)
    cleanup_after_pipeline_run(keep_current=False)
    assert (made.is_dir(), use_of(made)) == (True, "")


def test_a_run_that_somebody_else_here_holds_stays_in_use_when_it_is_let_go_twice(
    base: Path,
) -> None:
    with pipeline_run(base) as made:
        held = hold(made)
        cleanup_after_pipeline_run(keep_current=False)
        cleanup_after_pipeline_run(keep_current=False)
    assert use_of(made) != ""
    held.release()
    assert use_of(made) == ""


def test_a_threads_live_run_stays_when_another_thread_gives_up_its_own(base: Path) -> None:
    theirs: list[Path] = []
    thread = threading.Thread(target=lambda: theirs.append(start_run(base)))
    with long_ago():
        thread.start()
        thread.join(60)
        mine = start_run(base)
    for made in (mine, *theirs):
        age(made, 1000)
    cleanup_after_pipeline_run(keep_current=False)
    assert runs(base) == [theirs[0].name]


@pytest.mark.parametrize("how", ["thread", "copied context", "task"])
def test_a_run_stays_when_another_thread_or_task_than_that_of_its_block_cleans(
    base: Path, how: str
) -> None:
    def clean() -> None:
        cleanup_after_pipeline_run(strategy=CleanupStrategy.AGGRESSIVE, keep_current=False)

    async def housekeeping() -> None:
        clean()

    async def begin() -> None:
        await asyncio.gather(housekeeping())

    for _ in range(4):
        with long_ago(), pipeline_run(base):
            pass
    with long_ago(2000), pipeline_run(base) as made:
        age(made, 2000)
        if how == "task":
            asyncio.run(begin())
        else:
            run_in = (
                contextvars.copy_context() if how == "copied context" else contextvars.Context()
            )
            thread = threading.Thread(target=run_in.run, args=(clean,))
            thread.start()
            thread.join(60)
        assert made.is_dir()
        assert use_of(made) != ""


def test_a_forked_child_cannot_let_its_parents_run_go(base: Path) -> None:
    code = (
        f"{LONG_AGO}"
        "import os, sys\n"
        "from common.temp.pipeline import cleanup_after_pipeline_run, start_run\n"
        "made = start_run()\n"
        "os.utime(made, (0, 0))\n"
        "if not (child := os.fork()):\n"
        "    os._exit(7 + cleanup_after_pipeline_run(keep_current=False)['directories_deleted'])\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.path.isdir(made))\n"
    )
    assert run([sys.executable, "-c", code], cwd=base).stdout == "7 True\n"


def test_the_numbers_of_the_strategy_stand_for_the_configured_and_the_rest_holds(
    base: Path,
) -> None:
    make_runs(base, 9)
    configure(base.parent, max_runs_to_keep=8, max_age_days=1, exclude_patterns=["*_000007"])
    (base.parent / "pyproject.toml").write_text(
        "[tool.tempkeep.category.pipeline]\nmax_count = 7\n"
    )
    start_run(base)
    cleanup_after_pipeline_run(strategy=CleanupStrategy.AGGRESSIVE)
    assert runs(base)[:3] == [name_of(0), name_of(1), name_of(7)]
    assert len(runs(base)) == 4


def test_what_the_project_archives_is_archived_after_a_run_whatever_the_strategy(
    base: Path,
) -> None:
    make_runs(base, 9)
    configure(base.parent, strategy="archive")
    start_run(base)
    done = cleanup_after_pipeline_run()
    assert (done["directories_archived"], done["directories_deleted"]) == (5, 0)
    assert len(stored(base / RUNS_ARCHIVE)) == 5


def test_a_configured_dry_run_holds_after_a_run_too(base: Path) -> None:
    make_runs(base, 9)
    configure(base.parent, dry_run=True)
    start_run(base)
    assert cleanup_after_pipeline_run()["candidates_identified"] == 5
    assert len(runs(base)) == 10


def test_a_full_disk_can_be_cleaned_after_a_run(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        configure(disk, archive_before_delete=False)
        (disk / "pyproject.toml").touch()
        make_runs(disk, 6)
        with pipeline_run(disk) as made:
            fill(made)
        done = cleanup_after_pipeline_run(strategy=CleanupStrategy.AGGRESSIVE)
        assert (done["directories_deleted"], done["errors"]) == (4, [])
        assert made.is_dir()


def test_errors_are_logged_with_the_name_of_the_pipeline(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start_run(base)
    configure(base.parent, nonsense=1)
    with caplog.at_level(logging.INFO, "common.temp.pipeline"):
        (error,) = cleanup_after_pipeline_run("nightly")["errors"]
    warning, summary = caplog.records
    assert (warning.levelname, warning.message) == ("WARNING", f"cleaning after nightly: {error}")
    assert (summary.levelname, summary.message[:21]) == ("INFO", "cleaned after nightly")


def test_a_strategy_that_is_none_is_an_error_and_nothing_goes(base: Path) -> None:
    make_runs(base, 9)
    start_run(base)
    done = cleanup_after_pipeline_run(strategy="reckless")  # type: ignore[arg-type]
    assert done["errors"] == [
        "strategy: expected one of aggressive, moderate, conservative, archive, got 'reckless'"
    ]
    assert len(runs(base)) == 10


def test_a_working_directory_that_is_gone_is_an_error(project: Path) -> None:
    project.rename(project.with_name("moved"))
    shutil.rmtree(project.with_name("moved"))
    (error,) = cleanup_after_pipeline_run()["errors"]
    assert error.startswith("the working directory is gone")


# -- the command --------------------------------------------------------------------------------


def command(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "common.temp.pipeline", *arguments], cwd=cwd, **more)


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command, run in this process: its exit code, and what it printed."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            pipeline.main(arguments)
        assert isinstance(end.value.code, int)
        return (end.value.code, *capfd.readouterr())

    return ran


def test_the_command_says_of_each_run_why_it_goes(base: Path) -> None:
    configure(base.parent, archive_before_delete=False)
    make_runs(base, 4)
    done = command("--strategy", "aggressive", "--base", "artifacts", cwd=base.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"deleted {name_of(3)}  8.0 KiB  (over count: 4th newest of 4 pipeline_artifacts, limit 3)",
        "artifacts: cleaned 1 entry, freed 8.0 KiB; kept 3 entries: 3 within limits",
    ]
    assert runs(base) == [name_of(0), name_of(1), name_of(2)]


def test_the_command_cleans_where_one_stands_and_moderately(base: Path) -> None:
    make_runs(base, 6)
    done = command(cwd=base)
    assert (done.returncode, done.stderr, len(runs(base))) == (0, "", 5)


Main = Callable[..., tuple[int, str, str]]


def test_nothing_to_do_is_said_in_one_line(base: Path, main: Main) -> None:
    assert main("--base", str(base)) == (0, "artifacts: nothing to clean\n", "")


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_a_dry_run_says_what_would_go_and_writes_nothing(
    base: Path, main: Main, more: tuple[str, ...]
) -> None:
    make_runs(base, 6)
    before = listing(base)
    code, out, err = main("--strategy", "moderate", "--dry-run", "--base", str(base), *more)
    assert (code, err) == (0, "")
    assert f"would archive {name_of(5)}" in out
    assert "artifacts: would archive 1 entry" in out
    assert listing(base) == before


def test_a_configured_dry_run_is_told_and_overridden_by_force(base: Path, main: Main) -> None:
    make_runs(base, 3)
    configure(base.parent, dry_run=True, max_runs_to_keep=1)
    code, out, err = main("--base", str(base))
    assert code == 0
    assert err == "dry_run is configured, so nothing is cleaned; use --force to clean\n"
    assert "would archive 2 entries" in out
    assert len(runs(base)) == 3
    assert main("--base", str(base), "--force")[0] == 0
    assert len(runs(base)) == 1


def test_a_file_is_read_in_place_of_the_projects(base: Path, main: Main, tmp_path: Path) -> None:
    make_runs(base, 3)
    configure(base.parent, max_runs_to_keep=1)
    (tmp_path / "nightly.json").write_text('{"max_runs_to_keep": 2}')
    assert main("--base", str(base), "--config", str(tmp_path / "nightly.json"))[0] == 0
    assert len(runs(base)) == 2


def test_a_strategy_goes_before_the_numbers_of_the_file_and_the_rest_holds(
    base: Path, main: Main, tmp_path: Path
) -> None:
    make_runs(base, 5)
    (tmp_path / "nightly.json").write_text(
        '{"max_runs_to_keep": 1, "max_age_days": 0, "exclude_patterns": ["*_000004"]}'
    )
    config = str(tmp_path / "nightly.json")
    assert main("--base", str(base), "--config", config, "--strategy", "aggressive")[0] == 0
    assert runs(base) == [name_of(0), name_of(1), name_of(2), name_of(4)]


@pytest.mark.parametrize("strategy", ["archive", "moderate"])
def test_runs_are_archived_beside_them(base: Path, main: Main, strategy: str) -> None:
    make_runs(base, 6)
    code, out, _ = main("--base", str(base), "--strategy", strategy)
    assert (code, f"archived {name_of(5)}" in out, "freed 0 B" in out) == (0, True, True)
    assert stored(base / RUNS_ARCHIVE) == [name_of(5)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategy", "reckless"], "--strategy: expected one of aggressive, moderate, "),
        (["--strategy"], "argument --strategy: expected one argument"),
        (["--config", "missing.json"], "missing.json: no such file; give the path of a "),
        (["--config", "broken.json"], "broken.json: not valid JSON: "),
        (["--config", "odd.json"], r"odd.json: 'a\nb' is not a key; expected one of strategy"),
        (["--config", "."], ".: cannot be read: Is a directory"),
        (["--base", "nowhere"], "nowhere is not a directory; give the directory of the runs"),
        (["--base", "odd.json"], "odd.json is not a directory; give the directory of the runs"),
        (["--base", ""], "base: expected the path of a directory, got ''"),
        (["--bas", "artifacts"], "unrecognized arguments: --bas artifacts"),
        (["two\nlines"], r"unrecognized arguments: two\nlines"),
        (["--strategy", "archive", "--config", "among.json"], "archive_location: expected anoth"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2_and_nothing_is_touched(
    base: Path, main: Main, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    make_runs(base, 9)
    (base / "broken.json").write_text("{")
    (base / "odd.json").write_text('{"a\\nb": 1}')
    (base / "among.json").write_text('{"archive_location": "artifacts"}')
    before = listing(base)
    monkeypatch.chdir(base)
    code, out, err = main(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: ")
    assert said in err
    assert listing(base) == before


@pytest.mark.parametrize("kind", ["jobs", "a link to everything", "a store that is a link"])
def test_a_refusal_is_one_line_and_exit_code_3(tmp_path: Path, main: Main, kind: str) -> None:
    path = hostile(tmp_path, kind)
    before = listing(tmp_path)
    code, out, err = main("--base", str(path))
    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert listing(tmp_path) == before


def test_a_run_that_fails_has_its_line_and_exit_code_1_and_the_others_go(
    base: Path, main: Main
) -> None:
    configure(base.parent, archive_before_delete=False)
    make_runs(base, 7)
    with immutable(base / name_of(5) / "file0.txt"):
        code, _, err = main("--base", str(base))
        assert (code, len(err.splitlines())) == (1, 1)
        assert f"failed {name_of(5)}: file0.txt: Operation not permitted" in err
        assert name_of(6) not in runs(base)


def test_a_run_in_use_is_named_with_who_uses_it(base: Path) -> None:
    with process(LONG_AGO + RUN.format(base=str(base)), cwd=base.parent) as running:
        made = Path(running.first_line)
        age(made, 1000)
        done = command("--strategy", "aggressive", "--base", "artifacts", cwd=base.parent)
        assert done.returncode == 0
        assert f"kept {made.name}: in use: pid {running.pid}" in done.stdout


def test_its_help_names_the_module_that_is_run(main: Main) -> None:
    code, out, _ = main("--help")
    assert (code, out.startswith("usage: python3 -m common.temp.pipeline ")) == (0, True)


def test_the_runs_are_listed_where_the_project_names_their_base(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", '[tool.tempkeep]\nroots = ["artifacts"]\n')
    with pipeline_run(project / "artifacts") as made:
        done = run([sys.executable, "-m", "invoke", "temp-status"], cwd=project)
        (line,) = (line for line in done.stdout.splitlines() if made.name in line)
        assert line.startswith("pipeline ")
        assert f"keep: in use: pid {os.getpid()}" in line
