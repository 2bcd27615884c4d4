"""`clean` with presets: which artefacts go, by choice or age, of one project or of all."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import (
    DAY,
    age,
    check_report,
    have_git_ignore,
    make_entry,
    process,
    run,
    tempkeep,
)

Printed = pytest.CaptureFixture[str]


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True)


@pytest.fixture
def mono(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A monorepo in git with two packages of node, a crate and a project of its own."""
    have_git_ignore(("node_modules/", "target/", "__pycache__/"), project.parent, monkeypatch)
    git(project, "init", "-q")
    for path in ("web/package.json", "api/package.json", "crate/Cargo.toml"):
        (project / path).parent.mkdir()
        (project / path).write_text("{}")
    (project / "projects" / "photos").mkdir(parents=True)
    (project / "projects" / "photos" / "package.json").write_text("{}")
    git(project, "add", ".")
    for path in ("web/node_modules/a/lib", "api/node_modules/b", "crate/target/debug"):
        make_entry(project, path)
    make_entry(project, "projects/photos/node_modules/c")
    make_entry(project, ".tmp/debug/run_1696348800")
    return project


def left(mono: Path) -> list[str]:
    """The artefacts and entries that are there."""
    every = ("*/node_modules", "*/target", "projects/*/node_modules", ".tmp/*/*_*")
    found = sorted(path.relative_to(mono) for glob in every for path in mono.glob(glob))
    return list(map(str, found))


WEB, API, PHOTOS = "web/node_modules", "api/node_modules", "projects/photos/node_modules"
CRATE, RUN = "crate/target", ".tmp/debug/run_1696348800"


def test_a_clean_without_presets_takes_none_of_theirs_and_one_with_takes_no_scratch(
    mono: Path, capsys: Printed
) -> None:
    make_entry(mono, "crate/target/debug/build")
    (mono / API / "mine.js").write_text("x")
    git(mono, "add", "-f", f"{API}/mine.js")
    assert tempkeep("clean", "--preset", "node") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"deleted {PHOTOS}  12.0 KiB  (artefact: node, beside package.json)",
        f"deleted {WEB}  16.0 KiB  (artefact: node, beside package.json)",
        f"kept {API}: git tracks {API}/mine.js",
        "project: deleted 2 artefacts, 28.0 KiB",
    ]
    assert left(mono) == [RUN, API, CRATE]
    assert tempkeep("clean") == 0
    assert left(mono) == [API, CRATE]
    assert (mono / "crate/target/debug/build/file0.txt").exists()
    assert tempkeep("clean", "--preset", "elixir, go") == 2
    assert "--preset: expected some of python, venv, node" in capsys.readouterr().err
    assert tempkeep("clean", "--preset", "rust", "--temp-age-hours", "1") == 2
    assert "--preset cleans no scratch; leave out --temp-age" in capsys.readouterr().err
    assert left(mono) == [API, CRATE]
    assert tempkeep("clean", "--preset", "elixir") == 0
    assert capsys.readouterr().out == "project: nothing to clean\n"
    (mono / "pyproject.toml").write_text('[tool.tempkeep]\npresets = ["rust"]\n')
    assert tempkeep("clean") == 0
    assert left(mono) == [API]


def test_what_is_not_old_or_is_of_a_project_that_changed_stays(mono: Path, capsys: Printed) -> None:
    old = time.time() - 40 * DAY
    for path in [mono, *mono.rglob("*")]:
        if ".git" not in path.parts:
            os.utime(path, (old, old), follow_symlinks=False)
    (mono / "web" / "index.js").write_text("x")
    (mono / API / "b" / "new.js").write_text("x")
    make_entry(mono, ".tmp/debug/new_1696348900")
    age(mono / RUN, 1000)
    assert tempkeep("clean", "--preset=all", "--older-than=30d") == 0
    said = capsys.readouterr().out
    assert f"kept {API}: changed 0 s ago, in b/new.js\n" in said
    assert f"kept {WEB}: its project changed 0 s ago, in web/index.js\n" in said
    assert left(mono) == [".tmp/debug/new_1696348900", RUN, API, WEB]
    assert tempkeep("clean", "--older-than=30d") == 0
    assert left(mono) == [".tmp/debug/new_1696348900", API, WEB]
    assert tempkeep("clean", "--older-than=soon") == 2
    os.utime(mono / "web" / "index.js", (old, old))
    (mono / "web" / "inner").mkdir()
    for name in ("pyproject.toml", "app.js"):  # a project of its own, which needs what is above it
        (mono / "web" / "inner" / name).write_text("x")
    os.utime(mono / "web" / "inner" / "pyproject.toml", (old, old))
    assert tempkeep("clean", "--preset=node", "--older-than=30d") == 0
    assert f"kept {WEB}: its project changed 0 s ago, in web/inner/app.js\n" in (
        capsys.readouterr().out
    )


def test_an_active_project_is_left_alone_but_not_for_a_shell_or_a_pager(
    mono: Path, capsys: Printed
) -> None:
    with process("print('ready', flush=True); input()", cwd=mono / "web") as server:
        (mono / "package.json").write_text("{}")
        make_entry(mono, "node_modules/a")
        shell = subprocess.Popen(
            ["bash", "--rcfile", "x", "-i"], stdin=subprocess.PIPE, cwd=mono / "api"
        )
        try:
            assert tempkeep("clean", "--preset", "node", "--dry-run") == 0
        finally:
            shell.communicate()
        said = capsys.readouterr().out
        assert f"kept {WEB}: its project is in use: pid {server.pid} " in said
        assert f"kept node_modules: its project is in use: pid {server.pid} " in said
        assert f"would delete {API} " in said
    piped = f"{sys.executable} -m common.temp clean --preset node | (cd web; exec cat)"
    done = run(["sh", "-c", piped], cwd=mono)
    assert f"deleted {WEB} " in done.stdout, done
    assert left(mono) == [RUN, CRATE]


