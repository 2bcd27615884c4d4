"""No name is used twice in one process."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from common.temp.contexts import temp_working_dir
from common.temp.manager import TempManager
from common.temp.outputs import OutputRoot
from common.temp.pipeline import start_run
from common.temp.store.project.project import user_root
from common.temp.store.root.allocation import allocate, allocate_private
from common.temp.store.root.new_names import claim, fresh_name
from common.temp.store.root.owner import release
from tests.support import run


def test_a_name_comes_once_though_what_bore_it_is_gone_also_among_threads_and_a_forked_child(
    project: Path,
) -> None:
    code = """
import os, shutil, sys, threading, time
from common.temp import TempManager, pytest_temp_dirs, temp_working_dir
from common.temp.store.root import allocation; from common.temp.store.root import new_names
time.time = lambda: 1796020000.5  # one second, however slow the machine is
new_names._newest = 0

def make(count):
    for _ in range(count):
        with TempManager.auto_cleanup_dir('x') as a, temp_working_dir('x') as b:
            with TempManager.auto_cleanup_file('x') as c, pytest_temp_dirs(1) as (d,):
                made = TempManager.create_persistent_dir('x')
                shutil.rmtree(made)
                line = f'{a} {b} {c.parent} {d} {made}' + chr(10)
                os.write(1, line.encode())  # text streams are not safe for threads

with temp_working_dir('x') as held:
    print(held, flush=True)
    if child := os.fork():
        threads = [threading.Thread(target=make, args=(20,)) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert os.waitpid(child, 0)[1] == 0
    else:
        make(80)
        os._exit(0)
"""
    done = run([sys.executable, "-c", code], cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    made = done.stdout.split()
    assert len(made) == len(set(made)) == 2 * 80 * 5 + 1


def test_the_first_of_a_second_bears_no_digits(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_696_348_800.5)
    root = str(project / ".tmp")
    first = allocate(root, "debug", "x")
    os.rmdir(first)
    release(root, "debug/x_1696348800")
    assert first.endswith("/x_1696348800")
    assert allocate(root, "debug", "x").startswith(f"{first}-")
    assert allocate(root, "cache", "x").endswith("/x_1696348800")
    assert allocate(root, "debug", "y").endswith("/y_1696348800")


def test_a_run_and_an_output_do_not_come_again_either(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_696_348_800.5)
    outputs = OutputRoot()
    made: list[Path] = []
    for _ in range(3):
        for path in (start_run("runs"), outputs.run_dir(), outputs.run_dir("out")):
            path.rmdir()
            made.append(path)
    assert len(set(made)) == 9


def test_a_clock_that_was_set_back_makes_no_name_come_again() -> None:
    names = {fresh_name("/d", "x_100", 100) for _ in range(3)}
    assert claim("/d/x_101", 101)
    names |= {fresh_name("/d", "x_100", 100) for _ in range(3)}
    assert len(names) == 6
    assert claim("/d/x_100", 100) is None


def test_a_long_name_is_cut_in_the_system_s_temporary_directory(own_system_temp: Path) -> None:
    root = str(user_root())
    for label, cut in (
        ("x" * 33, "x" * 32),
        ("x" * 32, "x" * 32),
        ("é" * 17, "é" * 16),
        ("a" + "é" * 16, "a" + "é" * 15),
        ("x" * 31 + "  y", "x" * 31),
        ("nul" + " " * 40 + "y", "temp"),
    ):
        assert Path(allocate_private(root, "work", label)).name.rpartition("_")[0] == cut
    assert TempManager.create_persistent_dir("x" * 200, "debug").name.startswith("x" * 200)
    with temp_working_dir("y" * 200) as path:
        assert path.name.startswith(f"{'y' * 32}_")
