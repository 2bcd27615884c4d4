"""`temp-adopt`: what it prints, and its exit codes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support import (
    immutable,
    inv,
    listing,
    make_entry,
    make_project,
    process,
    run,
    status,
    tempkeep,
)

Printed = pytest.CaptureFixture[str]


def test_flat_entries_move_and_what_stays_has_its_reason(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "old_1696348800")
    make_entry(project / ".tmp", "fixed")
    make_entry(project / ".tmp", "pinned_1696348800")
    assert tempkeep("temp-pin", "pinned_1696348800", "--reason", "needed") == 0
    capsys.readouterr()

    assert tempkeep("temp-adopt") == 0

    assert capsys.readouterr().out.splitlines() == [
        "moved old_1696348800 to uncategorized/old_1696348800",
        "kept fixed: no stamp: a program may rely on its path",
        "kept pinned_1696348800: pinned: needed",
        "project: moved 1 entry; kept 2 entries: 1 no stamp, 1 pinned",
    ]
    assert (project / ".tmp/uncategorized/old_1696348800/file0.txt").is_file()


def test_a_dry_run_says_what_would_move_and_writes_nothing(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "old_1696348800")
    before = listing(project)

    assert tempkeep("temp-adopt", "--dry-run") == 0

    assert capsys.readouterr().out.splitlines() == [
        "would move old_1696348800 to uncategorized/old_1696348800",
        "project: would move 1 entry",
    ]
    assert listing(project) == before


def test_the_dry_flag_of_invoke_is_a_dry_run_too(project: Path) -> None:
    make_entry(project / ".tmp", "old_1696348800")
    before = listing(project)

    assert tempkeep("--dry", "temp-adopt") == 0

    assert listing(project) == before


def test_a_configured_dry_run_is_told_with_its_remedy(project: Path, capsys: Printed) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\ndry_run = true\n")
    make_entry(project / ".tmp", "old_1696348800")

    assert tempkeep("temp-adopt") == 0

    said = capsys.readouterr()
    assert said.err == (
        "dry_run is configured, so nothing is moved; "
        "TEMPKEEP_DRY_RUN=false in the environment overrides it\n"
    )
    assert (project / ".tmp" / "old_1696348800").is_dir()


def test_what_is_configured_to_be_excluded_stays(project: Path, capsys: Printed) -> None:
    (project / "pyproject.toml").write_text(
        "[tool.tempkeep]\nkeep_last = 3\n"
        '[tool.tempkeep.category.uncategorized]\nexclude = ["gold*"]\n'
    )
    make_entry(project / ".tmp", "gold_1696348800")
    make_entry(project / ".tmp", "old_1696348800")

    assert tempkeep("temp-adopt") == 0

    assert os.listdir(project / ".tmp" / "uncategorized") == ["old_1696348800"]
    assert "kept gold_1696348800: excluded: matches gold*" in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_what_git_tracks_does_not_move(project: Path, capsys: Printed) -> None:
    for name in ("tracked_1696348800", "other_1696348800"):
        make_entry(project / ".tmp", name)
    for command in (("init", "-q"), ("add", "-f", ".tmp/tracked_1696348800")):
        assert run(["git", *command], cwd=project).returncode == 0

    assert tempkeep("temp-adopt") == 0

    assert "kept tracked_1696348800: unsaved work: git tracks .tmp/" in capsys.readouterr().out
    assert (project / ".tmp" / "tracked_1696348800" / "file0.txt").exists()
    assert (project / ".tmp" / "uncategorized" / "other_1696348800").is_dir()


def test_nothing_to_adopt_is_one_line_and_makes_nothing(project: Path, capsys: Printed) -> None:
    before = listing(project)

    assert tempkeep("temp-adopt") == 0

    assert capsys.readouterr().out == "project: nothing to adopt\n"
    assert listing(project) == before


def test_an_old_root_is_listed_with_what_to_do_and_left_alone(
    project: Path, capsys: Printed
) -> None:
    make_entry(project / ".temp", "old_1696348800", age_hours=50)
    make_entry(project / ".temp", "notes")
    before = listing(project)

    assert tempkeep("temp-adopt") == 0

    first, second, total = capsys.readouterr().out.splitlines()
    assert first.startswith("project/.temp/notes  8.0 KiB, last change ")
    assert second.startswith("project/.temp/old_1696348800  8.0 KiB, last change ")
    assert second.endswith(" (50 h ago)")
    assert total == (
        "project/.temp: 2 entries, 16.0 KiB; "
        "`inv clean` cleans it like .tmp; move away what you want to keep"
    )
    assert listing(project) == before


def test_an_empty_old_root_is_listed(project: Path, capsys: Printed) -> None:
    (project / ".temp").mkdir()

    assert tempkeep("temp-adopt") == 0

    assert capsys.readouterr().out == "project/.temp: no entries; `inv clean` removes it\n"


def test_an_old_root_that_is_a_symlink_is_not_followed(
    project: Path, tmp_path: Path, capsys: Printed
) -> None:
    make_entry(tmp_path, "elsewhere/old_1696348800")
    (project / ".temp").symlink_to(tmp_path / "elsewhere")

    assert tempkeep("temp-adopt") == 3

    out, err = capsys.readouterr()
    assert "old_1696348800" not in out
    assert f"{project}/.temp is a symlink to {tmp_path}/elsewhere, which is neither empty" in err


def test_all_projects_are_adopted_and_the_empty_ones_counted(tmp_path: Path) -> None:
    monorepo = make_project(tmp_path / "monorepo")
    for name in ("a", "b", "c"):
        make_project(monorepo / "projects" / name)
    make_entry(monorepo / "projects/a/.tmp", "old_1696348800")
    make_entry(monorepo / "projects/b/.temp", "old_1696348800")

    done = inv("temp-adopt", "--all-projects", cwd=monorepo)

    assert done.returncode == 0, done.stderr
    assert "projects/a: moved 1 entry" in done.stdout
    assert "projects/b/.temp: 1 entry, " in done.stdout
    assert done.stdout.endswith("2 projects: nothing to adopt\n")


def test_a_root_that_cannot_be_read_does_not_stop_the_other_projects(tmp_path: Path) -> None:
    monorepo = make_project(tmp_path / "monorepo")
    for name in ("a", "b"):
        make_project(monorepo / "projects" / name)
    (monorepo / "projects/a/.tmp").touch()
    make_entry(monorepo / "projects/b/.tmp", "old_1696348800")

    done = inv("temp-adopt", "--all-projects", cwd=monorepo)

    assert done.returncode == 1
    assert "projects/a/.tmp is not a directory; move it away" in done.stderr
    assert "projects/b: moved 1 entry" in done.stdout


def test_a_settings_error_in_one_of_many_projects_moves_nothing(tmp_path: Path) -> None:
    monorepo = make_project(tmp_path / "monorepo")
    make_project(monorepo / "projects" / "a", "[tool.tempkeep]\nmax_count = -1\n")
    make_entry(monorepo / ".tmp", "old_1696348800")

    done = inv("temp-adopt", "--all-projects", cwd=monorepo)

    assert done.returncode == 2
    assert (monorepo / ".tmp" / "old_1696348800").is_dir()


def test_a_root_that_is_planted_is_refused(project: Path, tmp_path: Path) -> None:
    make_entry(project, "old_1696348800")
    (project / ".tmp").symlink_to(project)

    done = inv("temp-adopt", cwd=project)

    assert done.returncode == 3
    assert "which holds far more; remove the link" in done.stderr
    assert (project / "old_1696348800").is_dir()


def test_one_that_cannot_move_is_a_line_and_exit_code_1_and_the_others_move(
    project: Path,
) -> None:
    closed = make_entry(project / ".tmp", "closed_1696348800")
    make_entry(project / ".tmp", "old_1696348800")

    with immutable(closed):
        done = inv("temp-adopt", cwd=project)

    assert done.returncode == 1
    assert "failed closed_1696348800: cannot be moved: Operation not permitted" in done.stdout
    assert "project: moved 1 entry; 1 failed" in done.stdout
    assert os.listdir(project / ".tmp" / "uncategorized") == ["old_1696348800"]


def test_an_entry_in_use_stays_until_its_process_has_ended(project: Path) -> None:
    flat = make_entry(project / ".tmp", "old_1696348800")

    with process("import time; print('ready', flush=True); time.sleep(60)", cwd=flat) as user:
        done = inv("temp-adopt", cwd=project)
        assert f"kept old_1696348800: in use: pid {user.pid} (" in done.stdout
        assert done.returncode == 0
        assert flat.is_dir()

    assert inv("temp-adopt", cwd=project).returncode == 0
    assert not flat.exists()


def test_what_was_adopted_is_listed_and_cleaned_as_any_other(project: Path) -> None:
    make_entry(project / ".tmp", "old_1696348800", age_hours=50)
    assert tempkeep("temp-adopt") == 0

    (entry,) = status(project)["entries"]
    assert (entry["category"], entry["name"]) == ("uncategorized", "old_1696348800")
    assert tempkeep("temp-clean", "--max-age-hours", "49") == 0

    assert os.listdir(project / ".tmp" / "uncategorized") == []


def test_names_cannot_act_on_the_terminal(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "o\x1b[2Jd_1696348800")
    make_entry(project / ".tmp", "fix\x1b[2Jed")
    make_entry(project / ".temp", "o\x1b[2Jd")

    assert tempkeep("temp-adopt", "--dry-run") == 0
    assert tempkeep("temp-adopt") == 0

    assert "\x1b" not in capsys.readouterr().out
