"""How pytest loads the plugin: once, at almost no cost, and without ever breaking a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installing import run_of
from tests.test_names import copy_to

Venv = Callable[[str, str], Path]
FAILS = "def test_it(temp_root):\n    (temp_root / 'file').touch()\n    assert 0\n"
LOADED = (
    "import pytest, sys\ncode = pytest.main(['-q'])\n"
    "print(sorted(n for n in sys.modules if 'tempkeep' in n or n.startswith('common')))"
)


def runs(venv: Path, cwd: Path, *arguments: str, code: int = 0, **more: str) -> str:
    done = run_of(venv, "python", *arguments, cwd=cwd, **more)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A project with a test that needs nothing of us."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    return tmp_path


def test_a_run_that_does_not_use_it_loads_four_small_modules(venv_of: Venv, host: Path) -> None:
    shown = runs(venv_of("wheel", sys.executable), host, "-E", "-c", LOADED)
    installed = ["_tempkeep", "_tempkeep_names", "_tempkeep_pytest"]
    package = ["tempkeep", "tempkeep._one_copy", "tempkeep.pytest_plugin"]
    assert shown.splitlines()[-1] == str([*installed, *package])
    assert not (host / ".tmp").exists()


@pytest.mark.parametrize("name", ["tempkeep", "common.temp", "libs.temp"])
@pytest.mark.parametrize("how", ["-p", "conftest", "module", "variable"])
def test_who_asks_for_it_by_any_name_has_it_once(
    venv_of: Venv, host: Path, name: str, how: str
) -> None:
    if name == "libs.temp":
        copy_to(host / "libs" / "temp")
    asked = f"pytest_plugins = ['{name}.pytest_plugin']\n"
    (host / "test_it.py").write_text((asked if how == "module" else "") + FAILS)
    if how == "conftest":
        (host / "conftest.py").write_text(asked)
    if how == "module" and name == "libs.temp":
        pytest.skip("a test module comes after the plugin was added by the name tempkeep")
    options = ["-p", f"{name}.pytest_plugin"] if how == "-p" else []
    more = {"PYTEST_PLUGINS": f"{name}.pytest_plugin"} if how == "variable" else {}
    venv = venv_of("wheel", sys.executable)
    shown = runs(venv, host, "-m", "pytest", "-q", *options, code=1, **more)
    assert "1 failed in" in shown
    assert shown.count("kept temporary directory") == 1
    assert [path.name[:8] for path in (host / ".tmp" / "test").iterdir()] == ["test_it_"]


@pytest.mark.parametrize(
    "name", ["tempkeep", "tempkeep.pytest_plugin", "common.temp.pytest_plugin"]
)
def test_it_can_be_left_out_by_each_name(venv_of: Venv, host: Path, name: str) -> None:
    (host / "test_it.py").write_text(FAILS)
    venv = venv_of("wheel", sys.executable)
    shown = runs(venv, host, "-m", "pytest", "-q", "-p", f"no:{name}", code=1)
    assert "fixture 'temp_root' not found" in shown


@pytest.mark.parametrize("settings", ["", "[tool.pytest.ini_options]\nfilterwarnings = ['error']"])
@pytest.mark.parametrize("broken", ["copy", "hidden", "syntax"])
def test_where_it_cannot_be_loaded_one_warning_says_so_and_the_tests_run(
    venv_of: Venv, host: Path, broken: str, settings: str
) -> None:
    (host / "pyproject.toml").write_text(settings)
    if broken == "hidden":
        (host / "tempkeep.py").write_text("SOMETHING = 'else'\n")
    else:
        package = copy_to(host / "common" / "temp")
        text = "raise RuntimeError('broken')\n" if broken == "copy" else "def def\n"
        (package / "pytest_plugin.py").write_text(text)
        (host / "conftest.py").write_text("import common.temp\n")
    shown = runs(venv_of("wheel", sys.executable), host, "-m", "pytest", "-q")
    assert "1 passed" in shown
    assert shown.count("the plugin of tempkeep cannot be loaded") == 1
    assert "Traceback" not in shown
