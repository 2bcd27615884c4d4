"""What is gone with its block: private, outside every project, and short enough for a socket."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.temp.contexts import pytest_temp_dirs, temp_working_dir
from common.temp.errors import InvalidName, InvalidSettings, Refused
from common.temp.manager import TempManager
from common.temp.store.project.project import user_root
from tests.support import environment, inv, listing, process, run

ALL = """
from common.temp import *
with TempManager.auto_cleanup_dir('x' * 99) as a, TempManager.auto_cleanup_file('x' * 99) as b:
    with temp_working_dir('x' * 99) as c, pytest_temp_dirs() as (d, e):
        print(a, b, c, d, e)
"""
NOBODY = 65534


def test_in_a_project_that_is_read_only_and_of_another_user_they_work(
    project: Path, own_system_temp: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    own_system_temp.chmod(0o1777)
    for directory in (project, *project.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(0o755)
    # Loaded first: the interpreter itself may lie where only root can read.
    code = "import ctypes, os, common.temp.store.sweep.discard\nfrom common.temp import *\n"
    code += f"os.setuid({NOBODY})\n"
    code += ALL
    done = run([sys.executable, "-c", code], cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    root = own_system_temp / f"tempkeep-{NOBODY}"
    assert all(Path(path).is_relative_to(root) for path in done.stdout.split())
    assert not any("x_" in path or "test_" in path for path in listing(root))
    assert listing(project) == ["pyproject.toml", "tasks.py"]


@contextmanager
def _short_temp() -> Iterator[dict[str, str]]:
    """A `TMPDIR` that is nearly as short as `/tmp`."""
    directory = tempfile.mkdtemp(prefix="", dir="/tmp")  # not of `TMPDIR`, which tests have long
    try:
        yield {"TMPDIR": directory}
    finally:
        shutil.rmtree(directory)


def test_a_socket_can_be_bound_in_them(project: Path) -> None:
    code = ALL.replace(
        "        print",
        "        import socket\n"
        "        for at in (a, b.parent, c, d, e):\n"
        "            socket.socket(socket.AF_UNIX).bind(str(at / 'service.sock'))\n"
        "        print(b.parent, b.parent, c, d, e)\n        ",
    )
    with _short_temp() as short:
        done = run([sys.executable, "-c", code], cwd=project, PYTEST_CURRENT_TEST="", **short)
        assert (done.returncode, done.stderr) == (0, "")
        # Whatever more the name of the stand-in for `/tmp` takes.
        longest = max(map(len, done.stdout.split()))
        assert longest - len(short["TMPDIR"]) + len("/tmp") < 108 - len("/service.sock")


def test_git_sees_no_repository_in_them(project: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("needs git")
    run(["git", "init", "-q"], cwd=project)
    with temp_working_dir() as path, pytest_temp_dirs() as (inner, _):
        for directory in (path, inner):
            done = run(["git", "rev-parse", "--show-toplevel"], cwd=directory, GIT_DIR="")
            assert done.returncode != 0
    assert run(["git", "status", "--porcelain"], cwd=project).stdout.count(".tmp") == 0


def test_they_are_this_user_s_alone(project: Path) -> None:
    before = os.umask(0)
    try:
        with TempManager.auto_cleanup_file() as file, temp_working_dir() as work:
            assert stat.S_IMODE(user_root().stat().st_mode) == 0o700
            assert stat.S_IMODE(work.stat().st_mode) == 0o700
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_place_that_another_user_made_complete_is_refused(
    project: Path, own_system_temp: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make what belongs to others")
    for part in ("owners", "holding"):
        (user_root() / ".tempkeep" / part).mkdir(parents=True)
    for category in ("auto", "work", "test"):
        (user_root() / category).mkdir()
    for directory in (user_root(), *user_root().rglob("*")):
        os.chown(directory, NOBODY, NOBODY)
        directory.chmod(0o700)
    before = listing(user_root())
    for block in (
        TempManager.auto_cleanup_dir(),
        TempManager.auto_cleanup_file(),
        temp_working_dir(),
        pytest_temp_dirs(),
    ):
        with pytest.raises(Refused, match="is not this user's private directory"):
            block.__enter__()
    assert listing(user_root()) == before


def test_what_a_killed_process_left_is_listed_and_goes_with_any_clean(project: Path) -> None:
    code = ALL.replace("print(a, b, c, d, e)", "print(a, b, c, d, e, flush=True); input()")
    with process(code, cwd=project) as other:
        paths = [Path(path) for path in other.first_line.split()]
        assert inv("temp-clean", "--yes", cwd=project).returncode == 0
        assert all(path.exists() for path in paths)
    said = inv("temp-status", cwd=project).stdout
    assert all(f"\n{name} " in said for name in ("auto", "test", "work"))
    assert inv("temp-clean", "--max-age-hours", "100", cwd=project).returncode == 0
    assert not any(path.exists() for path in paths)


def test_a_name_that_is_none_is_refused_before_it_is_cut(project: Path) -> None:
    for name in ("x" * 40 + "/y", "x" * 300, ".x", ""):
        for block in (temp_working_dir(name), TempManager.auto_cleanup_dir(name)):
            with pytest.raises(InvalidName):
                block.__enter__()


def test_they_need_no_working_directory(project: Path) -> None:
    code = f"import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n{ALL}"
    done = subprocess.run(
        # Without "" on its path, Python 3.13.0 itself bears that its directory is gone.
        [sys.executable, "-P", "-c", code],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 5


def test_another_base_is_honoured_and_cleaned(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert user_root().parent == TempManager.AUTO_CLEANUP_BASE
    base = tmp_path / "fast-disk"
    monkeypatch.setattr(TempManager, "AUTO_CLEANUP_BASE", base)
    with pytest.raises(InvalidSettings, match="AUTO_CLEANUP_BASE: expected an existing directory"):
        temp_working_dir()
    base.mkdir()
    root = base / user_root().name
    with (
        temp_working_dir() as work,
        pytest_temp_dirs() as dirs,
        TempManager.auto_cleanup_dir() as d,
    ):
        assert all(path.is_relative_to(root) for path in (work, *dirs, d))
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
    left = root / "auto" / "x_1696348800"
    left.mkdir(parents=True)
    TempManager.clean_persistent_temps()
    assert not left.exists()
    root.chmod(0o755)
    with pytest.raises(Refused, match="mode 700"):
        temp_working_dir().__enter__()


def test_a_generator_that_nobody_runs_to_its_end_leaves_nothing(
    project: Path, own_system_temp: Path
) -> None:
    code = """
from common.temp import temp_working_dir

def paths():
    with temp_working_dir("left") as d:
        yield d

paths_of_it = paths()
next(paths_of_it)
"""
    done = run([sys.executable, "-c", code], cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any("left_" in path for path in listing(own_system_temp))
