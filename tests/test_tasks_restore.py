"""`inv temp-restore`, and what `inv temp-clean` prints about the archive."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.core.layouts import RUNS_ARCHIVE
from common.temp.pipeline import ArtifactCleaner
from common.temp.pipeline_config import CleanupConfig
from common.temp.store.archive.local import LocalArchive
from common.temp.store.root.pinning import write_pin
from common.temp.store.settings.loading import load
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.store.children import in_child, until
from tests.support import (
    IMMUTABLE,
    age,
    environment,
    immutable,
    inv,
    listing,
    make_entry,
    make_project,
    mounted,
    stored,
    tempkeep,
)
from tests.warm import Started

Printed = pytest.CaptureFixture[str]
NAME = "debug__run_1696348800"


@pytest.fixture
def archived(project: Path, capsys: Printed) -> Path:
    """The archive of the project, with `debug/run_1696348800`."""
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=24 * 30, files=2)
    assert tempkeep("temp-clean", "--strategy", "archive") == 0
    capsys.readouterr()
    return project / ".tmp-archive"


# -- the task -------------------------------------------------------------------------------------


def test_what_was_archived_is_listed_and_restored_by_its_name(
    project: Path, archived: Path
) -> None:
    done = inv("temp-restore", "--list", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    title, _, headers, _, row = done.stdout.splitlines()
    assert title == str(archived)
    assert headers.split() == ["name", "format", "size", "archived", "was", "why"]
    assert row.split()[:4] == [NAME, "dir", "200", "B"]
    assert f"{project}/.tmp/debug/run_1696348800  expired: 30 d > 7 d" in row

    done = inv("temp-restore", NAME, cwd=project)
    path = project / ".tmp" / "debug" / "run_1696348800"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"restored {NAME} as {path}\n"
    assert listing(path) == ["file0.txt", "file1.txt"]
    done = inv("temp-restore", "--list", cwd=project)
    assert (done.returncode, done.stdout) == (0, f"{archived}: nothing archived\n")


def test_what_was_restored_survives_the_next_clean_by_age(
    project: Path, archived: Path, capsys: Printed
) -> None:
    assert tempkeep("temp-restore", NAME) == 0
    assert tempkeep("temp-clean", "--strategy", "archive") == 0
    assert "kept 1 entry: 1 within limits" in capsys.readouterr().out


def test_a_dry_run_says_where_it_would_come_and_changes_nothing(
    project: Path, archived: Path, capsys: Printed
) -> None:
    before = listing(project)
    assert tempkeep("--dry", "temp-restore", NAME) == 0
    path = project / ".tmp" / "debug" / "run_1696348800"
    assert capsys.readouterr().out == f"would restore {NAME} as {path}\n"
    assert listing(project) == before


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("in the way", 3, "error: {project}/.tmp/debug/run_1696348800 is there already; move it away first"),  # noqa: E501
        ("changed", 3, "error: " + NAME + " is not restored: it is no longer what was archived (as many files and bytes, but not the same); look at {project}/.tmp-archive/" + NAME + ", and move it by hand"),  # noqa: E501
        ("unknown", 2, "error: nothing is not in {project}/.tmp-archive; run `temp-restore --list` in the project that it was cleaned from"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_cannot_be_restored_is_one_clear_line_and_stays_in_the_archive(
    project: Path, archived: Path, what: str, code: int, said: str
) -> None:
    if what == "in the way":
        make_entry(project / ".tmp", "debug/run_1696348800")
    elif what == "changed":
        os.utime(archived / NAME / "file0.txt", (1, 1))
    before = listing(project / ".tmp" / "debug")
    done = inv("temp-restore", "nothing" if what == "unknown" else NAME, cwd=project)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == said.format(project=project) + "\n"
    assert listing(project / ".tmp" / "debug") == before
    assert stored(archived) == [NAME]


def test_without_a_name_it_is_asked_for(project: Path) -> None:
    done = inv("temp-restore", cwd=project)
    assert done.returncode == 1
    assert "did not receive required positional arguments: 'name'" in done.stderr


def test_what_an_older_version_archived_is_listed_as_what_it_is(
    project: Path, capsys: Printed
) -> None:
    make_entry(project, ".tmp-archive/debug__old_1696348800")
    assert tempkeep("temp-restore", "--list") == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split()[:3] == ["debug__old_1696348800", "dir", "?"]
    assert row.endswith("it has no manifest")
    assert tempkeep("temp-restore", "debug__old_1696348800") == 0
    assert listing(project / ".tmp" / "debug" / "old_1696348800") == ["file0.txt"]


@pytest.mark.parametrize("form", ["tar.gz", "tar.zst"])
def test_a_configured_format_is_what_a_clean_packs_and_a_restoring_unpacks(
    project: Path, capsys: Printed, form: str
) -> None:
    if not shutil.which("zstd"):
        pytest.importorskip("zstandard")
    (project / "pyproject.toml").write_text(
        f'[tool.tempkeep]\narchive = true\narchive_format = "{form}"\nmax_age_hours = 1\n'
    )
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=2, files=3)
    assert tempkeep("temp-clean") == 0
    assert stored(project / ".tmp-archive") == [f"{NAME}.{form}"]
    assert tempkeep("temp-restore", NAME) == 0
    assert len(listing(project / ".tmp" / "debug" / "run_1696348800")) == 3
    assert stored(project / ".tmp-archive") == []
    assert capsys.readouterr().err == ""


def test_runs_are_listed_and_restored_from_the_archive_beside_them(
    project: Path, capsys: Printed
) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["artifacts"]\n')
    names = [f"pipeline_artifacts_20250101_00000{number}" for number in range(4)]
    for base in ("artifacts", "elsewhere"):
        for number, name in enumerate(names):
            make_entry(project / base, name, age_hours=number)
        done = ArtifactCleaner(project / base, CleanupConfig(max_runs_to_keep=3)).cleanup()
        assert (done["directories_archived"], done["errors"]) == (1, [])
    make_entry(project / "artifacts" / RUNS_ARCHIVE, bare := "pipeline_artifacts_20241231_000000")
    assert tempkeep("temp-restore", "--list") == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[-2:]] == [bare, names[3]]
    assert rows[-2].endswith("it has no manifest")
    assert tempkeep("temp-restore", bare) == 3
    assert f"move it back by hand: {project}/artifacts/" in capsys.readouterr().err
    for base, name in (
        ("artifacts", names[3]),
        ("elsewhere", f"elsewhere/{RUNS_ARCHIVE}/{names[3]}"),
    ):
        assert tempkeep("temp-restore", name) == 0
        assert listing(project / base / names[3]) == ["file0.txt"]


# -- a low disk -----------------------------------------------------------------------------------

MIB = 1 << 20


@pytest.fixture
def low(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> Iterator[Path]:
    """A project on a disk of its own of 16 MiB, with three archives of 2 MiB, the oldest `a`."""
    with mounted(tmp_path / "disk", "size=16m") as disk:
        project = make_project(disk / "project")
        monkeypatch.chdir(project)
        for name in ("a", "b", "c"):
            two_mib(project, f"debug/{name}_1696348800", 24)
            assert tempkeep("temp-clean", "--strategy", "archive", "--max-age-hours", "1") == 0
        assert len(stored(project / ".tmp-archive")) == 3
        capsys.readouterr()
        yield project
        monkeypatch.chdir(tmp_path)


def two_mib(project: Path, name: str, hours: float) -> Path:
    path = make_entry(project / ".tmp", name)
    (path / "noise").write_bytes(os.urandom(2 * MIB))
    age(path, hours)
    return path


def wanting(project: Path, free: int, *more: str) -> None:
    """Configure that so many MiB are to be free, of 16 of which archives take 6."""
    said = [f'min_free_space = "{free}MiB"', *more]
    (project / "pyproject.toml").write_text("[tool.tempkeep]\n" + "\n".join(said))


def names(project: Path) -> list[str]:
    return [name.removeprefix("debug__")[0] for name in stored(project / ".tmp-archive")]


@pytest.mark.parametrize(("free", "left"), [(9, "abc"), (11, "bc"), (13, "c"), (15, "")])
def test_the_oldest_archives_go_until_enough_is_free(
    low: Path, capsys: Printed, free: int, left: str
) -> None:
    wanting(low, free)
    gone = [f"debug__{name}_1696348800" for name in "abc" if name not in left]

    assert tempkeep("temp-clean", "--dry-run") == 0
    said = re.findall(
        "^would delete from the archive ([^ ]+) ", capsys.readouterr().out, re.MULTILINE
    )
    assert said == gone
    assert "".join(names(low)) == "abc", "a dry run changes nothing"

    assert tempkeep("temp-clean") == 0
    said = re.findall("^deleted from the archive ([^ ]+) ", capsys.readouterr().out, re.MULTILINE)
    assert said == gone
    assert "".join(names(low)) == left
    told = os.statvfs(low)
    assert told.f_bavail * told.f_frsize >= free * MIB
    assert not list((low / ".tmp-archive").glob("debug__a*")) or "a" in left


def test_entries_go_only_when_the_archives_are_not_enough(low: Path, capsys: Printed) -> None:
    kept = two_mib(low, "debug/new_1696348800", 1)
    gone = two_mib(low, "debug/old_1696348800", 9)
    wanting(low, 13)
    assert tempkeep("temp-clean") == 0
    printed = capsys.readouterr().out
    assert "deleted debug/old_1696348800" in printed
    assert "low space: " in printed
    assert (kept.exists(), gone.exists(), names(low)) == (True, False, [])
    assert "; deleted 3 archives" in printed


def test_an_archive_that_cannot_be_trusted_is_a_problem_and_the_entries_go(
    low: Path, tmp_path: Path, capsys: Printed
) -> None:
    gone = two_mib(low, "debug/old_1696348800", 9)
    (tmp_path / "planted" / "holding").mkdir(parents=True)
    (low / ".tmp-archive" / ".tempkeep").symlink_to(tmp_path / "planted")
    wanting(low, 15)
    assert tempkeep("temp-clean") == 1
    assert "is not a directory made by this program; remove it" in capsys.readouterr().err
    assert (gone.exists(), names(low)) == (False, ["a", "b", "c"])


def test_while_another_clean_deletes_archives_this_one_leaves_them(
    low: Path, capsys: Printed
) -> None:
    wanting(low, 11)
    lock = os.open(low / ".tmp-archive", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert tempkeep("temp-clean") == 0
    said = "skipped debug__a_1696348800: another clean is deleting archives now"
    assert said in capsys.readouterr().out
    assert names(low) == ["a", "b", "c"]
    os.close(lock)
    assert tempkeep("temp-clean") == 0
    assert names(low) == ["b", "c"]


def test_what_holds_the_space_is_said_when_it_cannot_be_freed(low: Path, capsys: Printed) -> None:
    two_mib(low, "debug/pinned_1696348800", 9)
    assert tempkeep("temp-pin", "pinned_1696348800", "--reason", "wanted") == 0
    used = two_mib(low, "debug/used_1696348800", 9)
    two_mib(low, "cache/golden_1696348800", 9)
    wanting(low, 15, 'exclude = ["golden_*"]')
    sleeper = subprocess.Popen(["sleep", "60"], cwd=used)
    try:
        for arguments, verb in ((["--dry-run"], "would be free"), ([], "free")):
            capsys.readouterr()
            assert tempkeep("temp-clean", *arguments) == 0
            (line,) = (
                line for line in capsys.readouterr().out.splitlines() if "wanted; held" in line
            )
            assert line.startswith("project: low space: ")
            assert f" MiB {verb}, 15.0 MiB wanted; held by what stays: " in line
            assert line.endswith("2.0 MiB excluded, 2.0 MiB in use, 2.0 MiB pinned")
    finally:
        sleeper.kill()
        sleeper.wait()
    assert names(low) == []


def test_nothing_is_archived_on_the_same_disk_for_space(low: Path, capsys: Printed) -> None:
    entry = two_mib(low, "debug/old_1696348800", 9)
    wanting(low, 15, "archive = true")
    assert tempkeep("temp-explain", str(entry)) == 0
    assert "archive on the same disk: archiving it frees nothing" in capsys.readouterr().out
    assert tempkeep("temp-clean") == 0
    printed = capsys.readouterr().out
    assert (entry.is_dir(), names(low)) == (True, [])
    assert "held by what stays: 2.0 MiB archive on the same disk; clean without" in printed


def test_what_goes_anyway_is_archived_on_the_same_disk(low: Path, capsys: Printed) -> None:
    two_mib(low, "debug/old_1696348800", 9)
    wanting(low, 15, "archive = true\nmax_age_hours = 5")
    assert tempkeep("temp-clean") == 0
    printed = capsys.readouterr().out
    assert "archived debug/old_1696348800  as " in printed
    assert "held by what stays: 2.0 MiB in the archive" in printed
    assert names(low) == ["o"], "it went there just now, and the older ones went before it"


def test_a_pinned_archive_stays_on_a_low_disk(low: Path, capsys: Printed) -> None:
    write_pin(low / ".tmp-archive", "debug__a_1696348800", "wanted")
    wanting(low, 11)
    assert tempkeep("temp-clean") == 0
    assert names(low) == ["a", "c"]


def test_what_is_being_restored_or_cannot_be_deleted_stays_and_the_next_archive_goes(
    low: Path, capsys: Printed
) -> None:
    wanting(low, 15)
    archive = low / ".tmp-archive"
    lock = os.open(archive / "debug__a_1696348800", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with immutable(archive / "debug__b_1696348800" / "noise"):
        assert tempkeep("temp-clean") == 1
    os.close(lock)
    said = capsys.readouterr()
    assert "skipped debug__a_1696348800: in use" in said.out
    assert said.err == f"failed debug__b_1696348800: noise: {IMMUTABLE}\n"
    assert names(low) == ["a", "b"]
    assert tempkeep("temp-restore", "debug__a_1696348800") == 0


@pytest.mark.parametrize("arguments", [("--max-age-hours", "1000"), ("--name", "x*")])
def test_a_clean_of_something_else_leaves_the_archives(
    low: Path, capsys: Printed, arguments: tuple[str, ...]
) -> None:
    wanting(low, 15)
    assert tempkeep("temp-clean", *arguments) == 0
    assert names(low) == ["a", "b", "c"]


def test_archives_on_another_disk_stay_and_nothing_is_said_of_them(
    low: Path, tmp_path: Path, capsys: Printed
) -> None:
    two_mib(low, "debug/old_1696348800", 9)
    elsewhere = tmp_path / "elsewhere"
    (low / ".tmp-archive").rename(low / "kept")
    shutil.copytree(low / "kept", elsewhere)
    wanting(low, 15, f'archive_location = "{elsewhere}"')
    assert tempkeep("temp-clean") == 0
    assert "from the archive" not in capsys.readouterr().out
    assert len(stored(elsewhere)) == 3


def test_enough_free_by_now_spares_the_archives(low: Path) -> None:
    wanting(low, 11)
    filler = low / "filler"
    filler.write_bytes(os.urandom(2 * MIB))
    policy, archive = load(low).policy, low / ".tmp-archive"
    plan = prepare(low / ".tmp", policy, time.time(), archive=LocalArchive(archive))
    assert len(plan.archives) == 2
    filler.unlink()
    report = execute(plan, archive=LocalArchive(archive))
    assert [(done.status, done.detail) for done in report.dropped] == [
        ("done", ""),
        ("skipped", "enough is free now"),
    ]
    assert names(low) == ["b", "c"]


def test_in_the_background_archives_are_moved_aside_at_once(low: Path, capsys: Printed) -> None:
    wanting(low, 13)
    assert in_child(lambda: tempkeep("temp-clean", "--background")) == 0
    assert names(low) == ["c"]
    holding = low / ".tmp-archive" / ".tempkeep" / "holding"
    until(lambda: os.listdir(holding) == [], "what was moved aside is deleted")
    told = os.statvfs(low)
    assert told.f_bavail * told.f_frsize >= 13 * MIB


def test_sweeps_side_by_side_delete_no_more_than_is_needed(low: Path) -> None:
    wanting(low, 11)
    started = [
        Started(
            [sys.executable, "-m", "invoke", "temp-clean"],
            cwd=low,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for sweeper in started:
        _, errors = sweeper.communicate()
        assert (sweeper.returncode, errors) == (0, "")
    assert names(low) == ["b", "c"]
