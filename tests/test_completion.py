"""Names of entries in real shells: what Tab completes, and what it never runs."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.temp import choices, pin
from tests.support import environment, forked, make_entry, tempkeep

HOSTILE = ("w$(touch pwned)", "w`touch pwned`", "w a", "w;y", "w'y", "w*", "wé\n")
STARTS = {
    "bash": (["bash", "--norc", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -D -u; "),
}
"""How each shell is started, and what it needs before it can complete."""


@pytest.fixture
def entries(project: Path) -> Path:
    """A project with entries of good names and of names that a shell would act on."""
    for name in ("cache/thumbs_1696348800", "cache/wheels_1696348800", "debug/run_1696348900"):
        make_entry(project / ".tmp", name)
    for name in HOSTILE:
        make_entry(project / ".tmp", f"cache/{name}_1696348800")
    return project


def offered(project: Path, typed: str) -> list[str]:
    """What the program prints for a shell."""
    done = forked("--complete", "--", *f"tempkeep {typed}".split(" "), cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_names_are_offered_where_a_task_takes_one(entries: Path) -> None:
    pin(entries / ".tmp" / "cache" / "wheels_1696348800", "r")
    cached = ["cache/thumbs_1696348800", "cache/wheels_1696348800"]
    assert offered(entries, "temp-pin") == [*cached, "debug/run_1696348900"]
    assert offered(entries, "temp-explain cache/") == cached
    assert offered(entries, "temp-pin --reason because cache/t") == cached[:1]
    assert offered(entries, "temp-explain ru") == ["run_1696348900"]
    assert offered(entries, "temp-unpin") == cached[1:]
    assert tempkeep("temp-clean", "--everything", "--undoable", "--name", "run") == 0
    assert offered(entries, "temp-restore") == ["debug/run_1696348900"]
    assert offered(entries, "temp-restore debug__r") == []


def test_elsewhere_tasks_and_flags_are_offered(entries: Path) -> None:
    for typed in ("temp-pin cache/x --reason because", "temp-pin a b", "temp-st"):
        assert "temp-status" in offered(entries, typed)
    assert "--reason" in offered(entries, "temp-pin --")
    assert offered(entries, "clean --preset node,g") == ["node,gradle", "node,godot"]
    assert offered(entries, "clean --preset node") == []
    assert offered(entries, "temp-explain cache/thumbs_1696348800") == []
    assert offered(entries, "clean --preset") == [*choices.PRESETS, "all"]
    assert "--preset" in offered(entries, "clean --older-than 7d --")
    assert offered(entries, "temp-pin --reason") == []
    assert offered(entries, "temp-clean --strategy m") == ["moderate"]
    assert offered(entries, "temp-check --format") == ["table", "json"]
    assert "--max-age" in offered(entries, "temp-check --sort")  # which has no such flag


@pytest.mark.parametrize("typed", ["temp-pin '", 'temp-pin "x', "temp-pin cache/\\", "' --"])
def test_what_cannot_be_completed_is_no_complaint(entries: Path, typed: str) -> None:
    assert offered(entries, typed) in ([], ["cache/thumbs_1696348800", "cache/wheels_1696348800"])


def test_settings_that_cannot_be_read_are_no_complaint(entries: Path) -> None:
    (entries / "pyproject.toml").write_text("[tool.tempkeep]\nmax_age = 3\n")
    assert offered(entries, "temp-pin") == []


def _shell(kind: str, project: Path) -> dict[str, str]:
    """The environment of a shell that has the program and its completion script in `project`."""
    if shutil.which(kind) is None:
        pytest.skip(f"needs {kind}")
    programs = project.parent / "bin"
    programs.mkdir()
    (programs / "tempkeep").write_text(f'#!/bin/sh\nexec {sys.executable} -m common.temp "$@"\n')
    (programs / "tempkeep").chmod(0o755)
    script = forked("--print-completion-script", kind, cwd=project)
    (programs / "script").write_text(script.stdout)
    return environment(
        PATH=f"{programs}:{os.environ['PATH']}", HOME=str(project.parent), TERM="xterm"
    )


@pytest.mark.parametrize("kind", STARTS)
def test_tab_completes_a_name_and_runs_nothing(entries: Path, kind: str) -> None:
    env = _shell(kind, entries)
    command, first = STARTS[kind]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, cwd=entries, env=env, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    ) as shell:  # fmt: skip
        os.close(theirs)
        try:
            for keys, awaited in (
                (f"{first}. ../bin/script; echo rea''dy\n", "ready"),
                ("tempkeep temp-explain cache/w\t", "wheels_1696348800"),
                ("\n", "cache/wheels_1696348800: would go"),
            ):
                os.write(ours, keys.encode())
                _until(ours, awaited.encode())
        finally:
            shell.kill()
            os.close(ours)
    assert not list(entries.parent.rglob("pwned"))


def _until(stream: int, awaited: bytes) -> None:
    """Wait for what is awaited on `stream`."""
    seen = b""
    end = time.monotonic() + 30
    while awaited not in seen and time.monotonic() < end:
        if select.select([stream], [], [], 1)[0]:
            seen += os.read(stream, 4096)
    assert awaited in seen, seen


def test_fish_completes_a_name_and_runs_nothing(entries: Path) -> None:
    env = _shell("fish", entries)
    line = "source ../bin/script; complete -C 'tempkeep temp-explain cache/'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", line], cwd=entries, env=env, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["cache/thumbs_1696348800", "cache/wheels_1696348800"]
    assert not list(entries.parent.rglob("pwned"))
