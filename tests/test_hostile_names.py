"""Names, settings and reasons cannot act on what they are printed to, in any format."""

from __future__ import annotations

import csv
import io
import os
import sys
from pathlib import Path

import pytest

from tests.support import age, make_entry, make_project, run, tempkeep

ODD = "=\x1b[31m\r\n::error::##[error]\u202ex\udcff"
"""An escape, line ends, commands to GitHub, a mark that turns the text, a byte of no letter."""

ENTRY = f"{ODD}_1696348800"
COMMANDS = [
    ("temp-status",),
    *(("temp-status", "--format", form) for form in ("json", "csv", "github", "html")),
    ("temp-status", "--category", ODD, "--all-projects"),
    ("temp-status", "--sort", ODD),
    ("temp-explain", ENTRY),
    ("temp-explain", f"debug/{ODD}"),
    ("temp-check", "--max-size", "1", "--max-entries", "0"),
    ("temp-check", "--max-size", ODD),
    ("temp-clean", "--dry-run", "--everything"),
    ("temp-clean", "--dry-run", "--everything", "--format", "json"),
    ("temp-clean", "--dry-run", "--name", ODD),
    ("temp-clean", "--apply", ODD),
    ("temp-clean", "--strategy", ODD),
    ("clean", "--dry-run"),
    ("clean", "--temp-age-hours", ODD),
    ("temp-adopt", "--dry-run"),
    ("temp-restore", "--list"),
    ("temp-report", "--merge", ODD, "--expect", ODD),
    ("temp-restore", ODD),
    ("temp-pin", f"debug/{ENTRY}", "--reason", ODD),
    ("temp-explain", f"debug/{ENTRY}"),
    ("temp-status", "--format", "csv"),
    ("temp-unpin", f"debug/{ENTRY}"),
    *(("temp-migrate", "--check", "--format", form) for form in ("text", "json", "sarif")),
    ("temp-migrate", "--check", "--format", "github"),
    ("temp-migrate", "--diff"),
    ("temp-migrate", ODD),
    ("temp-migrate", "--select", ODD),
    ("temp-migrate", "--explain", ODD),
    *(("temp-schedule", "--print", "--every", "1d", "--as", kind) for kind in ("systemd", "cron")),
    ("temp-schedule", "--print", "--every", ODD),
    ("temp-clean", "--everything", "--yes", "--undoable"),
    ("temp-restore", "--list"),
    ("clean", "--include-unsure"),
    ("temp-status", "--history"),
    ("temp-status", "--history", "--format", "json"),
]

OLD_CODE = """import tempfile, shutil
def f():
    path = tempfile.mktemp()
    work = tempfile.mkdtemp()
    shutil.rmtree(work)
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, odd by its own name and by all that lies in it."""
    try:
        project = make_project(tmp_path / ODD)
    except OSError as error:
        pytest.skip(f"this filesystem takes no such names: {error}")
    monkeypatch.chdir(project)
    for path in (f".tmp/debug/{ENTRY}", f".tmp/{ENTRY}", f".tmp/{ODD}/x", f".temp/{ENTRY}"):
        age(make_entry(project, path), 99)
    make_entry(project, f"{ODD}/build")
    make_entry(project, "out")
    (project / ".tmp" / ODD / "x" / ODD).write_text("x")
    (project / f"{ODD}.py").write_text(OLD_CODE)
    (project / f"{ODD}2.py").write_text("def (")
    (project / "pyproject.toml").write_text(
        '[tool.tempkeep]\nexclude = ["y\\u001b\\u202e\\r\\n"]\nartefacts = ["build/", "[o]ut/"]\n'
    )
    return project


@pytest.mark.parametrize("in_action", [False, True], ids=["terminal", "action"])
def test_whatever_is_printed_acts_on_nothing(
    odd: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, in_action: bool
) -> None:
    summary = odd.parent / "summary"
    if in_action:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    for command in COMMANDS:
        tempkeep(*command)

        printed = capfd.readouterr()
        assert printed.out + printed.err, command
        assert "Traceback" not in printed.err, (command, printed.err)
        _check(printed.out, command, annotated="github" in command)
        _check(printed.err, command, annotated=in_action)
    if in_action:
        _check(summary.read_text(encoding="utf-8"), "summary")


def _check(said: str, what: object, *, annotated: bool = False) -> None:
    bad = {letter for letter in said if not letter.isprintable() and letter != "\n"}
    assert not bad, (what, bad, said)
    if not said.startswith("{"):  # JSON is for programs, and has its own escapes
        assert "##[" not in said.replace("\\x23#[", ""), (what, said)
    commands = [line for line in said.split("\n") if line.lstrip().startswith("::")]
    ours = ("::warning title=tempkeep::", "::warning file=", "::error file=")
    assert all(annotated and line.startswith(ours) for line in commands), (what, commands)


@pytest.mark.parametrize("setting", ["strategy", "artefacts", "archive_location", ODD])
def test_a_setting_that_is_wrong_is_told_in_one_harmless_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    (project / "cleanup_config.json").write_text("{}")
    value = "'*\\u001b\\u202e'".replace("'", '"')
    value = '["[!\\u001b\\u202e]*"]' if setting == "artefacts" else value
    if setting == ODD:
        (project / "pyproject.toml").write_text(f'[tool.tempkeep]\n"\\u001b\\u202e" = {value}\n')
    elif setting == "archive_location":
        (project / "pyproject.toml").write_text(
            '[tool.tempkeep]\narchive_location = ".tmp/\\u001b"'
        )
    else:
        (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{setting} = {value}\n")

    done = run([sys.executable, "-m", "common.temp", "clean"], cwd=project)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    _check(done.stderr, setting)


CELLS = ["=1+1", "+1", "-1", "@SUM(1)", " =1", "\t=1", "\r=1", "＝1"]


def test_no_cell_of_csv_is_a_formula_and_numbers_stay_numbers(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, cell in enumerate(CELLS):
        make_entry(project / ".tmp", f"{cell if index % 2 else 'debug'}/{cell}_1696348800")
    make_entry(project / ".tmp", "debug/plain-1_1696348800")
    assert tempkeep("temp-pin", "debug/=1+1_1696348800", "--reason", '=HYPERLINK("x")') == 0
    capsys.readouterr()

    assert tempkeep("temp-status", "--format", "csv") == 0

    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(CELLS) + 2
    for row in rows[1:]:
        for cell in row:
            assert cell.strip()[:1] not in set("=+-@＝＋－＠\t\r"), row
        assert all(number.isdigit() for number in row[3:6]), row
    names = {row[2] for row in rows}
    assert {"'=1+1_1696348800", "plain-1_1696348800", "'-1_1696348800"} <= names
    assert '\'=HYPERLINK("x")' in {row[8] for row in rows}


def test_a_diff_on_a_terminal_does_not_act_on_it(project: Path) -> None:
    if not hasattr(os, "openpty"):
        pytest.skip("needs a terminal")
    (project / "a.py").write_text("# \x1b[31mred\nimport tempfile\npath = tempfile.mkdtemp()\n")
    (project / ".gitignore").write_text("# \x1b[31m\u202ered\n")
    ours, theirs = os.openpty()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        os.close(ours)
        os.dup2(theirs, 1)
        os.execvp(sys.executable, [sys.executable, "-m", "common.temp", "temp-migrate"])
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(ours)
    assert b"+.tmp/" in said, said
    assert b"\x1b" not in said
    assert b"# \\x1b[31m\\u202ered" in said
