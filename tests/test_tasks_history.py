"""`temp-status --history`: the sweeps of every face are remembered, and how they are shown."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.contexts import get_debug_temp_dir, temp_working_dir
from common.temp.jobs import StorageRoot
from common.temp.manager import TempManager
from common.temp.pipeline import ArtifactCleaner
from common.temp.store.root.history import read_history
from tests.each import each
from tests.store.children import until
from tests.support import (
    as_plain_user,
    check_report,
    inv,
    make_entry,
    make_project,
    run,
    tempkeep,
)

Printed = pytest.CaptureFixture[str]
HOSTILE = "a\nb\x1b[31m|"


@pytest.fixture
def cleaned(project: Path) -> Path:
    """A project that was cleaned twice: two entries by age, then one that nothing protects."""
    for name in ("a", "b"):
        make_entry(project / ".tmp", f"debug/{name}_1696348800", age_hours=30)
    make_entry(project / ".tmp", "cache/new_1696348800")
    assert tempkeep("temp-clean", "--max-age-hours", "24") == 0
    assert tempkeep("temp-clean", "--yes") == 0
    return project


def shown(capsys: Printed, *arguments: str) -> list[dict[str, Any]]:
    """The projects in the JSON document of `temp-status --history`."""
    capsys.readouterr()
    assert tempkeep("temp-status", "--history", "--format", "json", *arguments) == 0
    projects: list[dict[str, Any]] = check_report(json.loads(capsys.readouterr().out))["projects"]
    return projects


# -- what is shown ------------------------------------------------------------------------------


def test_the_table_shows_the_newest_sweep_first(cleaned: Path, capsys: Printed) -> None:
    capsys.readouterr()
    assert tempkeep("temp-status", "--history") == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    title, _, header, _, second, first = out.splitlines()
    assert title == f"project ({cleaned / '.tmp'})"
    assert header.split() == ["when", "who", "policy", "gone", "failed", "skipped", "freed", "why"]
    assert second.split()[1] == first.split()[1] == "temp-clean"
    assert second.split("  ")[-1] == "1 no policy configured"
    assert first.split("  ")[-1] == "2 expired"
    assert "max age 24 h" in first
    assert "16.0 KiB" in first


def test_json_has_each_entry_with_its_reason(cleaned: Path, capsys: Printed) -> None:
    (project,) = shown(capsys)
    everything, by_age = project["sweeps"]
    assert (project["recorded"], project["problems"]) == (2, [])
    assert (everything["policy"], by_age["policy"]) == ("everything", "max age 24 h")
    assert (by_age["gone"], by_age["freed_bytes"], by_age["rules"]) == (2, 16384, {"expired": 2})
    assert [entry["path"] for entry in by_age["entries"]] == [
        "debug/a_1696348800",
        "debug/b_1696348800",
    ]
    assert by_age["entries"][0]["reason"].startswith("expired: 30 h > 24 h")
    assert by_age["pid"] == os.getpid()


def test_a_limit_shows_so_many_and_says_of_how_many(cleaned: Path, capsys: Printed) -> None:
    (project,) = shown(capsys, "--limit", "1")
    assert (project["recorded"], [sweep["gone"] for sweep in project["sweeps"]]) == (2, [1])
    assert tempkeep("temp-status", "--history", "--limit", "1") == 0
    assert capsys.readouterr().out.endswith("\n\n1 of 2 sweeps shown\n")


def test_without_a_limit_twenty_are_shown(project: Path, capsys: Printed) -> None:
    for number in range(22):
        make_entry(project / ".tmp", f"debug/x{number}")
        TempManager.clean_persistent_temps()
    (said,) = shown(capsys)
    assert (said["recorded"], len(said["sweeps"])) == (22, 20)
    assert said["sweeps"][0]["entries"][0]["path"] == "debug/x21"


def test_a_project_without_sweeps_says_so(project: Path, capsys: Printed) -> None:
    assert tempkeep("temp-status", "--history") == 0
    assert capsys.readouterr().out == f"project ({project / '.tmp'})\n\nno sweeps\n"
    assert not (project / ".tmp").exists()


def test_looking_writes_nothing_and_is_no_sweep(cleaned: Path) -> None:
    path = cleaned / ".tmp" / ".tempkeep" / "history.jsonl"
    before = path.read_bytes()
    assert tempkeep("temp-status", "--history") == 0
    assert tempkeep("temp-status") == 0
    assert tempkeep("temp-clean", "--dry-run") == 0
    assert tempkeep("temp-clean", "--yes") == 0
    assert path.read_bytes() == before


def test_all_projects_are_shown_and_those_without_are_counted(tmp_path: Path) -> None:
    monorepo = make_project(tmp_path / "mono")
    inner = make_project(monorepo / "projects" / "inner")
    make_project(monorepo / "projects" / "other")
    make_entry(inner / ".tmp", "debug/x")
    assert inv("temp-clean", "--yes", "--all-projects", cwd=monorepo).returncode == 0
    done = inv("temp-status", "--history", "--all-projects", cwd=monorepo)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"projects/inner ({inner / '.tmp'})\n")
    assert done.stdout.endswith("\n\n2 projects without sweeps\n")
    done = inv("temp-status", "--history", "--all-projects", "--format", "json", cwd=monorepo)
    projects = check_report(json.loads(done.stdout))["projects"]
    assert [len(project["sweeps"]) for project in projects] == [0, 1, 0]


def test_what_names_and_settings_hold_cannot_act_on_a_terminal(
    project: Path, capsys: Printed
) -> None:
    make_entry(project / ".tmp", f"debug/{HOSTILE}")
    assert tempkeep("temp-clean", "--yes") == 0
    history = project / ".tmp" / ".tempkeep" / "history.jsonl"
    said = json.loads(history.read_text())
    assert said["entries"][0]["path"] == f"debug/{HOSTILE}"
    hostile = {**said, "user": HOSTILE, "face": HOSTILE, "policy": HOSTILE, "rules": {HOSTILE: 1}}
    history.write_text(json.dumps(hostile) + "\n")
    capsys.readouterr()
    assert tempkeep("temp-status", "--history") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("a\\nb\\x1b[31m|") == 4
    assert len(out.splitlines()) == 5


@each(
    "arguments",
    [
        ("--category", "debug"),
        ("--sort", "size"),
        ("--output", "report.html"),
        ("--format", "csv"),
        ("--format", "github"),
        ("--format", "stars"),
        ("--limit", "some"),
        ("--limit", "-1"),
    ],
)
def test_what_a_history_has_not_is_refused_in_one_line(
    cleaned: Path, capsys: Printed, arguments: tuple[str, str]
) -> None:
    capsys.readouterr()
    assert tempkeep("temp-status", "--history", *arguments) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("error: ")
    assert arguments[0] in errors
    assert len(errors.splitlines()) == 1
    assert not (cleaned / "report.html").exists()


def test_the_page_has_the_size_over_time_without_a_script(cleaned: Path, capsys: Printed) -> None:
    make_entry(cleaned / ".tmp", "debug/x")
    capsys.readouterr()
    assert tempkeep("temp-status", "--format", "html") == 0
    assert "over time" not in capsys.readouterr().out
    assert tempkeep("temp-status", "--format", "html", "--history") == 0
    page = capsys.readouterr().out.partition("<script")[0]
    assert "<title>Size of project over time: 8.0 KiB now, between 0 B and 8.0 KiB since " in page
    assert "2 sweeps, the newest first" in page
    assert tempkeep("temp-status", "--format", "html", "--history", "--category", "debug") == 2
    (cleaned / ".tmp" / ".tempkeep" / "history.jsonl").unlink()
    capsys.readouterr()
    assert tempkeep("temp-status", "--format", "html", "--history") == 0
    assert "<p>no sweeps</p>" in capsys.readouterr().out


def test_lines_that_cannot_be_read_are_counted_and_the_others_shown(
    cleaned: Path, capsys: Printed
) -> None:
    with open(cleaned / ".tmp" / ".tempkeep" / "history.jsonl", "a") as file:
        file.write("{}\n")
    capsys.readouterr()
    assert tempkeep("temp-status", "--history") == 0
    out, errors = capsys.readouterr()
    assert out.count("temp-clean") == 2
    assert errors == (
        "problem: project: .tmp: 1 line of the history cannot be read: "
        "cut short, or of a later version\n"
    )


def test_a_history_that_may_not_be_read_ends_with_1(cleaned: Path) -> None:
    (cleaned / ".tmp" / ".tempkeep" / "history.jsonl").chmod(0)
    done = as_plain_user("temp-status", "--history", cwd=cleaned)
    assert done.returncode == 1
    assert "history.jsonl: Permission denied" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_one_that_was_planted_ends_with_3_and_what_it_leads_to_stays(
    cleaned: Path, tmp_path: Path, capsys: Printed
) -> None:
    history = cleaned / ".tmp" / ".tempkeep" / "history.jsonl"
    history.unlink()
    (tmp_path / "victim").write_text("mine\n")
    history.symlink_to(tmp_path / "victim")
    make_entry(cleaned / ".tmp", "debug/x")
    capsys.readouterr()
    assert tempkeep("temp-clean", "--yes") == 0
    assert "this sweep is not in the history: " in capsys.readouterr().err
    assert tempkeep("temp-status", "--history") == 3
    assert "remove it" in capsys.readouterr().err
    assert (tmp_path / "victim").read_text() == "mine\n"


# -- what is remembered -------------------------------------------------------------------------


def test_a_clean_in_the_background_is_remembered_as_such(project: Path) -> None:
    make_entry(project / ".tmp", "debug/x")
    assert inv("temp-clean", "--yes", "--background", cwd=project).returncode == 0
    (sweep,) = read_history(project / ".tmp", 5).sweeps
    assert (sweep.background, sweep.gone, sweep.freed_bytes) == (True, 1, 0)
    assert "in background" in inv("temp-status", "--history", cwd=project).stdout
    holding = project / ".tmp" / ".tempkeep" / "holding"
    until(lambda: not os.listdir(holding), "the background's end")


def test_a_trashed_entry_is_remembered_as_such(project: Path, tmp_path: Path) -> None:
    make_entry(project / ".tmp", "debug/x")
    done = inv("temp-clean", "--yes", "--trash", cwd=project, XDG_DATA_HOME=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    (sweep,) = read_history(project / ".tmp", 5).sweeps
    assert (sweep.steps[0].disposal, sweep.freed_bytes) == ("trash", 0)


def test_what_was_set_aside_and_deleted_for_good_later_is_remembered_twice(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path / "p", "[tool.tempkeep]\nundo_hours = 0\n")
    make_entry(project / ".tmp", "debug/x")
    assert inv("temp-clean", "--yes", "--undoable", cwd=project).returncode == 0
    assert inv("temp-clean", "--yes", cwd=project).returncode == 0
    for_good, set_aside = read_history(project / ".tmp", 5).sweeps
    assert (set_aside.gone, set_aside.dropped, set_aside.freed_bytes) == (1, 0, 0)
    assert [step.disposal for step in set_aside.steps] == ["undo"]
    assert (for_good.gone, for_good.dropped) == (0, 1)
    assert [step.disposal for step in for_good.steps] == ["forget"]
    assert for_good.freed_bytes > 0


def test_a_plan_from_a_file_is_remembered_as_such(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/x", age_hours=30)
    assert tempkeep("temp-clean", "--dry-run", "--plan", "plan.json") == 0
    assert tempkeep("temp-clean", "--apply", "plan.json") == 0
    (sweep,) = shown(capsys)[0]["sweeps"]
    assert (sweep["policy"], sweep["gone"]) == ("a plan file", 1)


def test_what_ends_with_its_block_or_its_process_is_no_sweep(project: Path) -> None:
    with temp_working_dir():
        pass
    get_debug_temp_dir("x")
    assert list((project / ".tmp" / ".tempkeep").glob("history*")) == []


def _by_task(project: Path) -> Path:
    make_entry(project / ".tmp", "debug/x", age_hours=9)
    assert tempkeep("temp-clean", "--max-age-hours", "1") == 0
    return project / ".tmp"


def _by_schedule(project: Path) -> Path:
    make_entry(project / ".tmp", "debug/x", age_hours=24 * 99)
    assert tempkeep("temp-clean", "--scheduled", "--strategy", "moderate") == 0
    return project / ".tmp"


def _by_clean(project: Path) -> Path:
    make_entry(project / ".tmp", "debug/x")
    assert tempkeep("clean") == 0
    return project / ".tmp"


def _by_manager(project: Path) -> Path:
    make_entry(project / ".tmp", "debug/x")
    assert TempManager.clean_persistent_temps() == 1
    return project / ".tmp"


def _by_storage_root(project: Path) -> Path:
    base = project / "var"
    StorageRoot(base).allocate_job("flight-17")
    assert StorageRoot(base).cleanup_all() == 1
    return base


def _by_cleaner(project: Path) -> Path:
    base = project / "runs"
    make_entry(base, "pipeline_artifacts_20250917_013040", age_hours=24 * 99)
    make_entry(base, "pipeline_artifacts_20250917_013041")
    assert ArtifactCleaner(base).cleanup()["directories_archived"] == 1
    return base


def _by_program(project: Path) -> Path:
    base = project / "runs"
    make_entry(base, "pipeline_artifacts_20250917_013040", age_hours=24 * 99)
    make_entry(base, "pipeline_artifacts_20250917_013041")
    done = run([sys.executable, "-m", "common.temp.pipeline"], cwd=base)
    assert done.returncode == 0, done.stderr
    return base


@pytest.mark.parametrize(
    ("sweep", "face"),
    [
        (_by_task, "temp-clean"),
        (_by_schedule, "temp-clean --scheduled"),
        (_by_clean, "clean"),
        (_by_manager, "TempManager"),
        (_by_storage_root, "StorageRoot"),
        (_by_cleaner, "ArtifactCleaner"),
        (_by_program, "common.temp.pipeline"),
    ],
)
def test_each_face_is_remembered_by_its_name(
    project: Path, sweep: Callable[[Path], Path], face: str
) -> None:
    before = time.time()
    (found,) = read_history(sweep(project), 5).sweeps
    assert (found.who.face, found.gone) == (face, 1)
    assert found.at >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(before))


# -- what killed processes leave ----------------------------------------------------------------


def test_a_clean_of_nothing_forgets_killed_processes_all_the_same(project: Path) -> None:
    owners = project / ".tmp" / ".tempkeep" / "owners"
    code = (
        "import os, shutil; from common.temp import get_debug_temp_dir as make;"
        "shutil.rmtree(make('x')); os._exit(0)"
    )
    assert run([sys.executable, "-c", code], cwd=project).returncode == 0
    assert len(os.listdir(owners)) == 1
    assert tempkeep("temp-clean", "--dry-run") == 0
    assert len(os.listdir(owners)) == 1
    assert tempkeep("temp-clean", "--yes") == 0
    assert os.listdir(owners) == []
