"""Must hold 2: a monorepo that uses the legacy helper behaves the same after its migration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from tests.each import each
from tests.support import environment
from tests.warm import Started

LEGACY = Path(__file__).resolve().parent / "legacy_monorepo"
PROJECTS = ("cards", "reports", "sheets", "thumbs")


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


class Monorepo:
    """A copy of the legacy monorepo under git."""

    def __init__(self, directory: Path) -> None:
        self.top = directory / "monorepo"
        self.system_temp = directory / "system-temp"
        self.system_temp.mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(LEGACY, self.top, ignore=shutil.ignore_patterns("__pycache__", ".tmp"))
        self.git("init", "--quiet")
        self.git("config", "core.autocrlf", "false")
        self.commit()

    def run(self, *command: str, cwd: Path | None = None) -> Ran:
        with Started(
            command,
            cwd=cwd or self.top,
            env=environment(TMPDIR=str(self.system_temp)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as started:
            out, err = started.communicate(timeout=300)  # bytes: no line end may change
        return Ran(started.returncode, os.fsdecode(out), os.fsdecode(err))

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = self.run("git", *who, *arguments)
        assert done.code == 0, done.err
        return done.out

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "as it is")

    def migrate(self, *arguments: str) -> Ran:
        return self.run(sys.executable, "-m", "common.temp", "temp-migrate", *arguments)

    def findings(self, *arguments: str) -> dict[str, Any]:
        done = self.migrate("--check", "--format", "json", *arguments)
        document: dict[str, Any] = json.loads(done.out)
        return document

    def tests(self) -> dict[str, str]:
        """Each test of the monorepo, and how it ended."""
        report = self.top.parent / "junit.xml"
        done = self.run(
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
            "-p", "no:hypothesispytest", f"--junitxml={report}",
        )  # fmt: skip
        ended = {}
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            wrong = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            ended[f"{case.get('classname')}::{case.get('name')}"] = wrong[0] if wrong else "passed"
        assert done.code == 0, done.out + done.err
        return ended

    def files(self) -> dict[str, tuple[bytes, int]]:
        """The content and mode of each file that git tracks or would track."""
        names = self.git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        return {
            name: ((self.top / name).read_bytes(), (self.top / name).stat().st_mode)
            for name in names
        }


class Migrated(NamedTuple):
    """The monorepo after `--write`, and what was seen before and meanwhile."""

    monorepo: Monorepo
    flags: tuple[str, ...]
    files: dict[str, tuple[bytes, int]]
    tests: dict[str, str]
    diff: Ran
    written: Ran
    left: dict[str, Any]


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Monorepo:
    return Monorepo(tmp_path_factory.mktemp("legacy"))


@pytest.fixture(scope="module", params=[(), ("--unsafe",)], ids=["safe", "unsafe"])
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tests: dict[str, str]
) -> Migrated:
    """The monorepo after `--write`, with and without `--unsafe`."""
    flags: tuple[str, ...] = request.param
    monorepo = Monorepo(tmp_path_factory.mktemp("migrated"))
    files = monorepo.files()
    diff = monorepo.migrate("--diff", *flags)
    assert monorepo.files() == files
    written = monorepo.migrate("--write", *flags)
    left = monorepo.findings(*flags)
    return Migrated(monorepo, flags, files, tests, diff, written, left)


@pytest.fixture(scope="module")
def tests(legacy: Monorepo) -> dict[str, str]:
    """The tests of the monorepo in its legacy form, all of which pass."""
    ended = legacy.tests()
    legacy.git("checkout", "--quiet", ".")
    return ended


def test_the_legacy_form_has_tests_in_each_project_and_they_pass(tests: dict[str, str]) -> None:
    for project in PROJECTS:
        own = {name for name in tests if name.startswith(f"projects.{project}.")}
        assert len(own) >= 9, own
    assert set(tests.values()) == {"passed"}


def test_the_legacy_form_is_written_in_every_way_that_there_is(legacy: Monorepo) -> None:
    texts = {name: data for name, (data, _) in legacy.files().items() if name.endswith(".py")}
    together = b"".join(texts.values())

    assert sum(b"\r\n" in data for data in texts.values()) >= 3
    assert any(data.startswith(b"\xef\xbb\xbf") for data in texts.values())
    assert any(b"coding: latin-1" in data for data in texts.values())
    for style in (
        b"\n\t", b"\x0c", b"class TemporaryDirectory", b"except ImportError", b"(photos, tempfile)",
        b"import tempfile as tf", b"TemporaryDirectory as TD", b"get_temp_dir as scratch",
        b"mkdtemp", b"def tearDown", b'Path(".tmp") / ', b'tmp_path / "source"',
    ):  # fmt: skip
        assert style in together, style


def test_the_diff_is_what_is_then_written(migrated: Migrated, legacy: Monorepo) -> None:
    assert migrated.diff.code == 1
    patch = migrated.monorepo.top.parent / "diff.patch"
    patch.write_bytes(os.fsencode(migrated.diff.out[: _end_of_diff(migrated.diff.out)]))

    legacy.git("apply", str(patch))
    try:
        assert legacy.files() == migrated.monorepo.files()
    finally:
        legacy.git("checkout", "--quiet", ".")


def _end_of_diff(text: str) -> int:
    """Where the diff ends, and the list of what is left begins."""
    lines = text.split("\n")
    last = max(index for index, line in enumerate(lines) if line[:1] in ("+", "-", " ", "\\"))
    return sum(len(line) + 1 for line in lines[: last + 1])


def test_writing_ends_well_and_in_every_project(migrated: Migrated) -> None:
    assert migrated.written.code == 0, migrated.written.out + migrated.written.err
    changed = {
        name.split("/")[1]
        for name, content in migrated.monorepo.files().items()
        if content != migrated.files.get(name) and name.startswith("projects/")
    }
    assert changed == set(PROJECTS)


def test_the_same_tests_pass_after_the_rewrite(migrated: Migrated) -> None:
    assert migrated.monorepo.tests() == migrated.tests


@each("project", PROJECTS)
def test_the_status_works_in_each_project(migrated: Migrated, project: str) -> None:
    directory = migrated.monorepo.top / "projects" / project

    done = migrated.monorepo.run(sys.executable, "-m", "invoke", "temp-status", cwd=directory)

    assert done.code == 0, done.err


def test_nothing_is_left_that_can_be_rewritten(migrated: Migrated) -> None:
    assert migrated.left["problems"] == []
    assert {one["status"] for one in migrated.left["findings"]} == {"left"}
    assert migrated.left["summary"]["converted"] == 0


def test_the_exit_code_of_a_check_says_whether_something_is_left(migrated: Migrated) -> None:
    done_with = "TK002,TK003,TK9" + (",TK004,TK005,TK006,TK007,TK008" if migrated.flags else "")

    assert migrated.monorepo.migrate("--check", *migrated.flags).code == 1
    assert migrated.monorepo.migrate("--check", "--select", done_with, *migrated.flags).code == 0


def test_a_second_run_changes_nothing(migrated: Migrated) -> None:
    migrated.monorepo.commit()

    again = migrated.monorepo.migrate("--write", *migrated.flags)

    assert again.code == 0, again.err
    assert migrated.monorepo.git("status", "--porcelain") == ""


def test_line_ends_marks_and_modes_are_what_they_were(migrated: Migrated) -> None:
    after = migrated.monorepo.files()
    for name, (data, mode) in migrated.files.items():
        now, now_mode = after[name]
        assert now_mode == mode, name
        assert now[:3] == data[:3] or not data.startswith(b"\xef\xbb\xbf"), name
        if b"\r\n" in data:
            assert now.count(b"\n") == now.count(b"\r\n"), name
        else:
            assert b"\r" not in now, name
        assert now.count(b"\x0c") == data.count(b"\x0c"), name


def test_comments_stay(migrated: Migrated) -> None:
    after = migrated.monorepo.files()
    for name, (data, _) in migrated.files.items():
        if name.endswith(".py"):
            now = after[name][0]
            lost = {
                comment
                for line in data.splitlines()
                if (comment := line.partition(b"#")[2].strip()) and comment not in now
            }
            # What the helper says of itself goes with it.
            assert lost <= {b"copied from thumbs.making, so that the script stays on its own"}, name


@each(
    "name",
    [
        "projects/thumbs/src/thumbs/swatches.py",  # a parameter of the helper's name
        "projects/thumbs/src/thumbs/mirrors.py",  # another function of that name
        "projects/sheets/src/sheets/workspaces.py",  # a class of its own called TemporaryDirectory
        "projects/sheets/src/sheets/drafting.py",  # a parameter called tempfile
        "projects/sheets/src/sheets/compat.py",  # a fallback import
        "projects/reports/src/reports/clearing.py",  # which deletes what it finds in .tmp
        "projects/cards/src/cards/sessions.py",  # kept as an attribute
    ],
)
def test_what_only_looks_like_it_stays_to_the_byte(migrated: Migrated, name: str) -> None:
    assert migrated.monorepo.files()[name] == migrated.files[name]


def test_what_stays_manual_is_listed_with_line_and_reason(migrated: Migrated) -> None:
    findings = migrated.left["findings"]

    left = {(one["path"].rpartition("/")[2], one["code"][:3]) for one in findings}
    assert {("sessions.py", "TK1"), ("compat.py", "TK1"), ("test_importing.py", "TK1")} <= left
    for one in findings:
        assert one["line"] > 0
        assert one["message"]
        assert one["advice"] or one["fix"] == "unsafe"


def test_the_two_files_that_lacked_it_have_it(migrated: Migrated) -> None:
    ignored = (migrated.monorepo.top / ".gitignore").read_text().splitlines()
    assert {".tmp/", ".temp/"} <= set(ignored)
    assert ignored[:3] == ["__pycache__/", "*.pyc", ".pytest_cache/"]
    assert "common.temp.tasks" in (migrated.monorepo.top / "tasks.py").read_text()
    own = (migrated.monorepo.top / "projects/thumbs/tasks.py").read_text()
    assert "clean" not in own.partition("common.temp.tasks import")[2].split("\n")[0].split(", ")


def test_code_whose_project_does_not_name_the_package_is_left_with_what_to_install(
    tmp_path: Path,
) -> None:
    monorepo = Monorepo(tmp_path)
    pyproject = monorepo.top / "projects/sheets/pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace(', "tempkeep"', ""))
    monorepo.commit()
    before = monorepo.files()

    assert monorepo.migrate("--write").code == 0

    after = monorepo.files()
    changed = {name for name in after if after[name] != before.get(name)}
    assert not {name for name in changed if name.startswith("projects/sheets/src")}
    assert any(name.startswith("projects/thumbs/src") for name in changed)
    said = {
        one["message"] for one in monorepo.findings()["findings"] if "sheets/src" in one["path"]
    }
    where = "[project] dependencies of projects/sheets/pyproject.toml"
    assert any(f"first add tempkeep to {where}" in text for text in said)


def test_a_tree_with_changes_is_refused_and_stays(tmp_path: Path) -> None:
    monorepo = Monorepo(tmp_path)
    (monorepo.top / "README.md").write_text("changed")
    before = monorepo.files()

    done = monorepo.migrate("--write")

    assert done.code == 3
    assert "README.md" in done.err
    assert monorepo.files() == before
