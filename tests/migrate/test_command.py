"""`inv temp-migrate` from end to end: what it prints, writes and ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.each import each
from tests.migrate.trees import DONE, LEFT, SITE, committed, git, write
from tests.support import environment, inv, listing, tempkeep

TASKS = {"tasks.py": "from common.temp.tasks import *\n", "pyproject.toml": ""}
BROKEN = "import tempfile\nprint tempfile.mkdtemp()\n"


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory."""
    directory = write(tmp_path / "tree", TASKS)
    monkeypatch.chdir(directory)
    return directory


def content(top: Path) -> dict[str, bytes]:
    """All files but git's own."""
    paths = [top / name for name in listing(top) if not name.startswith(".git/")]
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


# -- inv ------------------------------------------------------------------------------------------


def test_inv_takes_paths_after_the_name_and_flags_between_them(top: Path) -> None:
    write(top, {"a/x.py": SITE, "b/y.py": SITE, "c/z.py": SITE})

    done = inv("temp-migrate", "a", "--check", "b/y.py", cwd=top)

    assert (done.returncode, done.stderr) == (1, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[:2]] == [
        "a/x.py",
        "b/y.py",
    ]


def test_inv_takes_paths_by_a_flag_as_well(top: Path) -> None:
    write(top, {"a/x.py": SITE, "b/y.py": SITE})

    done = inv("temp-migrate", "--paths", "a", "--paths", "b", cwd=top)

    assert "2 sites can be converted in 2 files" in done.stdout


def test_inv_without_a_path_takes_the_working_directory(top: Path) -> None:
    write(top, {"a.py": SITE})

    done = inv("temp-migrate", cwd=top)

    assert done.returncode == 1
    assert done.stdout.startswith("--- a/a.py\n+++ b/a.py\n")
    assert done.stdout.endswith("3 files, 1 site can be converted in 1 file, 0 left, 0 skipped\n")


def test_inv_after_other_tasks(top: Path) -> None:
    write(top, {"a.py": SITE})

    done = inv("temp-status", "temp-migrate", "a.py", cwd=top)

    assert "1 file, 1 site can be converted" in done.stdout


def test_invoke_s_own_dry_run_writes_nothing(top: Path) -> None:
    committed(top, {"a.py": SITE})

    done = inv("--dry", "temp-migrate", "--write", cwd=top)

    assert (top / "a.py").read_text() == SITE
    assert done.stdout.startswith("--- a/a.py\n")


