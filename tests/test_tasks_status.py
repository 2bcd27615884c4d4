"""`temp-status`: what it lists, in which format, and that it changes nothing."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from common.temp.report.table import width
from tests.support import (
    FULL,
    age,
    check_report,
    environment,
    inv,
    listing,
    make_entry,
    make_project,
    process,
    tempkeep,
)
from tests.warm import Started

Printed = pytest.CaptureFixture[str]
HOSTILE = 'a"b,c\nd\te\x1b[31m;=1+1'


def shown(capsys: Printed, *arguments: str) -> dict[str, Any]:
    """The JSON document of `temp-status`, which is expected to end with 0."""
    assert tempkeep("temp-status", "--format", "json", *arguments) == 0
    return check_report(json.loads(capsys.readouterr().out))


def names(document: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in document["projects"][0]["entries"]]


def snapshot(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """What would show a write: kind and mode, size, and both times of everything below."""
    found = {}
    for path in [".", *listing(directory)]:
        status = os.lstat(directory / path)
        found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


# -- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("", "delete: no policy configured"),
        ("keep_last = 0", "delete: no policy configured"),
        ("max_age_hours = 24", "delete: expired: 50 h > 24 h"),
        ("max_age_hours = 1\narchive = true", "archive: expired: "),
        ("max_age_hours = 60", "keep: within limits: 50 h ≤ 60 h"),
        ("[tool.tempkeep.category.cache]\nmax_count = 1", "keep: no limit: none applies to it"),
    ],
)
@pytest.mark.parametrize("form", ["table", "html"])
def test_the_next_clean_is_told_with_its_reason(
    project: Path, settings: str, why: str, form: str
) -> None:
    (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{settings}\n")
    make_entry(project / ".tmp", "debug/old_1696348800", age_hours=50)
    arguments = ("--format", form, "--output", "report")
    (project / "report").touch(0o600)
    assert tempkeep("temp-status", *arguments) == 0
    assert (project / "report").stat().st_mode & 0o777 == 0o600
    text = (project / "report").read_text(encoding="utf-8")
    if form == "html":
        (packed,) = re.findall(r'id="data"[^>]*>([^<]+)<', text)
        text = zlib.decompress(base64.b64decode(packed), wbits=-15).decode()
        why = json.dumps(why).strip('"')
    assert why in text


def test_the_table_shows_each_entry_the_totals_and_the_free_space(
    project: Path, capsys: Printed
) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=120)
    make_entry(project / ".tmp", "cache/thumbs_1696348900", files=3)

    assert tempkeep("temp-status") == 0

    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == f"project ({project}/.tmp)"
    assert any(line.startswith("cache thumbs_1696348900 16.0 KiB 3 ") for line in lines)
    assert any(line.startswith("debug run_1696348800 8.0 KiB 1 5 d ") for line in lines)
    assert lines[1] == "2 entries, 24.0 KiB on disk, 24.0 KiB reclaimable (100 %)"
    assert lines[-1].endswith("free on its filesystem")


def test_a_project_without_scratch_says_so(project: Path, capsys: Printed) -> None:
    assert tempkeep("temp-status") == 0

    assert "no entries" in capsys.readouterr().out


def test_in_use_and_pinned_are_shown_with_who_and_why(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/kept_1696348800")
    assert tempkeep("temp-pin", "kept_1696348800", "--reason", "evidence for Ann") == 0
    code = (
        "from common.temp import TempManager; import time;"
        "print(TempManager.create_persistent_dir('run', 'work'), flush=True); time.sleep(60)"
    )
    with process(code, cwd=project) as running:
        capsys.readouterr()
        assert tempkeep("temp-status") == 0

        out = capsys.readouterr().out
        assert f"in use: pid {running.pid} (" in out
        assert "pinned: evidence for Ann" in out
        document = shown(capsys)
    by_name = {entry["label"]: entry for entry in document["projects"][0]["entries"]}
    assert by_name["run"]["in_use"]["how"] == "owner"
    assert by_name["run"]["goes"] is False
    assert by_name["kept"]["pinned"] == "evidence for Ann"


def test_the_configured_policy_says_what_it_would_do_and_why(
    project: Path, capsys: Printed
) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age_hours = 24\n")
    make_entry(project / ".tmp", "debug/old_1696348800", age_hours=31.5)
    make_entry(project / ".tmp", "debug/new_1696348800", age_hours=1)

    entries = {entry["label"]: entry for entry in shown(capsys)["projects"][0]["entries"]}

    assert entries["old"]["goes"] is True
    assert entries["old"]["reasons"][0]["rule"] == "expired"
    assert "> 24 h" in entries["old"]["reasons"][0]["evidence"]
    assert entries["new"]["goes"] is False
    assert entries["new"]["reasons"][0]["rule"] == "within limits"


# -- choosing ---------------------------------------------------------------------------------


def three(project: Path) -> None:
    make_entry(project / ".tmp", "debug/b_1696348800", age_hours=2, files=9)
    make_entry(project / ".tmp", "debug/a_1696348800", age_hours=1, files=1)
    make_entry(project / ".tmp", "cache/c_1696348800", age_hours=3, files=5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "cab"),
        (("--sort", "name"), "cab"),
        (("--sort", "size"), "bca"),
        (("--sort", "age"), "cba"),
        (("--sort", "files"), "bca"),
        (("--sort", "size", "--limit", "1"), "b"),
        (("--limit", "0"), ""),
        (("--limit", "99"), "cab"),
        (("--category", "debug"), "ab"),
        (("--category", "unheard-of"), ""),
    ],
)
def test_sort_limit_and_category_choose(
    project: Path, capsys: Printed, arguments: tuple[str, ...], expected: str
) -> None:
    three(project)

    found = names(shown(capsys, *arguments))

    assert [name[0] for name in found] == list(expected)


def test_the_totals_count_what_a_limit_does_not_list(project: Path, capsys: Printed) -> None:
    three(project)

    totals = shown(capsys, "--limit", "1")["projects"][0]["totals"]

    assert totals["entries"] == 3
    assert set(totals["categories"]) == {"cache", "debug"}
    assert tempkeep("temp-status", "--limit", "1") == 0
    assert "1 of 3 entries shown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sort", "colour"), "--sort: expected one of name, size, files, age, got 'colour'"),
        (
            ("--format", "xml"),
            "--format: expected one of table, json, csv, github, html, openmetrics, got 'xml'",
        ),
        (("--limit=x",), "--limit: expected a whole number of 0 or more, got 'x'"),
        (("--limit=-1",), "--limit: expected a whole number of 0 or more, got '-1'"),
        (("--limit=1.5",), "--limit: expected a whole number of 0 or more, got '1.5'"),
        (("--limit=inf",), "--limit: expected a whole number of 0 or more, got 'inf'"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2(
    project: Path, capsys: Printed, arguments: tuple[str, ...], message: str
) -> None:
    assert tempkeep("temp-status", *arguments) == 2

    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"error: {message}\n")


# -- formats ----------------------------------------------------------------------------------


def test_json_has_a_schema_version_integer_bytes_and_iso_times(
    project: Path, capsys: Printed
) -> None:
    three(project)

    document = shown(capsys)

    assert (document["schema"], document["kind"]) == (1, "status")
    entry = document["projects"][0]["entries"][0]
    for key in ("size_bytes", "apparent_bytes", "shared_bytes", "files", "age_seconds"):
        assert type(entry[key]) is int
    assert type(document["projects"][0]["free_bytes"]) is int
    assert datetime.fromisoformat(entry["changed_at"]).tzinfo is not None
    assert datetime.fromisoformat(entry["made_at"]).tzinfo is not None


def test_csv_keeps_its_columns_whatever_is_in_the_names(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", f"debug/{HOSTILE}")

    assert tempkeep("temp-status", "--format", "csv") == 0

    out = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 1
    assert rows[0]["name"] == 'a"b,c\\nd\\te\\x1b[31m;=1+1'
    assert int(rows[0]["size_bytes"]) == 8192
    assert (rows[0]["goes"], rows[0]["rule"]) == ("true", "no policy configured")


@pytest.mark.parametrize("form", ["table", "github", "csv", "json"])
def test_no_format_lets_a_control_character_through(
    project: Path, capsys: Printed, form: str
) -> None:
    make_entry(project / ".tmp", f"debug/{HOSTILE}")

    assert tempkeep("temp-status", "--format", form) == 0

    assert all(letter.isprintable() or letter == "\n" for letter in capsys.readouterr().out)


def test_github_tables_have_as_many_cells_in_each_row(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/a|b")
    make_entry(project / ".tmp", "debug/1e5")

    assert tempkeep("temp-status", "--format", "github") == 0

    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {9}
    assert "a\\|b" in out
    assert "1e5" in out


def test_what_the_encoding_lacks_is_escaped(project: Path) -> None:
    make_entry(project / ".tmp", "debug/übung")

    done = inv("temp-status", cwd=project, PYTHONIOENCODING="ascii")

    assert done.returncode == 0, done.stderr
    assert "\\xfcbung" in done.stdout


# -- it only looks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("temp-status",),
        ("temp-status", "--all-projects", "--format", "json"),
        ("temp-clean", "--dry-run"),
        ("temp-clean", "--dry-run", "--trash", "--yes", "--force"),
        ("temp-clean", "--dry-run", "--strategy", "archive"),
        ("--dry", "temp-clean", "--force", "--yes"),
        ("-R", "temp-clean"),
        ("clean", "--dry-run"),
        ("--dry", "clean"),
        ("--dry", "temp-pin", "debug/a_1696348800", "--reason", "r"),
        ("--dry", "temp-unpin", "cache/b_1696348800"),
        ("temp-explain", "debug/a_1696348800"),
    ],
    ids=" ".join,
)
def test_a_look_writes_nothing_at_all(
    project: Path, own_system_temp: Path, capsys: Printed, arguments: tuple[str, ...]
) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800", age_hours=99999)
    make_entry(project / ".tmp", "cache/b_1696348800")
    make_entry(project / ".temp", "old")
    make_entry(project, "build")
    assert tempkeep("temp-pin", "cache/b_1696348800", "--reason", "stays") == 0
    held = project / ".tmp" / ".tempkeep" / "holding" / "0123456789abcdef"
    held.mkdir(parents=True)  # what a killed clean left
    before = snapshot(project), snapshot(own_system_temp)

    assert tempkeep(*arguments) == 0

    assert (snapshot(project), snapshot(own_system_temp)) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("temp-status",),
        ("temp-clean", "--dry-run"),
        ("--dry", "temp-clean"),
        ("clean", "--dry-run"),
    ],
    ids=" ".join,
)
def test_a_look_does_not_make_a_missing_root(
    project: Path, own_system_temp: Path, arguments: tuple[str, ...]
) -> None:
    before = snapshot(project)

    assert inv(*arguments, cwd=project).returncode == 0

    assert snapshot(project) == before
    assert listing(own_system_temp) == []


# -- several projects -------------------------------------------------------------------------


@pytest.fixture
def monorepo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Projects `a` and `b`, which are in the globs, and `tools/c`, which uv knows."""
    root = make_project(
        tmp_path / "mono",
        '[tool.uv.workspace]\nmembers = ["tools/*"]\nexclude = ["tools/skipped"]\n',
    )
    (root / ".git").mkdir()
    for name in ("projects/a", "projects/b", "tools/c", "tools/skipped", "elsewhere/d"):
        make_entry(make_project(root / name) / ".tmp", "debug/x_1696348800")
    monkeypatch.chdir(root / "projects" / "a")
    return root


