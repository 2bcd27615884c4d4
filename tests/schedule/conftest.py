"""Paths that schedulers trip over, and a command that records its arguments."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.schedule.job import Job
from tests.schedule.crontabs import Crontabs, own_crontabs

NASTY = [
    "plain",
    "with blanks  two",
    "100%",
    "%h %% \\% a\\%b",
    "$HOME $$ ${x} $(date)",
    "'single' \"double\" `date`",
    "back\\slash\\",
    "ends with blank ",
    "é 日本 \U0001f600",
    "a;b&c|d>e<f*?[x]#!~ {y}",
    "-dash",
]

_TELL = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump([os.getcwd(), sys.argv[2:]], file)
"""


@pytest.fixture
def crontabs() -> Iterator[Crontabs]:
    """Crontabs of one's own."""
    with own_crontabs() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without anything in it."""
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return directory


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """What is asked of `systemctl`, whose place a program takes that links as it would: there is
    no running systemd of a user where tests run. It fails at what is named in `fails`.
    """
    programs, asked = tmp_path / "bin", tmp_path / "asked"
    programs.mkdir()
    (programs / "systemctl").write_text(
        f"""#!/bin/sh
echo "$*" >>'{asked}'
case "$*" in *"$(cat '{tmp_path}/fails' 2>/dev/null || echo none)"*) echo no >&2; exit 1 ;; esac
units="$HOME/.config/systemd/user"
case "$*" in
*enable*) mkdir -p "$units/timers.target.wants"
    ln -sf "$units/$3" "$units/timers.target.wants/$3" ;;
esac
"""
    )
    (programs / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return asked


class Telling:
    """A job that writes down where it runs and what it was given; all of its paths are nasty."""

    def __init__(self, directory: Path, name: str) -> None:
        self.project = directory / f"in {name}"
        self.project.mkdir()
        python = directory / f"python {name}"
        # Through a link the interpreter would look for its library beside it.
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        script = directory / "tell.py"
        script.write_text(_TELL)
        self.told = directory / f"told {name}"
        command = (str(python), str(script), str(self.told), name, "-x")
        self.job = Job(str(self.project), command, 1, when_failed=command)

    def check(self) -> None:
        """It has run as it was meant to."""
        where, given = json.loads(self.told.read_text())
        assert where == os.path.realpath(self.project)
        assert given == [*self.job.command[3:]]