def test_the_rules_are_not_loaded_with_the_tasks(top: Path) -> None:
    code = (
        "import sys, common.temp.tasks, common.temp.commands.clean; "
        "print([n for n in sys.modules if n.startswith('common.temp.migrate')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


# -- what is printed and written ------------------------------------------------------------------


def test_a_diff_is_shown_and_nothing_is_written(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed(top, {"a.py": SITE, "b.py": LEFT})
    before = content(top)

    assert tempkeep("temp-migrate") == 1

    said = capsys.readouterr().out
    assert '+with temp_working_dir("a") as d:\n' in said
    assert "\nb.py:3:8: TK104 a directory of mkdtemp() that nobody removes; " in said
    assert content(top) == before


def test_a_check_lists_every_finding_and_no_diff(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed(top, {"a.py": SITE, "b.py": LEFT})

    assert tempkeep("temp-migrate", "--check") == 1

    first, second, summary, checklist, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("a.py:3:6: TK004 ")
    assert second.startswith("b.py:3:8: TK104 ")
    assert summary == "4 files, 1 site can be converted in 1 file, 1 left, 0 skipped"
    assert checklist == "checklist: 7 of 8 met"


def test_a_write_rewrites_and_a_second_one_finds_nothing(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed(top, {"a.py": SITE, "b.py": LEFT, "c.py": "x = 1\n"})

    assert tempkeep("temp-migrate", "--write") == 0
    said = capsys.readouterr().out
    once = content(top)
    assert tempkeep("temp-migrate", "--write") == 0

    assert (top / "a.py").read_text() == DONE.format("a")
    assert said.splitlines()[-1] == "5 files, 1 site converted in 1 file, 1 left, 0 skipped"
    assert content(top) == once
    assert git(top, "status", "--porcelain").split() == ["M", "a.py"]


def test_a_check_after_a_write_has_nothing_to_convert(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed(top, {"a.py": SITE, "b.py": LEFT})
    tempkeep("temp-migrate", "--write")
    capsys.readouterr()

    assert tempkeep("temp-migrate", "--check", "--format", "json") == 1

    said = json.loads(capsys.readouterr().out)
    assert [(one["code"], one["fix"]) for one in said["findings"]] == [("TK104", None)]


def test_nothing_to_do_ends_with_0(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [tempkeep("temp-migrate", mode) for mode in ("--diff", "--check", "--write")] == [0] * 3
    summaries = [line for line in capsys.readouterr().out.splitlines() if line[0] == "2"]
    assert summaries == [
        *["2 files, 0 sites can be converted in 0 files, 0 left, 0 skipped"] * 2,
        "2 files, 0 sites converted in 0 files, 0 left, 0 skipped",
    ]


def test_the_diff_is_the_bytes_of_the_file(top: Path) -> None:
    text = f"# coding: latin-1\n# ü\n{SITE}".replace("\n", "\r\n").encode("latin-1")
    committed(top, {"a.py": text})
    command = [sys.executable, "-m", "invoke", "temp-migrate"]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)

    subprocess.run(["git", "apply", "-"], input=done.stdout, check=True)

    assert b"# \xfc\r\n" in (top / "a.py").read_bytes()
    assert b"\r\nwith temp_working_dir(" in (top / "a.py").read_bytes()


# -- refusing -------------------------------------------------------------------------------------


def test_a_write_refuses_a_tree_with_changes(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committed(top, {"a.py": SITE})
    write(top, {"b.py": "x = 1\n"})

    assert tempkeep("temp-migrate", "--write") == 3

    assert "b.py" in capsys.readouterr().err
    assert (top / "a.py").read_text() == SITE


def test_a_write_refuses_outside_of_version_control(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(top, {"a.py": SITE})

    assert tempkeep("temp-migrate", "--write") == 3

    assert "not under version control" in capsys.readouterr().err
    assert (top / "a.py").read_text() == SITE


@pytest.mark.parametrize("named", [True, False])
def test_a_write_goes_behind_no_link_that_git_has_put_there(
    top: Path, tmp_path: Path, named: bool
) -> None:
    outside = write(tmp_path / "outside", {"x.py": SITE})
    committed(outside, {})
    if named:
        (top / "a").symlink_to(outside)
        committed(top, {})
    else:  # the index still names what lay in the directory
        committed(top, {"a/x.py": SITE})
        (top / "a" / "x.py").unlink()
        (top / "a").rmdir()
        (top / "a").symlink_to(outside)

    code = tempkeep("temp-migrate", "--write", "--allow-dirty", *(["a"] if named else []))

    assert code == (3 if named else 0)
    assert (outside / "x.py").read_text() == SITE


def test_allow_dirty_writes_all_the_same(top: Path) -> None:
    write(top, {"a.py": SITE})

    assert tempkeep("temp-migrate", "--write", "--allow-dirty") == 0

    assert (top / "a.py").read_text() == DONE.format("a")


def test_what_cannot_be_written_is_said_and_ends_with_1(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed(top, {"a.py": SITE, "b.py": SITE})
    (top.parent / "other.py").hardlink_to(top / "a.py")

    assert tempkeep("temp-migrate", "--write") == 1

    said = capsys.readouterr()
    assert "a.py: has other hard links" in said.err
    assert "1 site converted in 1 file, 1 left" in said.out
    assert (top / "a.py").read_text() == SITE
    assert (top / "b.py").read_text() == DONE.format("b")


# -- files that cannot be read --------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["--diff", "--check", "--write"])
def test_a_file_that_does_not_parse_ends_with_3_and_the_others_are_dealt_with(
    top: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    committed(top, {"a.py": BROKEN, "b.py": SITE})

    assert tempkeep("temp-migrate", mode) == 3

    said = capsys.readouterr()
    assert said.err.startswith("a.py: does not parse: line 2")
    assert any(line.endswith("1 not readable") for line in said.out.splitlines())
    assert (top / "a.py").read_text() == BROKEN
    assert (top / "b.py").read_text() == (DONE.format("b") if mode == "--write" else SITE)


def test_what_is_no_source_is_passed_over_or_one_line(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is waited for, and nothing fills the memory."""
    write(top, {"a.py": SITE, "tests/test_b.py": SITE})
    (top / "pyproject.toml").unlink()
    for name in ("fifo.py", ".gitignore", ".gitattributes", "pyproject.toml", "pytest.ini"):
        os.mkfifo(top / name)
    os.mkfifo(top / "tests" / "__init__.py")
    (top / "zero.py").symlink_to("/dev/zero")
    site = top / ".venv" / "lib" / "python3" / "site-packages"
    site.mkdir(parents=True)
    (top / ".venv" / "pyvenv.cfg").touch()
    os.mkfifo(site / "x.pth")
    with open(top / "huge.py", "wb") as file:
        file.truncate(1 << 40)

    assert tempkeep("temp-migrate") in (1, 3)

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("huge.py: cannot be read: it is larger than 16.0 MiB")
    assert tempkeep("temp-migrate", "fifo.py") == 2
    assert "neither a file nor a directory" in capsys.readouterr().err


# -- arguments ------------------------------------------------------------------------------------


@each(
    ("arguments", "text"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["--diff", "--write"], "--diff and --write exclude each other"),
        (["--check", "--write"], "--check and --write exclude each other"),
        (["--format", "xml"], "--format: expected one of text, json, sarif, github, got 'xml'"),
        (["--select", "TK999"], "--select: no rule 'TK999'; there are TK001, TK002"),
        (["--ignore", "TK001,,TK002"], "--ignore: no rule ''"),
        (["--explain", "TK"], "--explain: no rule 'TK'"),
        (["--select", "TK900", "--ignore", "TK9"], "leave no rule"),
    ],
)
def test_a_bad_argument_ends_with_2_and_one_line(
    top: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    write(top, {"a.py": SITE})

    assert tempkeep("temp-migrate", *arguments) == 2

    said = capsys.readouterr()
    assert text in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert (top / "a.py").read_text() == SITE


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        ([], ["TK004", "TK104"]),
        (["--select", "TK004"], ["TK004"]),
        (["--select", "tk1"], ["TK104"]),
        (["--select", "TK001,TK104"], ["TK104"]),
        (["--ignore", "TK1"], ["TK004"]),
        (["--select", "TK", "--ignore", "TK004,TK10"], []),
    ],
)
def test_rules_are_chosen_by_code_or_by_how_it_begins(
    top: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], codes: list[str]
) -> None:
    write(top, {"a.py": SITE + LEFT})

    assert tempkeep("temp-migrate", "--format", "json", *arguments) == int(bool(codes))

    said = json.loads(capsys.readouterr().out)
    assert [finding["code"] for finding in said["findings"]] == codes


def test_unsafe_rewrites_are_made_only_when_they_are_allowed(top: Path) -> None:
    text = 'import tempfile\n\nwith tempfile.TemporaryDirectory(prefix="x") as d:\n    print(d)\n'
    committed(top, {"a.py": text})

    assert tempkeep("temp-migrate", "--write") == 0
    assert (top / "a.py").read_text() == text
    assert tempkeep("temp-migrate", "--write", "--unsafe") == 0
    assert (top / "a.py").read_text() == DONE.format("x")


def test_lines_are_those_of_the_file_as_it_is_then(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before a write those of the old file, after it those of the new one, and none of both."""
    text = (
        "import shutil\nimport tempfile\n\n\ndef a():\n"
        "    with tempfile.TemporaryDirectory() as d:\n"
        "        return d + '/x'\n\n\nwork = tempfile.mkdtemp()\nprint(work)\n"
        "shutil.rmtree(work)\n"
    )
    committed(top, {"a.py": text})
    said = []
    for flags in (("--check",), ("--write",)):
        tempkeep("temp-migrate", "--unsafe", *flags)
        out = capsys.readouterr().out.splitlines()
        said += [line for line in out if "TK104" in line]
    lines = (top / "a.py").read_text().splitlines()

    made, gone = (
        lines.index(line) + 1 for line in ("work = tempfile.mkdtemp()", "shutil.rmtree(work)")
    )
    assert (made, gone) != (10, 12)
    assert [line.partition(" a directory")[0] for line in said] == [
        "a.py:10:8: TK104",
        f"a.py:{made}:8: TK104",
    ]
    assert " line 12 removes" in said[0]
    assert f" line {gone} removes" in said[1]


def test_explain_prints_the_documentation_of_a_rule(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tempkeep("temp-migrate", "--explain", "tk004") == 0

    said = capsys.readouterr().out
    assert said.startswith("TK004: with tempfile.TemporaryDirectory() as d (rewritten by default)")
    assert "\nbecomes\n" in said


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_other_formats_have_no_diff_on_stdout(
    top: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    write(top, {"a.py": SITE})

    assert tempkeep("temp-migrate", "--format", form) == 1

    said = capsys.readouterr()
    assert "+++" not in said.out
    if form == "github":
        assert said.out.startswith("::warning file=a.py,line=3,")
        assert said.err.startswith("3 files, ")
    else:
        assert json.loads(said.out)
