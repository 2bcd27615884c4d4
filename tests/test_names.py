"""`tempkeep`, `common.temp` and a copy by any name are one program in one process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installing import host_with_common, run_of
from tests.support import REPOSITORY

Venv = Callable[[str, str], Path]

SAME = """
import pkgutil, sys
from importlib import import_module
names = sys.argv[1:]
packages = [import_module(name) for name in names]
for _, name, _ in pkgutil.walk_packages(packages[0].__path__, "."):
    if name != ".__main__":
        modules = {id(import_module(one + name)) for one in names}
        modules |= {id(sys.modules[one + name]) for one in names}
        assert len(modules) == 1, name
        parent, _, child = name.rpartition(".")
        for one in names:
            assert getattr(import_module(one + parent), child) is import_module(names[0] + name)
assert len(set(map(id, packages))) == 1
print(packages[0].__name__)
"""
"""Says what the package and every module in it are called, if they are one by all names given."""

ONE_STATE = """
import os, pickle, common.temp as one, tempkeep as other
from tempkeep.errors import InvalidName
from common.temp.manager import TempManager
made = [package.get_debug_temp_dir("x") for package in (one, other)]
try:
    one.get_debug_temp_dir("../x")
except InvalidName as error:
    assert type(pickle.loads(pickle.dumps(error))) is InvalidName
assert pickle.loads(pickle.dumps(other.TempManager)) is TempManager is one.TempManager
print(len(os.listdir(made[0].parents[1] / ".tempkeep" / "owners")))
"""

AT_ONCE = """
import sys, threading
from importlib import import_module
sys.setswitchinterval(1e-6)
start = threading.Barrier(4)
found = []
def load(name):
    start.wait()
    found.append(import_module(name).TempManager)
threads = [threading.Thread(target=load, args=(name,))
           for name in ("tempkeep", "common.temp", "tempkeep", "common.temp")]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 4 and len(set(found)) == 1, found
"""


def said(venv: Path, *arguments: str, cwd: Path, path: Path | None = None) -> str:
    """What Python prints there, which must end well."""
    more = {"PYTHONPATH": str(path)} if path else {}
    done = run_of(venv, "python", *arguments, cwd=cwd, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.strip()


def copy_to(directory: Path) -> Path:
    """A copy of the package at `directory`."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", REPOSITORY / "common" / "temp", directory], check=True)
    return directory


@pytest.mark.parametrize("kind", ["wheel", "editable"])
@pytest.mark.parametrize("names", ["tempkeep common.temp", "common.temp tempkeep"])
def test_installed_every_module_is_one_by_both_names(
    venv_of: Venv, tmp_path: Path, kind: str, names: str
) -> None:
    venv = venv_of(kind, sys.executable)
    assert said(venv, "-c", SAME, *names.split(), cwd=tmp_path) == "tempkeep"


@pytest.mark.parametrize("kind", ["wheel", "editable"])
@pytest.mark.parametrize("names", ["tempkeep common.temp", "common.temp tempkeep"])
def test_beside_the_files_of_this_repository_the_first_name_counts(
    venv_of: Venv, tmp_path: Path, kind: str, names: str
) -> None:
    venv = venv_of(kind, sys.executable)
    first, second = names.split()
    assert said(venv, "-c", SAME, first, second, cwd=tmp_path, path=REPOSITORY) == first


@pytest.mark.parametrize("names", ["tempkeep libs.temp common.temp", "libs.temp tempkeep mine"])
def test_a_copy_by_any_name_is_the_one_that_is_loaded(
    venv_of: Venv, tmp_path: Path, names: str
) -> None:
    copy_to(tmp_path / "libs" / "temp")
    copy_to(tmp_path / "mine")
    found = said(venv_of("wheel", sys.executable), "-c", SAME, *names.split(), cwd=tmp_path)
    assert found == names.split()[0]


