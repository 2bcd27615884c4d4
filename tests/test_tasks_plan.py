"""A plan that is made now and executed later: exactly what was shown, if it is still the same."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.holding import hold
from common.temp.pins import pin
from common.temp.store.root.allocation import allocate
from common.temp.store.sweep.plan_file import read_plan
from tests.each import each
from tests.support import (
    age,
    inv,
    listing,
    long_ago,
    make_entry,
    make_project,
    run,
    status,
    tempkeep,
)

Printed = pytest.CaptureFixture[str]
DRAW = ("temp-clean", "--max-age-hours", "24", "--dry-run", "--plan", "plan.json")
APPLY = ("temp-clean", "--apply", "plan.json")


@pytest.fixture
def drawn(project: Path) -> Path:
    """A project with a plan for the two old ones of its three entries."""
    for name in ("a", "b"):
        make_entry(project / ".tmp", f"debug/{name}_1696348800", age_hours=30)
    make_entry(project / ".tmp", "debug/new_1696348800")
    assert tempkeep(*DRAW) == 0
    return project


def names(project: Path) -> list[str]:
    return sorted(path.name.partition("_")[0] for path in (project / ".tmp" / "debug").iterdir())


def edit(project: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = project / "plan.json"
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))


# -- what goes ----------------------------------------------------------------------------------


def test_a_plan_is_carried_out_as_it_was_shown(drawn: Path, capsys: Printed) -> None:
    capsys.readouterr()
    assert tempkeep(*APPLY) == 0
    said, errors = capsys.readouterr()
    assert errors == ""
    assert "deleted debug/a_1696348800  8.0 KiB  (planned: listed in the plan file)" in said
    assert "project: cleaned 2 entries, freed 16.0 KiB" in said
    assert names(drawn) == ["new"]
    assert (tempkeep(*DRAW), capsys.readouterr().err) == (0, "")
    assert tempkeep(*APPLY) == 0
    assert capsys.readouterr().out.endswith("plan.json lists nothing to clean\n")


def test_what_has_become_old_since_is_not_in_the_plan(drawn: Path) -> None:
    age(drawn / ".tmp" / "debug" / "new_1696348800", 99)
    assert tempkeep(*APPLY) == 0
    assert names(drawn) == ["new"]


def test_a_plan_for_several_roots_is_carried_out_in_each(tmp_path: Path) -> None:
    monorepo = make_project(tmp_path / "mono")
    inner = make_project(monorepo / "projects" / "inner")
    for project in (monorepo, inner):
        make_entry(project / ".tmp", "debug/a_1696348800", age_hours=30)
    assert inv(*DRAW, "--all-projects", cwd=monorepo).returncode == 0
    shutil.move(monorepo / "plan.json", inner / "plan.json")
    assert inv(*APPLY, cwd=inner).returncode == 0
    assert names(monorepo) == names(inner) == []


def test_the_plan_says_whether_entries_are_trashed(project: Path, tmp_path: Path) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800", age_hours=30)
    assert inv(*DRAW, "--trash", cwd=project).returncode == 0
    done = inv(*APPLY, cwd=project, XDG_DATA_HOME=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("trashed debug/a_1696348800")


def test_a_dry_run_without_anything_to_do_draws_a_plan_that_does_nothing(project: Path) -> None:
    assert tempkeep(*DRAW) == 0
    assert tempkeep(*APPLY) == 0


def test_where_a_dry_run_is_configured_a_plan_is_only_shown_but_for_force(
    drawn: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPKEEP_DRY_RUN", "true")
    before = listing(drawn)
    capsys.readouterr()
    assert tempkeep(*APPLY) == 0
    said, errors = capsys.readouterr()
    assert errors == "dry_run is configured, so nothing is cleaned; use --force to clean\n"
    assert "would delete debug/a_1696348800" in said
    assert listing(drawn) == before
    assert tempkeep(*APPLY, "--force") == 0
    assert names(drawn) == ["new"]


# -- what has diverged --------------------------------------------------------------------------


def rewritten(path: Path) -> None:
    (path / "file0.txt").write_text("more")


def copied_in(path: Path) -> None:
    """As by `cp -a`, which brings the times along, also of the directory."""
    before = path.stat()
    (path / "photo").touch()
    for one in (path / "photo", path):
        os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))


def another(path: Path) -> None:
    shutil.move(path, path.with_name("moved"))
    make_entry(path.parent, path.name, age_hours=30)


def used(path: Path) -> None:
    with hold(path):
        pass


def taken(path: Path) -> None:
    pin(path, "for Ann")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (rewritten, "has changed meanwhile, in file0.txt"),
        (copied_in, "has changed meanwhile, in what it holds"),
        (another, "is no longer the one that was looked at"),
        (shutil.rmtree, "is gone already"),
        (used, "has been used, or moved, meanwhile"),
        (taken, "is kept: pinned: for Ann"),
    ],
)
def test_what_is_not_as_it_was_stays_and_is_told(
    drawn: Path, capsys: Printed, change: Callable[[Path], None], why: str
) -> None:
    path = drawn / ".tmp" / "debug" / "a_1696348800"
    change(path)
    before = listing(path) if path.exists() else None
    capsys.readouterr()
    assert tempkeep(*APPLY) == 1
    said, errors = capsys.readouterr()
    assert errors == f"diverged project: debug/a_1696348800: {why}\n"
    others = [name for name in names(drawn) if name != "a"]
    assert f"cleaned 1 entry, freed 8.0 KiB; {len(others)} not selected\n" in said
    assert (listing(path) if path.exists() else None) == before
    assert "b" not in names(drawn)


def test_what_goes_elsewhere_at_the_last_moment_is_told(drawn: Path, capsys: Printed) -> None:
    # Of two steps for one entry the second finds what another process may do at that instant.
    edit(drawn, lambda said: said["projects"].append(said["projects"][0]))
    capsys.readouterr()
    assert tempkeep(*APPLY) == 1
    assert "skipped debug/a_1696348800: is gone already" in capsys.readouterr().out
    assert names(drawn) == ["new"]


def test_what_is_in_use_by_now_stays(project: Path, capsys: Printed) -> None:
    with long_ago():
        path = Path(allocate(str(project / ".tmp"), "debug", "live"))
    age(path, 30)
    assert tempkeep(*DRAW) == 0

    def put_in(said: dict[str, Any]) -> None:
        there = path.stat()
        entry = {
            "path": f"debug/{path.name}",
            "device": there.st_dev,
            "inode": there.st_ino,
            "changed": status(project)["entries"] and there.st_mtime,
        }
        here = (project / ".tmp").stat()
        said["projects"] = [
            {
                "root": str(project / ".tmp"),
                "device": here.st_dev,
                "inode": here.st_ino,
                "disposal": "delete",
                "entries": [entry],
            }
        ]

    edit(project, put_in)
    assert tempkeep(*APPLY) == 1
    assert "is kept: in use: pid" in capsys.readouterr().err
    assert path.is_dir()


# -- what is refused ----------------------------------------------------------------------------


def newer(said: dict[str, Any]) -> None:
    said["schema"] = 2


def elsewhere(said: dict[str, Any]) -> None:
    said["machine"] = "other"


def outside(said: dict[str, Any]) -> None:
    said["projects"][0]["root"] = os.path.dirname(said["projects"][0]["root"])


def replaced(said: dict[str, Any]) -> None:
    said["projects"][0]["inode"] += 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (newer, "is a plan of version 2; draw it again"),
        (elsewhere, "was drawn on another machine; draw it again"),
        (outside, "which is not a root here, or has been replaced since"),
        (replaced, "which is not a root here, or has been replaced since"),
    ],
)
def test_a_plan_that_is_not_for_here_is_refused(
    drawn: Path, capsys: Printed, change: Callable[[dict[str, Any]], None], why: str
) -> None:
    edit(drawn, change)
    before = listing(drawn)
    capsys.readouterr()
    assert tempkeep(*APPLY) == 3
    said, errors = capsys.readouterr()
    assert said == ""
    assert why in errors
    assert len(errors.splitlines()) == 1
    assert listing(drawn) == before


@pytest.mark.parametrize(
    "path",
    ["../../victim", "/victim", "..", ".", "", "debug", ".tempkeep", "debug/../../victim", "a\0b"],
)
def test_a_hostile_path_in_a_plan_deletes_nothing(drawn: Path, path: str) -> None:
    victim = make_entry(drawn.parent, "victim")
    make_entry(drawn, "victim")

    def aim(said: dict[str, Any]) -> None:
        there = victim.stat()
        said["projects"][0]["entries"] = [
            {"path": path, "device": there.st_dev, "inode": there.st_ino, "changed": there.st_mtime}
        ]

    edit(drawn, aim)
    before = listing(drawn)
    assert tempkeep(*APPLY) == 1
    assert listing(drawn) == before
    assert victim.is_dir()


@each(
    "text",
    ['{"kind": "tempkeep plan", "schema": 1, "projects": 3, "machine": ""}',
     "", "{", "[]", "{}", "null", '{"kind": "x", "schema": 1}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_plan_is_one_line(drawn: Path, capsys: Printed, text: str) -> None:
    if '"projects"' in text:
        edit(drawn, lambda said: said.update(projects=3))
    else:
        (drawn / "plan.json").write_text(text)
    capsys.readouterr()
    assert tempkeep(*APPLY) == 2
    assert capsys.readouterr().err == (
        "error: --apply: plan.json is not a plan; `temp-clean --dry-run --plan plan.json` draws "
        "one\n"
    )


def endless(said: dict[str, Any]) -> None:
    said["projects"][0]["entries"][0]["changed"] = 10**400


def worded(said: dict[str, Any]) -> None:
    said["projects"][0]["entries"][0]["changed"] = "nan"


def with_a_zero(said: dict[str, Any]) -> None:
    said["projects"][0]["root"] += "\0"


@pytest.mark.parametrize(("change", "code"), [(endless, 2), (worded, 2), (with_a_zero, 3)])
def test_values_that_no_dry_run_writes_are_one_line(
    drawn: Path, capsys: Printed, change: Callable[[dict[str, Any]], None], code: int
) -> None:
    edit(drawn, change)
    capsys.readouterr()
    assert tempkeep(*APPLY) == code
    said, errors = capsys.readouterr()
    assert said == ""
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1
    assert names(drawn) == ["a", "b", "new"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--plan", "p.json"), "--plan needs --dry-run"),
        (("--apply", "p.json", "--max-age-hours", "1"), "leave out the other arguments"),
        (("--apply", "p.json", "--dry-run"), "leave out the other arguments"),
        (("--apply", "missing.json"), "missing.json cannot be read: No such file or directory"),
        (
            ("--plan", "p.json", "--dry-run", "--include-in-use", "--name", "x"),
            "--plan takes no --include-in-use",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(
    project: Path, capsys: Printed, arguments: tuple[str, ...], why: str
) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800", age_hours=30)
    before = listing(project)
    assert tempkeep("temp-clean", *arguments) == 2
    errors = capsys.readouterr().err
    assert why in errors
    assert len(errors.splitlines()) == 1
    assert listing(project) == before


def test_a_plan_that_cannot_be_written_is_one_line_and_nothing_is_left(
    project: Path, capsys: Printed
) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800", age_hours=30)
    before = listing(project)
    assert tempkeep(*DRAW[:-1], "missing/plan.json") == 1
    assert capsys.readouterr().err == (
        "error: cannot write missing/plan.json: No such file or directory; choose another file\n"
    )
    assert listing(project) == before


@pytest.mark.parametrize(
    "command", [DRAW[:-1], ("temp-status", "--format", "html", "--output")], ids=["plan", "page"]
)
def test_nothing_is_written_behind_a_link_that_git_tracks(
    project: Path, tmp_path: Path, capsys: Printed, command: tuple[str, ...]
) -> None:
    if not shutil.which("git"):
        pytest.skip("needs git")
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    make_entry(project / ".tmp", "debug/a_1696348800", age_hours=30)
    (project / "out").symlink_to(notes)
    for command_of_git in (("init", "-q"), ("add", "out")):
        run(["git", *command_of_git], cwd=project)

    assert tempkeep(*command, "out") == 3

    assert f"{project}/out is a symlink to {notes} that git tracks" in capsys.readouterr().err
    assert notes.read_text() == "mine"


NAMING = pytest.mark.parametrize(
    "command", [DRAW[:-1], ("temp-status", "--format", "json", "--output")], ids=["plan", "status"]
)
"""What writes to a file that is named."""


@NAMING
def test_a_pipe_that_nobody_reads_is_one_line_and_not_waited_for(
    project: Path, command: tuple[str, ...]
) -> None:
    os.mkfifo(project / "out")
    done = inv(*command, "out", cwd=project)
    assert done.returncode == 1
    assert "error: cannot write out: no process reads from it; choose another" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@NAMING
def test_a_pipe_of_another_user_is_refused(project: Path, command: tuple[str, ...]) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    os.mkfifo(project / "out")
    os.chown(project / "out", 1000, 1000)
    reader = os.open(project / "out", os.O_RDONLY | os.O_NONBLOCK)
    try:
        done = inv(*command, "out", cwd=project)
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
    assert done.returncode == 3
    assert done.stderr == "error: out is a pipe of another user; choose another file\n"


@NAMING
def test_who_reads_a_pipe_gets_all_of_it(project: Path, command: tuple[str, ...]) -> None:
    for number in range(300):
        make_entry(project / ".tmp", f"debug/{number}-{'x' * 200}_1696348800", age_hours=30)
    os.mkfifo(project / "out")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((project / "out").read_text()), daemon=True)
    reader.start()
    assert inv(*command, "out", cwd=project).returncode == 0
    reader.join(20)
    assert len(got[0]) > 1 << 16
    json.loads(got[0])


def test_a_plan_says_which_entries_by_more_than_their_names(drawn: Path) -> None:
    (recorded,) = read_plan(drawn / "plan.json")
    path = drawn / ".tmp" / recorded.steps[0].path
    there = path.stat()
    assert (recorded.steps[0].device, recorded.steps[0].inode) == (there.st_dev, there.st_ino)
    assert recorded.steps[0].changed == there.st_mtime
