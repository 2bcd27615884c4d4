"""`inv temp-clean --undoable`: what it prints, how it is undone, and what `temp-status` shows."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layouts import FILES, JOBS
from common.temp.store.project.project import user_root
from common.temp.store.root.making import make_root
from common.temp.store.shelf.undo import undo_area
from tests.store.trees import rich, seen
from tests.support import (
    check_report,
    inv,
    listing,
    make_entry,
    make_project,
    set_aside_earlier,
    status,
    stored,
    tempkeep,
)

Printed = pytest.CaptureFixture[str]
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
UNDO = ("temp-clean", "--undoable", "--yes")


def held(project: Path) -> list[str]:
    return stored(undo_area(project / ".tmp"))


def grow_old(root: Path, name: str, hours: float) -> None:
    """Have it look as if it had been set aside that long ago."""
    set_aside_earlier(undo_area(root) / f"{name}.tempkeep.json", hours)


@pytest.fixture
def cleaned(project: Path, capsys: Printed) -> Path:
    """A project of which `debug/run_1696348800` was set aside."""
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=31, files=2)
    assert tempkeep(*UNDO) == 0
    capsys.readouterr()
    return project


# -- cleaning -------------------------------------------------------------------------------------


def test_it_says_until_when_it_can_be_undone_and_that_no_space_is_freed(project: Path) -> None:
    path = rich(project / ".tmp" / "debug" / "run_1696348800")
    before = seen(path)
    done = inv("temp-clean", "--undoable", "--yes", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    line, total = done.stdout.splitlines()
    assert re.fullmatch(
        rf"set aside debug/run_1696348800  can be undone until {INSTANT}, frees no space until "
        r"then  \(no policy configured\)",
        line,
    )
    assert total == (
        "project: cleaned 1 entry, freed 0 B (temp-restore undoes it for 24 h; its space is "
        "free after that)"
    )
    done = inv("temp-restore", "run_1696348800", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"restored debug__run_1696348800 as {path}\n"
    assert seen(path) == before


def test_a_dry_run_says_so_and_changes_nothing(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=31)
    before = listing(project)
    assert tempkeep("temp-clean", "--undoable", "--dry-run", "--max-age-hours", "24") == 0
    assert capsys.readouterr().out.splitlines() == [
        "would set aside debug/run_1696348800  8.0 KiB  "
        "(expired: 31 h > 24 h, newest change in file0.txt)",
        "project: would set aside 1 entry, which can be undone and frees no space for 24 h",
    ]
    assert listing(project) == before


def test_json_has_until_when_each_can_be_undone(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")
    assert tempkeep(*UNDO, "--format", "json") == 0
    (said, *_) = check_report(json.loads(capsys.readouterr().out))["projects"]
    (entry,) = said["entries"]
    assert (entry["disposal"], entry["status"], entry["freed_bytes"]) == ("undo", "done", 0)
    assert re.fullmatch(INSTANT, entry["undo_until"])
    assert said["freed_bytes"] == 0


@pytest.mark.parametrize("hours", [2, 48.5])
def test_for_how_long_is_configured(project: Path, capsys: Printed, hours: float) -> None:
    (project / "pyproject.toml").write_text(f"[tool.tempkeep]\nundo_hours = {hours}\n")
    make_entry(project / ".tmp", "debug/run_1696348800")
    assert tempkeep(*UNDO) == 0
    grow_old(project / ".tmp", "debug__run_1696348800", hours - 0.5)
    assert tempkeep("temp-clean") == 0
    assert held(project) == ["debug__run_1696348800"]
    grow_old(project / ".tmp", "debug__run_1696348800", hours + 0.5)
    assert tempkeep("temp-clean") == 0
    assert held(project) == []


def test_the_environment_says_for_how_long(project: Path) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")
    done = inv(*UNDO, cwd=project, TEMPKEEP_UNDO_HOURS="72")
    assert "temp-restore undoes it for 3 d" in done.stdout
    done = inv(*UNDO, cwd=project, TEMPKEEP_UNDO_HOURS="soon")
    assert (done.returncode, done.stderr) == (
        2,
        "error: environment: TEMPKEEP_UNDO_HOURS: expected a number of 0 or more, got 'soon'\n",
    )


@pytest.mark.parametrize(
    ("arguments", "other"),
    [
        (["--trash"], "--trash"),
        (["--background"], "--background"),
        (["--strategy", "archive"], "--strategy archive"),
    ],
)
def test_what_it_excludes_is_one_line_and_nothing_is_touched(
    project: Path, arguments: list[str], other: str
) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=1000)
    before = listing(project)
    done = inv(*UNDO, *arguments, cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --undoable and {other} exclude each other; choose one\n"
    assert listing(project) == before


def test_it_wins_over_a_configured_archive(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\narchive = true\n")
    make_entry(project / ".tmp", "debug/run_1696348800")
    assert tempkeep(*UNDO) == 0
    assert (held(project), stored(project / ".tmp-archive")) == (["debug__run_1696348800"], [])


@pytest.mark.parametrize("arguments", [("--category", "cache"), ("--name", "y*")])
def test_it_takes_only_what_was_asked_for(project: Path, arguments: tuple[str, str]) -> None:
    for name in ("debug/x_1696348800", "cache/y_1696348800"):
        make_entry(project / ".tmp", name)
    assert tempkeep(*UNDO, *arguments) == 0
    assert held(project) == ["cache__y_1696348800"]
    assert listing(project / ".tmp" / "debug") == ["x_1696348800", "x_1696348800/file0.txt"]


def test_what_was_chosen_is_set_aside_and_the_rest_stays(project: Path) -> None:
    for name in ("a", "b", "c"):
        make_entry(project / ".tmp", f"debug/{name}_1696348800")
    done = inv("temp-clean", "--undoable", "--ask", cwd=project, stdin="2\ny\n")
    assert (done.returncode, "Set aside 1 entry, 8.0 KiB? [y/N]" in done.stderr) == (0, True)
    assert held(project) == ["debug__b_1696348800"]
    assert len(os.listdir(project / ".tmp" / "debug")) == 2


def test_a_plan_says_that_it_can_be_undone(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")
    draw = ("--dry-run", "--plan", "plan.json")
    assert tempkeep("temp-clean", "--undoable", *draw) == 0
    (recorded,) = json.loads((project / "plan.json").read_text())["projects"]
    assert recorded["disposal"] == "undo"
    assert tempkeep("temp-clean", "--apply", "plan.json", "--undoable") == 2
    assert tempkeep("temp-clean", "--apply", "plan.json", "--background") == 2
    assert held(project) == []
    capsys.readouterr()
    assert tempkeep("temp-clean", "--apply", "plan.json") == 0
    assert capsys.readouterr().out.startswith("set aside debug/run_1696348800  can be undone until")
    assert held(project) == ["debug__run_1696348800"]


def test_all_projects_and_their_other_roots_keep_what_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monorepo = make_project(tmp_path / "mono")
    inner = make_project(
        monorepo / "projects" / "inner",
        '[tool.tempkeep]\nroots = ["jobs", "files", "runs"]\nkeep_last_good = 0\n',
    )
    run_name = "pipeline_artifacts_20250102_030405"
    make_entry(monorepo / ".tmp", "debug/a_1696348800")
    make_entry(inner / ".tmp", "debug/a_1696348800")
    make_root(str(inner / "jobs"), JOBS)
    make_entry(inner / "jobs", "job-7")
    make_root(str(inner / "files"), FILES)
    (inner / "files" / "voice.wav").write_text("content")
    make_entry(inner / "runs", run_name)
    make_root(str(user_root()))
    make_entry(user_root(), "auto/up_1696348800", age_hours=30)

    done = inv(*UNDO, "--yes", "--all-projects", cwd=monorepo)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("set aside ") == 6
    assert held(monorepo) == held(inner) == ["debug__a_1696348800"]
    for root, name in (
        (inner / "jobs", "job-7"),
        (inner / "files", "voice.wav"),
        (inner / "runs", run_name),
        (user_root(), "auto/up_1696348800"),
    ):
        assert stored(undo_area(root)) == [name.replace("/", "__")]
        assert not (root / name).exists()
        monkeypatch.chdir(inner)
        assert tempkeep("temp-restore", name) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert said.out.startswith(f"restored {name.replace('/', '__')} as {root / name}")
        is_pinned = ", pinned, since it would go at any age there" in said.out
        assert is_pinned == (root in (inner / "jobs", user_root()))
        assert (root / name).exists()
    assert (inner / "files" / "voice.wav").read_text() == "content"
    monkeypatch.chdir(monorepo)
    assert tempkeep("temp-restore", "a_1696348800") == 0
    assert held(inner) == ["debug__a_1696348800"], "which is another project's"


# -- what is past its time ------------------------------------------------------------------------


def test_a_clean_deletes_it_for_good_and_a_dry_run_shows_it(cleaned: Path, capsys: Printed) -> None:
    grow_old(cleaned / ".tmp", "debug__run_1696348800", 25)
    before = listing(cleaned)
    assert tempkeep("temp-clean", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "would delete for good debug__run_1696348800  12.0 KiB  (undo time is over: 25 h > 24 h)",
        "project: would delete 0 entries and free 0 B; would delete 1 entry set aside before and "
        "free 12.0 KiB",
    ]
    assert listing(cleaned) == before
    assert tempkeep("temp-clean") == 0
    assert capsys.readouterr().out.splitlines() == [
        "deleted for good debug__run_1696348800  12.0 KiB  (undo time is over: 25 h > 24 h)",
        "project: cleaned 0 entries, freed 12.0 KiB; deleted 1 entry set aside before",
    ]
    assert held(cleaned) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "nothing*"),
        ("--category", "cache"),
        ("--max-age-hours", "1000"),
        ("--trash",),
        ("--undoable",),
        ("--strategy", "archive"),
        ("--all-projects",),
    ],
    ids=" ".join,
)
def test_every_kind_of_clean_does(cleaned: Path, arguments: tuple[str, ...]) -> None:
    grow_old(cleaned / ".tmp", "debug__run_1696348800", 25)
    assert tempkeep("temp-clean", "--yes", *arguments) == 0
    assert held(cleaned) == []


def test_a_clean_of_artefacts_does(cleaned: Path) -> None:
    grow_old(cleaned / ".tmp", "debug__run_1696348800", 25)
    assert tempkeep("clean") == 0
    assert held(cleaned) == []


def test_a_clean_that_asks_and_one_by_a_plan_do(project: Path) -> None:
    for name in ("old", "one", "two"):
        make_entry(project / ".tmp", f"debug/{name}_1696348800")
    assert tempkeep(*UNDO, "--name", "old*") == 0
    grow_old(project / ".tmp", "debug__old_1696348800", 25)
    draw = ("--dry-run", "--plan", "plan.json", "--name", "one*")
    assert tempkeep("temp-clean", *draw) == 0
    done = inv("temp-clean", "--ask", cwd=project, stdin="two*\nn\n")
    assert done.returncode == 3
    assert "and delete 1 entry set aside before for good? [y/N]" in done.stderr
    assert held(project) == ["debug__old_1696348800"], "nothing is touched after a no"
    done = inv("temp-clean", "--apply", "plan.json", cwd=project)
    assert done.returncode == 0
    assert held(project) == []
    assert tempkeep(*UNDO, "--name", "two*") == 0
    grow_old(project / ".tmp", "debug__two_1696348800", 25)
    make_entry(project / ".tmp", "debug/three_1696348800")
    assert inv("temp-clean", "--ask", cwd=project, stdin="1\ny\n").returncode == 0
    assert held(project) == []


def test_one_that_is_not_past_it_stays_whatever_is_cleaned(cleaned: Path) -> None:
    assert tempkeep("temp-clean", "--everything", "--yes", "--all-projects") == 0
    assert tempkeep("clean") == 0
    assert held(cleaned) == ["debug__run_1696348800"]


# -- restoring ------------------------------------------------------------------------------------


def test_the_list_says_what_is_archived_and_what_can_be_undone(
    cleaned: Path, capsys: Printed
) -> None:
    make_entry(cleaned / ".tmp", "debug/old_1696348800", age_hours=24 * 30)
    assert tempkeep("temp-clean", "--strategy", "archive") == 0
    capsys.readouterr()
    assert tempkeep("temp-restore", "--list") == 0
    archive, undo = capsys.readouterr().out.split(f"{undo_area(cleaned / '.tmp')}: can be undone")
    assert archive.startswith(f"{cleaned}/.tmp-archive\n")
    assert "debug__old_1696348800" in archive
    headers, _, row = undo.strip().splitlines()
    assert headers.split("  ")[0] == "name"
    assert "until" in headers
    assert re.match(rf"debug__run_1696348800  {INSTANT}  200 B  {INSTANT}  ", row)
    assert row.endswith(f"{cleaned}/.tmp/debug/run_1696348800  no policy configured")


def test_what_could_be_either_is_refused_naming_both(cleaned: Path, capsys: Printed) -> None:
    make_entry(cleaned / ".tmp", "debug/run_1696348800", age_hours=24 * 30, files=5)
    assert tempkeep("temp-clean", "--strategy", "archive") == 0
    places = [
        cleaned / ".tmp-archive" / "debug__run_1696348800",
        undo_area(cleaned / ".tmp") / "debug__run_1696348800",
    ]
    for name in ("run_1696348800", "debug/run_1696348800", "debug__run_1696348800"):
        capsys.readouterr()
        assert tempkeep("temp-restore", name) == 2
        assert capsys.readouterr() == (
            "",
            f"error: {name} could be {places[0]} or {places[1]}; give one of these paths\n",
        )
    assert tempkeep("temp-restore", str(places[1].relative_to(cleaned))) == 0
    assert len(listing(cleaned / ".tmp" / "debug" / "run_1696348800")) == 2
    assert len(stored(places[0].parent)) == 1


def test_a_root_by_two_names_is_one_place(cleaned: Path) -> None:
    make_root(str(cleaned / "jobs"), JOBS)
    make_entry(cleaned / "jobs", "job-7")
    (cleaned / "also").symlink_to("jobs")
    (cleaned / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["jobs", "also"]\n')
    assert tempkeep(*UNDO) == 0
    assert tempkeep("temp-restore", "job-7") == 0
    assert (cleaned / "jobs" / "job-7").is_dir()


def test_what_was_set_aside_twice_from_one_place_is_told_apart(
    project: Path, capsys: Printed
) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["jobs"]\n')
    make_root(str(project / "jobs"), JOBS)
    for files in (1, 2):
        make_entry(project / "jobs", "job-7", files=files)
        assert tempkeep(*UNDO) == 0
    area = undo_area(project / "jobs")
    capsys.readouterr()
    assert tempkeep("temp-restore", "job-7") == 2
    assert capsys.readouterr().err == (
        f"error: job-7 could be {area}/job-7 or {area}/job-7.2; give one of these paths\n"
    )
    assert tempkeep("temp-restore", "job-7.2") == 0
    assert len(listing(project / "jobs" / "job-7")) == 2


def test_a_dry_run_of_restoring_says_where_it_would_come(cleaned: Path, capsys: Printed) -> None:
    before = listing(cleaned)
    assert tempkeep("--dry", "temp-restore", "run_1696348800") == 0
    path = cleaned / ".tmp" / "debug" / "run_1696348800"
    assert capsys.readouterr().out == f"would restore run_1696348800 as {path}\n"
    assert listing(cleaned) == before


def test_what_is_planted_in_one_root_keeps_nobody_from_undoing_in_another(
    cleaned: Path, tmp_path: Path
) -> None:
    (tmp_path / "planted").mkdir()
    user_root().symlink_to(tmp_path / "planted")
    done = inv("temp-restore", "run_1696348800", cwd=cleaned)
    assert done.returncode == 0
    assert done.stdout.startswith("restored ")
    assert "is not this user's private directory" in done.stderr


# -- status ---------------------------------------------------------------------------------------


def test_status_says_how_much_is_held_until_when(cleaned: Path, capsys: Printed) -> None:
    assert tempkeep("temp-status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "no entries"
    (line,) = (line for line in lines if "set aside" in line)
    assert re.fullmatch(
        rf"1 entry set aside, still 12\.0 KiB on disk, until {INSTANT} "
        r"\(temp-restore undoes it\)",
        line,
    )


def test_status_says_what_of_it_the_next_clean_deletes(cleaned: Path, capsys: Printed) -> None:
    make_entry(cleaned / ".tmp", "debug/two_1696348800")
    assert tempkeep(*UNDO) == 0
    grow_old(cleaned / ".tmp", "debug__run_1696348800", 25)
    capsys.readouterr()
    assert tempkeep("temp-status") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "set aside" in line)
    assert line.startswith("2 entries set aside, still 20.0 KiB on disk, until ")
    assert line.endswith("; the next clean deletes 1 of them for good and frees 12.0 KiB")


def test_json_counts_it_besides_the_entries(cleaned: Path) -> None:
    make_entry(cleaned / ".tmp", "debug/two_1696348800")
    said = status(cleaned)
    totals: dict[str, Any] = said["totals"]
    assert (totals["entries"], totals["size_bytes"], totals["reclaimable_bytes"]) == (1, 8192, 8192)
    assert totals["undoable"] == {"entries": 1, "size_bytes": 12288, "reclaimable_bytes": 0}
    (one,) = said["undoable"]
    assert (one["name"], one["size_bytes"]) == ("debug__run_1696348800", 12288)
    assert re.fullmatch(INSTANT, one["until"])
    assert {entry["path"] for entry in said["entries"]} == {"debug/two_1696348800"}


def test_the_page_says_it_too(cleaned: Path) -> None:
    assert tempkeep("temp-status", "--format", "html", "--output", "report.html") == 0
    assert "<p>project: 1 entry set aside, still 12.0 KiB on disk, until " in (
        (cleaned / "report.html").read_text()
    )


def test_without_anything_held_nothing_is_said_of_it(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")
    assert tempkeep("temp-status") == 0
    assert "set aside" not in capsys.readouterr().out
    said = status(project)
    assert (said["undoable"], said["totals"]["undoable"]["entries"]) == ([], 0)