def test_of_two_versions_the_one_that_is_imported_first_is_what_both_names_give(
    venv_of: Venv, tmp_path: Path
) -> None:
    package = copy_to(tmp_path / "common" / "temp") / "__init__.py"
    package.write_text(package.read_text().replace('__version__ = "', '__version__ = "9.'))
    venv = venv_of("wheel", sys.executable)
    told = "; print(tempkeep.__version__, common.temp.__version__)"
    one = said(venv, "-c", f"import tempkeep, common.temp{told}", cwd=tmp_path).split()
    other = said(venv, "-c", f"import common.temp, tempkeep{told}", cwd=tmp_path).split()
    assert other == [f"9.{version}" for version in one]


@pytest.mark.parametrize("path", [None, REPOSITORY])
def test_there_is_one_owner_for_each_root_and_one_kind_of_error(
    venv_of: Venv, tmp_path: Path, path: Path | None
) -> None:
    (tmp_path / "pyproject.toml").touch()
    venv = venv_of("wheel", sys.executable)
    assert said(venv, "-c", ONE_STATE, cwd=tmp_path, path=path) == "1"


def test_threads_that_import_both_names_at_once_get_one_program(
    venv_of: Venv, tmp_path: Path
) -> None:
    venv = venv_of("wheel", sys.executable)
    for _ in range(3):
        said(venv, "-c", AT_ONCE, cwd=tmp_path, path=REPOSITORY)


def test_python_runs_its_modules_by_each_name(venv_of: Venv, tmp_path: Path) -> None:
    venv = venv_of("wheel", sys.executable)
    for name in ("tempkeep", "common.temp"):
        assert said(venv, "-m", name, "--version", cwd=tmp_path).startswith("tempkeep ")
        shown = said(venv, "-m", f"{name}.pipeline", "--help", cwd=tmp_path)
        assert shown.startswith(f"usage: python3 -m {name}.pipeline ")


@pytest.mark.parametrize("init", ["SHOUT = 'HOST'", None])
def test_a_common_of_the_host_that_comes_to_the_path_later_is_found(
    venv_of: Venv, tmp_path: Path, init: str | None
) -> None:
    src = tmp_path / "src"
    (src / "common").mkdir(parents=True)
    (src / "common" / "text.py").write_text("HERE = 1")
    if init is not None:
        (src / "common" / "__init__.py").write_text(init)
    code = (
        "import sys, common.temp as ours; sys.path.insert(0, 'src'); import common.text, tempkeep\n"
        "import common.temp; assert common.text.HERE and common.temp is ours is tempkeep\n"
        "print(getattr(common, 'SHOUT', None))"
    )
    shown = said(venv_of("wheel", sys.executable), "-c", code, cwd=tmp_path)
    assert shown == ("None" if init is None else "HOST")


TRIES = """
import sys
from importlib.util import find_spec
assert find_spec("common") is None
try:
    {imports}
except ImportError:
    sys.path.insert(0, "src")
    {imports}
import common
print(common.SHOUT)
"""
"""What a script does that is run with and without its `common` on the path."""


@pytest.mark.parametrize("imports", ["import common", "from common import SHOUT"])
@pytest.mark.parametrize("where", ["common.py", "common/__init__.py"])
def test_code_that_tries_whether_there_is_a_common_finds_none_until_there_is(
    venv_of: Venv, tmp_path: Path, where: str, imports: str
) -> None:
    (tmp_path / "src" / where).parent.mkdir(parents=True)
    (tmp_path / "src" / where).write_text("SHOUT = 'HOST'")
    code = TRIES.format(imports=imports)
    assert said(venv_of("wheel", sys.executable), "-c", code, cwd=tmp_path) == "HOST"


@pytest.mark.parametrize("imports", ["import common", "from common import SHOUT"])
@pytest.mark.parametrize("where", ["common.py", "common/__init__.py"])
def test_the_names_of_a_common_that_comes_to_the_path_later_are_found(
    venv_of: Venv, tmp_path: Path, where: str, imports: str
) -> None:
    (tmp_path / "src" / where).parent.mkdir(parents=True)
    (tmp_path / "src" / where).write_text("SHOUT = 'HOST'")
    code = (
        "import sys, common.temp as ours; assert not hasattr(sys.modules['common'], 'x')\n"
        f"sys.path.insert(0, 'src'); {imports}\n"
        "import common.temp, tempkeep; assert common.temp is ours is tempkeep\n"
        "print(common.SHOUT, common.__file__)"
    )
    shown = said(venv_of("wheel", sys.executable), "-c", code, cwd=tmp_path)
    assert shown == f"HOST {tmp_path / 'src' / where}"