def test_all_projects_lists_the_globs_and_the_workspace(monorepo: Path, capsys: Printed) -> None:
    document = shown(capsys, "--all-projects")

    found = {project["project"]: len(project["entries"]) for project in document["projects"]}
    assert found == {"mono": 0, "projects/a": 1, "projects/b": 1, "tools/c": 1}


def test_all_projects_lists_the_one_in_which_one_stands_whatever_the_globs(
    monorepo: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.chdir(monorepo / "elsewhere" / "d")

    found = [project["project"] for project in shown(capsys, "--all-projects")["projects"]]
    assert found == ["mono", "projects/a", "projects/b", "tools/c", "elsewhere/d"]


def test_without_all_projects_only_one_s_own_is_listed(monorepo: Path, capsys: Printed) -> None:
    assert [project["project"] for project in shown(capsys)["projects"]] == ["a"]


def test_the_tables_of_all_projects_only_count_the_empty_ones(
    monorepo: Path, capsys: Printed
) -> None:
    assert tempkeep("temp-status", "--all-projects") == 0

    out = capsys.readouterr().out
    assert "projects/a (" in out
    assert "mono (" not in out
    assert out.endswith("\n\n1 project without entries\n")


def test_the_projects_globs_can_be_configured(
    monorepo: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.chdir(monorepo)
    (monorepo / "pyproject.toml").write_text('[tool.tempkeep]\nprojects = ["elsewhere/*"]\n')

    document = shown(capsys, "--all-projects")

    assert [project["project"] for project in document["projects"]] == ["mono", "elsewhere/d"]


def test_auto_cleanup_entries_of_the_user_are_listed_when_there_are_some(
    project: Path, capsys: Printed
) -> None:
    code = (
        "from common.temp import TempManager; import sys\n"
        "with TempManager.auto_cleanup_dir('mine') as d:\n"
        "    print(d, flush=True); sys.stdin.read()"
    )
    with process(code, cwd=project):
        document = shown(capsys)

    title = document["projects"][1]["project"]
    entry = document["projects"][1]["entries"][0]
    assert title == "auto-cleanup entries of this user"
    assert (entry["label"], entry["goes"], entry["in_use"]["how"]) == ("mine", False, "owner")


# -- what cannot be read ----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["temp-status", "temp-clean", "clean"])
def test_a_root_that_is_no_directory_is_one_line_and_exit_code_1(
    project: Path, capsys: Printed, command: str
) -> None:
    (project / ".tmp").write_text("mine")

    assert tempkeep(command) == 1

    printed = capsys.readouterr()
    assert printed.err == (
        f"problem: project: .tmp: {project}/.tmp is not a directory; move it away\n"
    )
    assert (project / ".tmp").read_text() == "mine"


@pytest.mark.parametrize("command", ["temp-status", "temp-clean"])
def test_a_planted_directory_of_the_user_is_refused_and_the_project_goes_on(
    project: Path, own_system_temp: Path, capsys: Printed, command: str
) -> None:
    planted = own_system_temp / f"tempkeep-{os.geteuid()}"
    planted.mkdir(mode=0o755)
    planted.chmod(0o755)
    (planted / "auto").mkdir()
    make_entry(project / ".tmp", "debug/a_1696348800")

    assert tempkeep(command) == 3

    printed = capsys.readouterr()
    assert "a_1696348800" in printed.out
    assert "is not this user's private directory (mode 700)" in printed.err
    assert listing(planted) == ["auto"]


def test_json_names_a_root_that_cannot_be_read(monorepo: Path, capsys: Printed) -> None:
    broken = monorepo / "projects" / "b" / ".tmp"
    broken.rename(broken.with_name("aside"))
    broken.write_text("")

    assert tempkeep("temp-status", "--all-projects", "--format", "json") == 1

    projects = {each["project"]: each for each in json.loads(capsys.readouterr().out)["projects"]}
    assert projects["projects/b"]["problems"][0]["blocking"] is True
    assert len(projects["projects/a"]["entries"]) == 1


def test_a_change_in_the_future_is_a_line_and_no_failure(project: Path, capsys: Printed) -> None:
    age(make_entry(project / ".tmp", "debug/a_1696348800"), -48)

    assert tempkeep("temp-status") == 0

    assert "was changed in the future" in capsys.readouterr().err


# -- output that nobody takes -----------------------------------------------------------------


def test_a_reader_that_leaves_early_sees_no_traceback(project: Path) -> None:
    for number in range(2000):
        (project / ".tmp" / "debug" / f"x{number}").mkdir(parents=True)
    with Started(
        [sys.executable, "-m", "invoke", "temp-status"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == ""
    assert started.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_for_the_output_is_one_line(project: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "invoke", "temp-status"],
            cwd=project,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, f"error: cannot write: {FULL}\n")


def on_terminal(*arguments: str, columns: int, cwd: Path, **more: str) -> str:
    """What a real `inv` prints on a terminal that is so many columns wide."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with Started(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=cwd,
        env=environment(**{"CI": "", "NO_COLOR": "", "TERM": "xterm", "COLUMNS": "", **more}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # so a terminal ends that nobody has open any more
            while more_bytes := os.read(ours, 4096):
                seen += more_bytes
        os.close(ours)
        assert started.stderr is not None
        assert started.stderr.read() == ""
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_on_a_terminal_names_are_whole_and_no_other_line_is_wider_than_it(
    project: Path, columns: int
) -> None:
    name = f"{'a-long-label-' * 9}of-mine_1696348800"
    make_entry(project / ".tmp", f"debug/{name}")
    make_entry(project / ".tmp", "cache/日本語のサムネイル_1696348800")

    printed = on_terminal("temp-status", columns=columns, cwd=project)

    assert "\x1b[1mproject" in printed
    lines = re.sub(r"\x1b\[\d+m", "", printed).splitlines()
    table = [line for line in lines if line.startswith(("category", "debug", "cache", "----"))]
    assert len(table) >= 4
    assert all(width(line) <= columns or line.endswith(name) for line in table)
    assert any(line.endswith(name) for line in table)
    assert any("日本語のサムネイル_1696348800" in line for line in table)


def test_without_colours_a_terminal_gets_none(project: Path) -> None:
    make_entry(project / ".tmp", "debug/x_1696348800")

    for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}):
        assert "\x1b" not in on_terminal("temp-status", columns=80, cwd=project, **more)