def test_a_build_of_all_modules_is_at_work_in_each(mono: Path, capsys: Printed) -> None:
    with process("print('ready', flush=True); input()", cwd=mono) as build:
        assert tempkeep("clean", "--preset", "node", "--dry-run") == 0
        assert f"would delete {WEB} " in capsys.readouterr().out
        (mono / "package.json").write_text("{}")
        assert tempkeep("clean", "--preset", "node", "--dry-run") == 0
        assert f"kept {WEB}: its project is in use: pid {build.pid} " in capsys.readouterr().out


def test_what_a_person_chooses_goes(
    mono: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1,*run*\ny\n"))
    assert tempkeep("clean", "--ask", "--dry-run") == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("2-3\ny\n"))
    assert tempkeep("clean", "--ask", "--preset", "node,rust") == 0
    printed = capsys.readouterr()
    assert f"2  {CRATE} " in printed.err
    assert "Delete 2 artefacts, 24.0 KiB? [y/N]" in printed.err
    assert left(mono) == [RUN, API, WEB]
    monkeypatch.setattr(sys, "stdin", io.StringIO("all\n"))
    assert tempkeep("clean", "--ask", "--preset", "node") == 3
    assert "there was no answer; leave out --ask to clean without asking" in capsys.readouterr().err
    assert left(mono) == [RUN, API, WEB]


def test_what_changes_while_a_person_is_asked_stays(
    mono: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    answers = iter(["all\n", "y\n"])

    class Slow:
        def isatty(self) -> bool:
            return False

        def readline(self) -> str:
            (mono / API / "b" / "patched.js").write_text("x")
            return next(answers)

    monkeypatch.setattr(sys, "stdin", Slow())
    assert tempkeep("clean", "--ask", "--preset", "node") == 0
    assert f"kept {API}: it has changed since it was looked at\n" in capsys.readouterr().out
    assert left(mono) == [RUN, API, CRATE]


def test_all_projects_are_cleaned_and_each_artefact_counts_once(
    mono: Path, capsys: Printed
) -> None:
    arguments = ("clean", "--preset=node", "--all-projects")
    totals = [
        "project: {} 2 artefacts, 28.0 KiB",
        "projects/photos: {} 1 artefact, 12.0 KiB",
        "2 projects: {} 3 artefacts, 40.0 KiB",
    ]
    for options, verb in ((["--dry-run"], "would delete"), ([], "deleted")):
        assert tempkeep(*arguments, *options) == 0
        said = capsys.readouterr().out
        assert [line for line in said.splitlines() if ": " + verb in line] == [
            total.format(verb) for total in totals
        ]
    assert left(mono) == [RUN, CRATE]


def test_the_report_for_programs_has_artefacts_and_scratch(mono: Path, capsys: Printed) -> None:
    (mono / API / "mine.js").write_text("x")
    git(mono, "add", "-f", f"{API}/mine.js")
    (mono / "pyproject.toml").write_text('[tool.tempkeep]\npresets = ["node"]\n')
    for options, status in ((["--dry-run"], "planned"), ([], "done")):
        assert tempkeep("clean", "--format=json", *options) == 0
        document = check_report(json.loads(capsys.readouterr().out))
        artefacts, scratch, *_ = document["projects"]
        assert artefacts["root"] == str(mono)
        told = [(one["path"], one["status"], one["category"]) for one in artefacts["entries"]]
        assert told == [(PHOTOS, status, "artefact"), (WEB, status, "artefact")]
        assert artefacts["planned_bytes"] == (28 << 10 if status == "planned" else None)
        assert artefacts["freed_bytes"] == (28 << 10) * (status == "done")
        (kept,) = artefacts["kept"]
        assert kept["reasons"][0]["evidence"] == f"git tracks {API}/mine.js"
        assert [one["path"] for one in scratch["entries"]] == ["debug/run_1696348800"]
    assert left(mono) == [API, CRATE]


def test_the_artefacts_of_a_project_in_use_go_if_asked_but_for_those_in_use_themselves(
    mono: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    crate = mono / "crate"
    (crate / "pyproject.toml").write_text("")
    (mono / "my-langserver.py").write_text("print(flush=True); input()")
    monkeypatch.chdir(crate)
    clean = ("clean", "--preset", "rust")
    idle: list[list[str | Path]] = [
        ["bash", "-c", "exec -a nvim cat"],
        [sys.executable, "-u", mono / "my-langserver.py"],
    ]
    editing = [subprocess.Popen(one, stdin=subprocess.PIPE, stdout=-1) for one in idle]
    try:
        assert editing[1].stdout is not None
        editing[1].stdout.readline()
        assert tempkeep(*clean, "--dry-run") == 0
        assert "would delete target " in capsys.readouterr().out
    finally:
        for one in editing:
            one.communicate()
    with process("print('ready', flush=True); input()", cwd=crate) as server:
        assert tempkeep(*clean) == 0
        said = capsys.readouterr().out
        assert f"kept target: its project is in use: pid {server.pid} (python" in said
        assert "works in its directory; --include-active takes it\n" in said
        with process("print('ready', flush=True); input()", cwd=crate / "target" / "debug"):
            assert tempkeep(*clean, "--include-active") == 0
        assert "kept target: in use: pid " in capsys.readouterr().out
        assert tempkeep(*clean, "--include-active") == 0
    assert left(mono) == [RUN, API, PHOTOS, WEB]