@pytest.mark.parametrize(
    "code",
    [
        "from common import temp",
        "import common.temp.jobs",
        "from importlib import import_module; import_module('common.temp')",
        "from importlib.util import find_spec; assert find_spec('common.temp')",
        "from pkgutil import resolve_name; resolve_name('common.temp:TempManager')",
        "from unittest import mock; mock.patch('common.temp.TempManager').start()",
        "def f():\n    from common import temp\nf()",
        "import pytest; pytest.MonkeyPatch().setattr('common.temp.TempManager', 1)",
    ],
)
def test_it_is_found_however_one_asks_for_it(venv_of: Venv, tmp_path: Path, code: str) -> None:
    said(venv_of("wheel", sys.executable), "-c", code, cwd=tmp_path)


@pytest.mark.parametrize("name", ["common.nothing", "common.temp.nothing", "tempkeep.nothing"])
def test_what_is_nowhere_is_not_found(venv_of: Venv, tmp_path: Path, name: str) -> None:
    code = (
        "import importlib, common.temp\n"
        f"try: importlib.import_module({name!r})\nexcept ModuleNotFoundError as error: print(error)"
    )
    shown = said(venv_of("wheel", sys.executable), "-c", code, cwd=tmp_path)
    assert shown == f"No module named '{name}'"


def test_a_module_of_the_host_is_never_taken_for_ours(venv_of: Venv, tmp_path: Path) -> None:
    host = host_with_common(tmp_path / "host")
    package = host / "src" / "common" / "temp"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "jobs.py").write_text("WHOSE = 'host'")
    code = (
        "import tempkeep.jobs, common.temp.jobs; print(common.temp.jobs.WHOSE)\n"
        "try: import common.temp.manager\nexcept ModuleNotFoundError as error: print(error)"
    )
    venv = venv_of("wheel", sys.executable)
    shown = said(venv, "-c", code, cwd=tmp_path, path=host / "src")
    assert shown.splitlines() == ["host", "No module named 'common.temp.manager'"]


def test_loaded_again_it_is_still_one_program(venv_of: Venv, tmp_path: Path) -> None:
    code = (
        "import importlib, common.temp, tempkeep; importlib.reload(tempkeep)\n"
        "import common.temp.jobs, tempkeep.jobs; print(common.temp.jobs is tempkeep.jobs)"
    )
    assert said(venv_of("wheel", sys.executable), "-c", code, cwd=tmp_path) == "True"


JOB = (
    "import json, pathlib; from {}.schedule.job import job_of\n"
    "print(json.dumps(job_of(pathlib.Path.cwd(), 60, 'moderate').command))"
)


def test_a_schedule_runs_it_by_the_name_that_no_host_has(venv_of: Venv, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "common.py").write_text("raise SystemExit('not this one')")
    venv = venv_of("wheel", sys.executable)
    command = json.loads(said(venv, "-c", JOB.format("tempkeep"), cwd=tmp_path))
    assert command[1:4] == ["-P", "-m", "tempkeep"]
    assert "nothing to clean" in said(venv, *command[1:], cwd=tmp_path)


def test_a_schedule_runs_a_copy_by_its_own_name(venv_of: Venv, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    copy_to(tmp_path / "libs" / "scratch" / "temp")
    venv = venv_of("wheel", sys.executable)
    code = JOB.format("scratch.temp")
    command = json.loads(said(venv, "-c", code, cwd=tmp_path, path=tmp_path / "libs"))
    assert "from scratch.temp.__main__ import main" in command[3]
    assert "nothing to clean" in said(venv, *command[1:], cwd=tmp_path)
