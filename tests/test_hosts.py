"""An install breaks no kind of monorepo: real environments, every way to run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipapp
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.installing import UV, clean_environment, link_needed, other_python, run_of
from tests.support import run

OTHER = other_python()
"""The newest other Python; "" if there is none."""

WHICH = """
import tempkeep
try:
    import common.temp as found
except ImportError:
    found = None
if found is tempkeep:
    from common.temp.manager import TempManager
    from tempkeep.manager import TempManager as Same
    assert TempManager is Same
print("ours" if found is tempkeep else found and found.__file__)
"""
"""Says what `common.temp` is: the same program as `tempkeep`, nothing, or a module of the host."""

FIRST = "import sys\nassert not {'common', 'tests', 'tasks'} & set(sys.modules)\n"
"""In a `conftest.py`: nothing has bound a name of the host before the host itself does."""

USES = """
def test_own():
    {own}

def test_scratch(temp_root, temp_dirs):
    from tempkeep import InvalidName, TempManager, get_debug_temp_dir
    import pytest
    with pytest.raises(InvalidName):
        get_debug_temp_dir("../x")
    assert get_debug_temp_dir("x").is_dir() and temp_root.is_dir() and len(temp_dirs) == 2
"""
USES_COMMON_TEMP = USES.replace("from tempkeep import", "from common.temp import")
HOST_S = "from common.text import SHOUT; assert SHOUT == 'HOST'"
SHOUTS = "SHOUT = 'HOST'\n"


class Host(NamedTuple):
    """A monorepo of a kind: its files, what `common.temp` is in it, and how it is worked in."""

    files: Mapping[str, str]
    common_temp: str = "ours"
    prepare: Callable[[Path, Path], Path] = lambda directory, venv: directory
    """Gives the directory in which the commands run."""

    path: str = "."
    """What `python -c` has on its path."""

    uses: str = USES
    own: str = HOST_S
    venv: str = "wheel"
    """The environment: with the wheel, with `bare` nothing of us, with `editable` what is here."""

    passed: int = 2


def pythonpath(directory: str) -> str:
    return f"[tool.pytest.ini_options]\npythonpath = ['{directory}']\n"


def vendored(into: str) -> Callable[[Path, Path], Path]:
    """A copy of the package, made by the command itself."""

    def prepare(directory: Path, venv: Path) -> Path:
        command = [sys.executable, "-m", "common.temp", "vendor", str(directory / into)]
        assert run(command, cwd=directory).returncode == 0
        if venv.name.startswith("bare"):
            replace(directory / "tasks.py", "tempkeep", "common.temp")
            plugin = "pytest_plugins = ['common.temp.pytest_plugin']\n"
            (directory / "conftest.py").write_text(plugin)
        return directory

    return prepare


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def git_worktree(directory: Path, venv: Path) -> Path:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=directory, env=clean_environment(), check=True)
    other = directory.with_name("worktree")
    add = [*git, "worktree", "add", "-q", "--detach", str(other)]
    subprocess.run(add, cwd=directory, env=clean_environment(), check=True)
    return other


def sibling_projects(directory: Path, venv: Path) -> Path:
    """Four beside `COMMON`, each of which puts `COMMON/src` on `sys.path` itself."""
    for name in ("photos", "films", "sounds", "maps"):
        project = directory / name
        (project / "tests").mkdir(parents=True)
        (project / "pyproject.toml").touch()
        (project / "tasks.py").write_text("from tempkeep.tasks import *\n")
        (project / "conftest.py").write_text(
            f"{FIRST}from pathlib import Path\n"
            "sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'COMMON' / 'src'))\n"
        )
        code = USES.format(own=HOST_S).replace("from tempkeep", "from common.temp")
        (project / "tests" / f"test_{name}.py").write_text(code)
    return directory


def siblings_with_a_copy(directory: Path, venv: Path) -> Path:
    vendored("COMMON/src/common")(directory, venv)
    return sibling_projects(directory, venv)


PACKAGE = {"common/__init__.py": "", "common/text.py": SHOUTS, "conftest.py": FIRST}
SPACE = {"common/text.py": SHOUTS, "conftest.py": FIRST}
COMMON = {"COMMON/src/common/text.py": SHOUTS, "COMMON/pyproject.toml": ""}
HALF = {"common/temp.py": "HALF = 1\n", "common/text.py": SHOUTS, "conftest.py": FIRST}

HOSTS = {
    "a package, conftest.py at the top": Host(PACKAGE, uses=USES_COMMON_TEMP),
    "a package, by pythonpath, warnings are errors": Host(
        {**PACKAGE, "pyproject.toml": f"{pythonpath('.')}filterwarnings = ['error']\n"},
        uses=USES_COMMON_TEMP,
    ),
    "a package in src, importlib mode": Host(
        {"src/common/__init__.py": "", "src/common/text.py": SHOUTS, "conftest.py": FIRST}
        | {"pyproject.toml": f"{pythonpath('src')}addopts = '--import-mode=importlib'\n"},
        path="src",
    ),
    "a module temp, half migrated": Host(
        HALF, common_temp="theirs", own=f"{HOST_S}; from common.temp import HALF"
    ),
    "a module temp in a package": Host(
        {**HALF, "common/__init__.py": ""}, common_temp="theirs", own="from common.temp import HALF"
    ),
    "common.py": Host(
        {"common.py": SHOUTS, "conftest.py": FIRST},
        common_temp="None",
        own="from common import SHOUT; assert SHOUT == 'HOST'",
    ),
    "a namespace": Host(SPACE, uses=USES_COMMON_TEMP),
    "no common": Host({"conftest.py": FIRST}, own="pass", uses=USES_COMMON_TEMP),
    "a copy alone": Host(
        {"common/text.py": SHOUTS},
        prepare=vendored("common"),
        uses=USES_COMMON_TEMP,
        venv="bare",
        common_temp="",
    ),
    "a copy in a package, beside the wheel": Host(
        PACKAGE, prepare=vendored("common"), uses=USES_COMMON_TEMP
    ),
    "a copy that pytest is told of, beside the wheel": Host(
        {**SPACE, "conftest.py": "pytest_plugins = ['common.temp.pytest_plugin']\n"},
        prepare=vendored("common"),
        uses=USES_COMMON_TEMP,
    ),
    "four siblings of COMMON/src": Host(
        COMMON, prepare=sibling_projects, path="COMMON/src", passed=8
    ),
    "four siblings of COMMON/src with a copy": Host(
        COMMON, prepare=siblings_with_a_copy, path="COMMON/src", passed=8
    ),
    "a git worktree": Host(PACKAGE, prepare=git_worktree),
    "ours is editable": Host(PACKAGE, venv="editable", uses=USES_COMMON_TEMP),
    "common is a wheel": Host({"conftest.py": FIRST}, venv="common wheel", uses=USES_COMMON_TEMP),
    "common is editable": Host(
        {"conftest.py": FIRST}, venv="common editable", uses=USES_COMMON_TEMP
    ),
}
ON_OTHER = ["a package, conftest.py at the top", "a copy alone"]
"""What is looked at with the other Python in each run; the rest if `-m slow` asks."""

CASES = [
    *(pytest.param(name, sys.executable, id=name) for name in HOSTS),
    *(
        pytest.param(
            name,
            OTHER,
            id=f"{name}, on another Python",
            marks=[
                pytest.mark.skipif(not OTHER, reason="needs another Python that is supported"),
                *([] if name in ON_OTHER else [pytest.mark.slow]),
            ],
        )
        for name in HOSTS
    ),
]


def make_host(host: Host, directory: Path, venv: Path) -> Path:
    """The monorepo, and where the commands run in it."""
    files = {"pyproject.toml": "", "tasks.py": "from tempkeep.tasks import *\n", **host.files}
    if host.passed == 2:
        files["tests/test_host.py"] = host.uses.format(own=host.own)
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return host.prepare(directory, venv)


def said(venv: Path, program: str, *arguments: str, cwd: Path, **more: str) -> str:
    """What a program of an environment prints, which must end well."""
    if venv.name.endswith("other"):  # the packages that this Python uses too stay as they are
        more["PYTHONPYCACHEPREFIX"] = str(venv.with_name("pycache"))
    done = run_of(venv, program, *arguments, cwd=cwd, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "python"), CASES)
def test_a_host_works_as_before_and_has_the_package(
    venv_of: Callable[[str, str], Path], tmp_path: Path, name: str, python: str
) -> None:
    host = HOSTS[name]
    venv = venv_of(host.venv, python)
    where = make_host(host, tmp_path / "host", venv)

    for command in (["pytest"], ["python", "-m", "pytest"]):
        shown = said(venv, *command, "-q", cwd=where)
        assert f"{host.passed} passed in" in shown, shown
        assert "warning" not in shown
    assert "no entries" not in said(venv, "inv", "temp-status", "--all-projects", cwd=where)
    if host.venv == "bare":
        assert said(venv, "python", "-c", "import common.temp.tasks", cwd=where) == ""
        assert "x_" in said(venv, "python", "-m", "common.temp", "temp-status", cwd=where)
        return
    assert "x_" in said(venv, "tempkeep", "temp-status", "--all-projects", cwd=where)
    which = said(venv, "python", "-c", WHICH, cwd=where, PYTHONPATH=str(where / host.path))
    expected = str(where / "common" / "temp.py") if host.common_temp == "theirs" else None
    assert which.strip() == (expected or host.common_temp)


def test_a_workspace_of_uv_works_in_each_of_its_members(
    venv_of: Callable[[str, str], Path], tmp_path: Path
) -> None:
    if not UV:
        pytest.skip("needs uv")
    venv = venv_of("wheel", sys.executable)
    host = Host({**SPACE, "pyproject.toml": "[tool.uv.workspace]\nmembers = ['apps/*']\n"})
    where = make_host(host, tmp_path / "host", venv)
    member = where / "apps" / "one"
    shutil.copytree(where / "tests", member / "tests")
    (member / "pyproject.toml").write_text(
        f"[project]\nname = 'one'\nversion = '1'\n{pythonpath('../..')}"
    )
    run = [UV, "run", "--quiet", "--offline", "--no-sync", "--no-config"]
    env = clean_environment(UV_PROJECT_ENVIRONMENT=str(venv), UV_NO_MANAGED_PYTHON="1")
    for command, shown in (
        (["pytest", "-q"], "2 passed in"),
        (["python", "-m", "pytest", "-q"], "2 passed in"),
        (["tempkeep", "temp-status"], "x_"),
        (["python", "-c", WHICH], "ours\n"),
    ):
        done = subprocess.run(
            [*run, *command], cwd=member, env=env, capture_output=True, text=True, check=False
        )
        assert shown in done.stdout, done.stdout + done.stderr
    assert (member / ".tmp" / "debug").is_dir()


def test_a_zip_app_works_with_a_copy_in_it_too(wheel: Path, tmp_path: Path) -> None:
    app, bundled = tmp_path / "app", tmp_path / "bundled"
    link_needed(bundled, ("invoke", "tabulate"))
    shutil.copytree(bundled, app, ignore=shutil.ignore_patterns("__pycache__"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(app)
    shutil.copytree(app / "tempkeep", app / "common" / "temp")
    (app / "common" / "text.py").write_text(SHOUTS)
    (app / "__main__.py").write_text(
        "import sys, common.temp.manager, tempkeep.manager\n"
        "from common.text import SHOUT\n"
        "assert common.temp is tempkeep and '.pyz' in tempkeep.__file__\n"
        "assert common.temp.manager is tempkeep.manager\n"
        "tempkeep.get_debug_temp_dir('x')\n"
        "from tempkeep.__main__ import main; main()\n"
    )
    zipapp.create_archive(app, tmp_path / "app.pyz")
    (tmp_path / "pyproject.toml").touch()
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(tmp_path / "app.pyz"), "temp-status"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "x_" in done.stdout


INSTALLED = sorted({host.venv for host in HOSTS.values()} - {"bare"})


@pytest.mark.parametrize("kind", INSTALLED)
def test_nothing_is_bound_where_nothing_is_imported(
    venv_of: Callable[[str, str], Path], tmp_path: Path, kind: str
) -> None:
    venv = venv_of(kind, sys.executable)
    assert said(venv, "tempkeep", "--version", cwd=tmp_path)
    code = (
        "import sys; loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(loaded & {'common', 'tempkeep'})"
    )
    assert said(venv, "python", "-E", "-c", code, cwd=tmp_path) == "set()\n"


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_what_else_is_in_this_repository_is_found_nowhere(
    venv_of: Callable[[str, str], Path], tmp_path: Path, kind: str
) -> None:
    for name in ("tests", "tasks", "installed", "projects", "common.text"):
        done = run_of(venv_of(kind, sys.executable), "python", "-c", f"import {name}", cwd=tmp_path)
        assert f"No module named '{name.partition('.')[0]}'" in done.stderr  # as without an install
