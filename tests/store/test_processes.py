"""Processes that work in an entry keep it, where the system can tell."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from common.temp.store.processes import processes_inside, spell_command
from tests.support import (
    hold,
    make_entry,
    process,
    scanned,
    swept,
)


@pytest.mark.parametrize(
    "work", ["os.chdir('.tmp/debug/x/deep')", "f = open('.tmp/debug/x/deep/log', 'w')"]
)
def test_a_process_that_works_in_an_entry_without_a_record_protects_it(
    root: Path, work: str
) -> None:
    path = make_entry(root, "debug/x")
    (path / "deep").mkdir()
    with process(f"import os; {work}; print('ready', flush=True); input()", cwd=root.parent) as it:
        entry = scanned(root)["debug/x"]
        assert entry.use is not None
        assert entry.use.who.startswith(f"pid {it.pid} (python")
        assert entry.use.who.endswith("works in it")
        assert swept(root).outcomes == ()
    assert hold(root, path) == ""
    assert len(swept(root).done) == 1


def test_ones_own_working_directory_is_protected_too(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "demo_1696348800")
    monkeypatch.chdir(path)
    assert hold(root, path) == "process"
    assert swept(root).outcomes == ()


def test_ones_own_open_files_protect_nothing(root: Path) -> None:
    path = make_entry(root, "debug/x")
    with open(path / "log", "w"):
        assert hold(root, path) == ""


def test_another_users_processes_are_not_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_entry(root, "debug/x")
    with process("print('ready', flush=True); input()", cwd=path):
        assert hold(root, path) == "process"
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
        assert processes_inside(root) == {}


def test_without_proc_no_process_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    assert processes_inside(root) == {}


def test_the_command_that_names_an_owner_is_short() -> None:
    assert spell_command([]) == ""
    assert spell_command([sys.executable, "-c", "a\nb"]).endswith(" -c …")
    assert len(spell_command(["x" * 100])) == 60
