"""`temp-check`: a budget for scratch, what exceeds it, and scratch that git tracks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layouts import JOBS
from common.temp.store.root.making import make_root
from tests.each import each
from tests.support import (
    as_plain_user,
    check_report,
    inv,
    listing,
    make_entry,
    make_project,
    mounted,
    process,
    run,
    tempkeep,
)

Printed = pytest.CaptureFixture[str]
OVER = 4


def sized(root: Path, relative: str, kibibytes: int) -> Path:
    """An entry with a file of that size."""
    path = make_entry(root, relative, files=0)
    (path / "data").write_bytes(b"x" * (kibibytes << 10))
    return path


@pytest.fixture
def used(project: Path) -> Path:
    """A project with three entries: 400, 200 and 20 KiB and what their directories take."""
    sized(project / ".tmp", "cache/large_1696348800", 400)
    sized(project / ".tmp", "debug/middle_1696348800", 200)
    sized(project / ".tmp", "debug/small_1696348800", 20)
    return project


def checked(capsys: Printed, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    """The projects in the JSON document of `temp-check`."""
    capsys.readouterr()
    assert tempkeep("temp-check", "--format", "json", *arguments) == code
    projects: list[dict[str, Any]] = check_report(json.loads(capsys.readouterr().out))["projects"]
    return projects


# -- within and over ----------------------------------------------------------------------------


def test_within_its_budget_it_is_one_line_and_0(used: Path, capsys: Printed) -> None:
    limits = ("--max-size", "1MiB", "--min-free", "1KiB", "--max-entries", "3", "--max-files", "6")
    assert tempkeep("temp-check", *limits, "--max-age", "9w") == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    assert out.startswith("project: within budget: 6")
    assert "KiB of 1.0 MiB, 3 of 3 entries, 6 of 6 files and directories, oldest " in out
    assert " of 63 d, " in out
    assert out.endswith(" free, 1.0 KiB wanted\n")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (("--max-size", "500KiB"), " KiB of scratch, 500.0 KiB allowed"),
        (("--min-free", "1000TB"), "/.tmp, 909.5 TiB wanted"),
        (("--max-entries", "2"), "over budget: 3 entries, 2 allowed"),
        (("--max-entries", "0"), "over budget: 3 entries, 0 allowed"),
        (("--max-files", "5"), "over budget: 6 files and directories, 5 allowed"),
    ],
)
def test_over_any_limit_it_ends_with_4_and_names_the_largest(
    used: Path, capsys: Printed, limit: tuple[str, str], said: str
) -> None:
    assert tempkeep("temp-check", *limit) == OVER
    out, errors = capsys.readouterr()
    assert errors == ""
    first, _, header, _, *rows = out.splitlines()
    assert first.startswith("project: over budget: ")
    assert first.endswith(said)
    assert " ".join(header.split()) == "project entry size files age in use what frees it"
    assert [row.split()[1].split("/")[1].split("_")[0] for row in rows] == [
        "large",
        "middle",
        "small",
    ]
    assert all(row.endswith("  no      temp-clean") for row in rows)


def test_each_limit_that_is_not_kept_is_a_line(used: Path, capsys: Printed) -> None:
    assert tempkeep("temp-check", "--max-size", "1", "--max-entries", "1") == OVER
    assert capsys.readouterr().out.count("over budget: ") == 2


def test_of_many_the_five_largest_are_named(project: Path, capsys: Printed) -> None:
    for number in range(8):
        sized(project / ".tmp", f"debug/x{number}", 10 * (number + 1))
    (said,) = checked(capsys, "--max-entries", "7", code=OVER)
    assert [one["path"] for one in said["culprits"]] == [f"debug/x{n}" for n in (7, 6, 5, 4, 3)]
    assert tempkeep("temp-check", "--max-entries", "7") == OVER
    assert capsys.readouterr().out.endswith("  temp-clean\nand 3 more\n")


def test_over_the_age_alone_the_oldest_are_named(project: Path, capsys: Printed) -> None:
    for days in (1, 9, 8):
        make_entry(project / ".tmp", f"debug/x{days}_1696348800", age_hours=days * 24)
    assert tempkeep("temp-check", "--max-age", "10d") == 0
    capsys.readouterr()
    assert tempkeep("temp-check", "--max-age", "1w") == OVER
    out = capsys.readouterr().out
    assert out.startswith(
        "project: over budget: the oldest entry has not changed for 9 d, 7 d allowed\n"
    )
    assert [row.split()[1][:8] for row in out.splitlines()[4:]] == ["debug/x9", "debug/x8"]
    (said,) = checked(capsys, "--max-age", "36h", code=OVER)
    assert (said["over"], said["limits"]["max_age_seconds"]) == (["max age"], 36 * 3600)
    assert said["oldest_seconds"] // 86400 == 9


def test_the_sizes_are_those_of_the_status(used: Path, capsys: Printed) -> None:
    (said,) = checked(capsys, "--max-size", "1", "--max-entries", "100", code=OVER)
    tempkeep("temp-status", "--format", "json")
    status = json.loads(capsys.readouterr().out)["projects"][0]
    assert said["size_bytes"] == status["totals"]["size_bytes"]
    assert said["over"] == ["max size"]
    assert said["limits"] == {
        "max_size_bytes": 1, "min_free_bytes": None, "max_entries": 100, "max_files": None,
        "max_age_seconds": None,
    }  # fmt: skip
    sizes = {entry["path"]: entry["size_bytes"] for entry in status["entries"]}
    assert {one["path"]: one["size_bytes"] for one in said["culprits"]} == sizes


def test_it_changes_nothing(used: Path) -> None:
    before = listing(used)
    assert tempkeep("temp-check", "--max-size", "1") == OVER
    assert listing(used) == before


def test_a_project_without_scratch_is_within_any_budget(project: Path) -> None:
    assert tempkeep("temp-check", "--max-size", "0", "--max-entries", "0") == 0
    assert not (project / ".tmp").exists()


def test_the_program_without_tasks_checks_too(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    make_entry(bare / ".tmp", "debug/x")
    (bare / "setup.py").touch()
    done = run([sys.executable, "-m", "common.temp", "temp-check", "--max-entries", "0"], cwd=bare)
    assert done.returncode == OVER
    assert "over budget: 1 entry, 0 allowed" in done.stdout


# -- what would free them -----------------------------------------------------------------------


def test_each_of_the_largest_says_which_command_frees_it(tmp_path: Path) -> None:
    project = make_project(
        tmp_path / "p", '[tool.tempkeep]\nstrategy = "moderate"\nexclude = ["golden_*"]\n'
    )
    root = project / ".tmp"
    make_entry(root, "debug/old", age_hours=24 * 9)
    make_entry(root, "debug/new[1] x")
    make_entry(root, "debug/golden_1696348800")
    make_entry(root, "debug/pinned")
    assert inv("temp-pin", "debug/pinned", "--reason", "why", cwd=project).returncode == 0
    code = (
        "from common.temp import get_debug_temp_dir as make; print(make('live'), flush=True)\n"
        "input()"
    )
    with process(code, cwd=project) as live:
        done = inv("temp-check", "--max-entries", "0", "--format", "json", cwd=project)
    assert (done.returncode, done.stderr) == (OVER, "")
    (said,) = check_report(json.loads(done.stdout))["projects"]
    name, python = Path(live.first_line).name, Path(sys.executable).name
    found = {one["path"]: one for one in said["culprits"]}
    assert {path: one["frees_it"] for path, one in found.items()} == {
        "debug/old": "temp-clean",
        "debug/new[1] x": "temp-clean --everything --name 'debug/new[[]1] x'",
        "debug/golden_1696348800": "It can go when no pattern in `exclude` matches it, "
        "and when it is over a limit, or with --everything.",
        "debug/pinned": "temp-unpin debug/pinned, then temp-clean",
        f"debug/{name}": f"temp-clean, once pid {live.pid} ({python} -c …) has ended",
    }
    assert [one["goes"] for one in said["culprits"]].count(True) == 1
    assert [path for path, one in found.items() if one["in_use"]] == [f"debug/{name}"]
    # And they do.
    name = "debug/new[[]1] x"
    assert inv("temp-clean", "--everything", "--name", name, "--yes", cwd=project).returncode == 0
    assert not (root / "debug" / "new[1] x").exists()
    assert (root / "debug" / "golden_1696348800").exists()


def test_names_cannot_act_on_a_terminal(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/a\nb\x1b[31m")
    assert tempkeep("temp-check", "--max-entries", "0") == OVER
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "debug/a\\nb\\x1b[31m" in out
    assert len(out.splitlines()) == 5


# -- limits -------------------------------------------------------------------------------------


@each(
    ("arguments", "said"),
    [
        (
            (),
            "temp-check needs a limit: --max-size, --min-free, --max-entries, --max-files or --max",
        ),
        (("--all-projects",), "temp-check needs a limit"),
        (("--max-size", "much"), "--max-size: expected a size"),
        (("--min-free", "-1"), "--min-free: expected a size"),
        (("--max-entries", "1.5"), "--max-entries: expected a whole number"),
        (("--max-files", "many"), "--max-files: expected a whole number"),
        (("--max-age", "24"), "--max-age: expected a time such as 90m, 36h, 7d or 2w, got '24'"),
        (("--max-entries", "1", "--format", "csv"), "--format: expected one of table, json"),
    ],
)
def test_a_limit_that_is_bad_or_missing_ends_with_2(
    used: Path, capsys: Printed, arguments: tuple[str, ...], said: str
) -> None:
    assert tempkeep("temp-check", *arguments) == 2
    out, errors = capsys.readouterr()
    assert (out, len(errors.splitlines())) == ("", 1)
    assert said in errors


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ('max_total_size = "1MiB"', 0),
        ('max_total_size = "100KiB"', OVER),
        ('min_free_space = "1KiB"', 0),
        ('min_free_space = "1000TB"', OVER),
    ],
)
def test_without_arguments_the_configured_limits_count(
    tmp_path: Path, settings: str, code: int
) -> None:
    project = make_project(tmp_path / "p", f"[tool.tempkeep]\n{settings}\n")
    sized(project / ".tmp", "debug/x", 200)
    assert inv("temp-check", cwd=project).returncode == code


def test_limits_that_are_given_stand_for_all_configured_ones(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", '[tool.tempkeep]\nmax_total_size = "100KiB"\n')
    sized(project / ".tmp", "debug/x", 200)
    assert inv("temp-check", "--max-entries", "1", cwd=project).returncode == 0


# -- several roots ------------------------------------------------------------------------------


def _monorepo(tmp_path: Path, pyproject: str = "") -> Path:
    monorepo = make_project(tmp_path / "mono", pyproject)
    for name, size in (("a", 300), ("b", 300)):
        sized(make_project(monorepo / "projects" / name) / ".tmp", f"debug/{name}", size)
    return monorepo


def test_all_projects_are_checked_together(tmp_path: Path) -> None:
    monorepo = _monorepo(tmp_path)
    arguments = ("temp-check", "--max-size", "500KiB")
    assert inv(*arguments, cwd=monorepo / "projects" / "a").returncode == 0
    done = inv(*arguments, "--all-projects", cwd=monorepo)
    assert done.returncode == OVER
    assert [row.split()[:2] for row in done.stdout.splitlines()[4:]] == [
        ["projects/a", "debug/a"],
        ["projects/b", "debug/b"],
    ]


def test_configured_limits_are_those_of_each_root(tmp_path: Path) -> None:
    monorepo = _monorepo(tmp_path, '[tool.tempkeep]\nmax_total_size = "500KiB"\n')
    done = inv("temp-check", "--all-projects", cwd=monorepo)
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "mono",
        "projects/a",
        "projects/b",
    ]


def test_configured_roots_count_too(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", '[tool.tempkeep]\nroots = ["var/jobs"]\n')
    make_root(str(project / "var" / "jobs"), JOBS)
    make_entry(project / "var" / "jobs", "flight-17")
    done = inv("temp-check", "--max-entries", "0", cwd=project)
    assert done.returncode == OVER
    assert "p/var/jobs  flight-17" in done.stdout


def test_a_root_that_is_two_projects_counts_once(tmp_path: Path) -> None:
    monorepo = _monorepo(tmp_path)
    (monorepo / "projects" / "a" / ".tmp" / ".tempkeep").mkdir(exist_ok=True)
    (make_project(monorepo / "projects" / "c") / ".tmp").symlink_to("../a/.tmp")
    done = inv("temp-check", "--max-entries", "2", "--all-projects", cwd=monorepo)
    assert done.returncode == 0, done.stdout


def test_the_least_that_is_free_on_any_filesystem_counts(tmp_path: Path) -> None:
    monorepo = _monorepo(tmp_path)
    with mounted(monorepo / "projects" / "b" / ".tmp", "size=1m"):
        limits = ("--min-free", "5MiB", "--all-projects")
        done = inv("temp-check", *limits, cwd=monorepo)
    assert done.returncode == OVER
    where = monorepo / "projects" / "b" / ".tmp"
    assert f"1.0 MiB free on the filesystem of {where}, 5.0 MiB wanted" in done.stdout


# -- what hides bytes ---------------------------------------------------------------------------


def test_what_cannot_be_read_does_not_pass_silently(used: Path) -> None:
    (used / ".tmp" / "debug" / "middle_1696348800").chmod(0)
    done = as_plain_user("temp-check", "--max-size", "1MiB", cwd=used)
    assert done.returncode == 1
    assert "within budget" in done.stdout
    assert "Permission denied" in done.stderr


def test_over_its_budget_it_is_4_whatever_cannot_be_read(used: Path) -> None:
    (used / ".tmp" / "debug" / "middle_1696348800").chmod(0)
    done = as_plain_user("temp-check", "--max-size", "100KiB", cwd=used)
    assert done.returncode == OVER
    assert "Permission denied" in done.stderr


def test_a_root_that_is_none_does_not_pass(project: Path, capsys: Printed) -> None:
    (project / ".tmp").write_text("")
    assert tempkeep("temp-check", "--max-size", "1MiB") == 1
    assert "is not a directory" in capsys.readouterr().err


def test_what_a_killed_clean_has_moved_aside_counts(project: Path, capsys: Printed) -> None:
    sized(project / ".tmp", ".tempkeep/holding/0123456789abcdef", 300)
    (said,) = checked(capsys, "--max-size", "200KiB", code=OVER)
    assert said["moved_aside_bytes"] == said["size_bytes"] > 300 << 10
    assert said["entries"] == 0
    assert tempkeep("temp-check", "--max-size", "200KiB") == OVER
    assert (
        "moved aside by a clean; if it was killed, `temp-clean` finishes it"
        in capsys.readouterr().out
    )
    assert tempkeep("temp-clean", "--yes") == 0
    assert tempkeep("temp-check", "--max-size", "200KiB") == 0


def test_what_can_be_undone_counts_until_it_is_gone_for_good(
    project: Path, capsys: Printed
) -> None:
    sized(project / ".tmp", "debug/x_1696348800", 300)
    assert tempkeep("temp-clean", "--yes", "--undoable") == 0
    (said,) = checked(capsys, "--max-size", "200KiB", code=OVER)
    assert said["undoable_bytes"] == said["size_bytes"] > 300 << 10
    assert (said["entries"], said["moved_aside_bytes"]) == (0, 0)
    assert tempkeep("temp-check", "--max-size", "200KiB") == OVER
    assert "can be undone; a clean after the undo time deletes it" in capsys.readouterr().out
    assert tempkeep("temp-restore", "x_1696348800") == 0
    (said,) = checked(capsys, "--max-size", "200KiB", code=OVER)
    assert (said["entries"], said["undoable_bytes"]) == (1, 0)


def test_what_a_killed_clean_left_of_what_could_be_undone_counts(project: Path) -> None:
    sized(project / ".tmp", ".tempkeep/undo/.tempkeep/holding/0123456789abcdef", 300)
    assert tempkeep("temp-check", "--max-size", "200KiB") == OVER


def test_what_cannot_be_read_of_what_was_moved_aside_does_not_pass(project: Path) -> None:
    sized(project / ".tmp", ".tempkeep/holding/0123456789abcdef/deep", 300)
    (project / ".tmp" / ".tempkeep" / "holding" / "0123456789abcdef" / "deep").chmod(0)
    done = as_plain_user("temp-check", "--max-size", "200KiB", cwd=project)
    assert done.returncode == 1
    assert "0123456789abcdef/deep: Permission denied" in done.stderr


# -- what git tracks ----------------------------------------------------------------------------


def git(directory: Path, *arguments: str, **more: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = run(["git", *identity, *arguments], cwd=directory, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def tracked(used: Path) -> Path:
    """A work tree in which git tracks some scratch, here and further down."""
    git(used, "init", "-q")
    make_entry(used / "sub dir" / ".temp", "x", files=2)
    (used / "near.tmp").mkdir()
    (used / "near.tmp" / "file").touch()
    git(used, "add", "-A", "-f")
    git(used, "rm", "-q", "-r", "--cached", ".tmp")
    git(used, "add", "-f", ".tmp/debug/small_1696348800")
    return used


def test_scratch_that_git_tracks_ends_with_1_and_says_how_to_end_that(
    tracked: Path, capsys: Printed
) -> None:
    assert tempkeep("temp-check", "--tracked") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "git tracks 1 file below .tmp: git rm -r --cached .tmp",
        "git tracks 2 files below sub dir/.temp: git rm -r --cached 'sub dir/.temp'",
    ]
    for line in lines:
        run(["sh", "-c", line.partition(": ")[2]], cwd=tracked)
    assert tempkeep("temp-check", "--tracked") == 0
    assert capsys.readouterr().out == "git tracks nothing in .tmp or .temp\n"
    assert (tracked / ".tmp" / "debug" / "small_1696348800" / "data").exists()


def test_it_is_found_from_wherever_one_stands_in_the_work_tree(tracked: Path) -> None:
    inside = make_project(tracked / "sub dir" / "deeper")
    done = inv("temp-check", "--tracked", "--format", "json", cwd=inside)
    assert done.returncode == 1
    assert check_report(json.loads(done.stdout))["tracked"] == [
        {"path": "../../.tmp", "files": 1},
        {"path": "../.temp", "files": 2},
    ]


def test_a_root_that_is_tracked_as_a_link_is_scratch_that_git_tracks(project: Path) -> None:
    git(project, "init", "-q")
    (project / ".tmp").symlink_to("elsewhere")
    git(project, "add", "-f", ".tmp")
    assert tempkeep("temp-check", "--tracked") == 1


def test_in_a_hook_what_will_be_tracked_counts(tracked: Path) -> None:
    hook = tracked / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\n{sys.executable} -m common.temp temp-check --tracked\n")
    hook.chmod(0o755)
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    assert run(["git", *identity, "commit", "-qm", "x"], cwd=tracked).returncode == 1
    git(tracked, "commit", "-q", "--no-verify", "-m", "x")
    # With -a git commits from an index of its own, in which what is deleted is gone already.
    for path in (".tmp", "sub dir"):
        os.rename(tracked / path, tracked.parent / path)
    git(tracked, "commit", "-q", "-a", "-m", "without")
    assert git(tracked, "ls-files").split() == ["near.tmp/file", "pyproject.toml", "tasks.py"]


def test_both_can_be_checked_at_once_and_over_budget_is_4(tracked: Path, capsys: Printed) -> None:
    assert tempkeep("temp-check", "--tracked", "--max-size", "1GiB") == 1
    assert "within budget" in capsys.readouterr().out
    assert tempkeep("temp-check", "--tracked", "--max-size", "1") == OVER
    assert "git tracks 1 file" in capsys.readouterr().out


def test_where_there_is_no_git_what_it_tracks_is_refused(project: Path, capsys: Printed) -> None:
    assert tempkeep("temp-check", "--tracked") == 3
    assert "git cannot list what it tracks" in capsys.readouterr().err


def test_without_the_program_git_it_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setenv("PATH", "")
    assert tempkeep("temp-check", "--tracked") == 3
    assert "cannot run git" in capsys.readouterr().err
