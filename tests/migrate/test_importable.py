"""Whether a file can import the package where it runs: the answer, compared with Python."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from common.temp.migrate.importable import reach
from common.temp.migrate.interpreters import NEEDED, is_of_a_tool
from common.temp.migrate.settings import forget
from common.temp.migrate.source import Source
from tests.migrate.trees import write
from tests.support import REPOSITORY, run

COPY = {f"common/temp/{name}": "" for name in ("__init__.py", "contexts.py")}
"""As much of a copy of the package as is looked for."""

PROJECT = '[project]\nname = "app"\nversion = "1"\ndependencies = [{}]\n'


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def said(top: Path, path: str) -> str:
    """What is said of the file at `path`."""
    data = (top / path).read_bytes()
    return reach(str(top), path, data, Source(data).tree).why


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that runs this has no package: only what lies in the tree counts."""
    from common.temp.migrate import importable

    monkeypatch.setattr(importable, "_environment_has_it", lambda: False)


# -- a copy of the package in the tree ------------------------------------------------------------


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run.py", ""),
        ("tools/run.py", "import sys\nsys.path.insert(0, '{top}')\n"),
        (
            "tools/run.py",
            "import sys, os\nsys.path.append(os.path.dirname(os.path.dirname(__file__)))\n",
        ),
        (
            "tools/run.py",
            "import sys\nfrom pathlib import Path\n"
            "ROOT = Path(__file__).resolve().parents[1]\nsys.path.insert(0, str(ROOT))\n",
        ),
        (
            "tools/run.py",
            "import os, sys\n"
            "sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))\n",
        ),
    ],
)
def test_a_copy_that_the_file_itself_reaches_is_enough(top: Path, path: str, text: str) -> None:
    write(top, {**COPY, path: text.format(top=top)})
    if "{top}" not in text:
        assert said(top, path) == ""
    proof = text.format(top=top) + "import common.temp.contexts\n"
    write(top, {path: proof})
    environment = {"PYTHONPATH": "", "PYTHONSAFEPATH": ""}
    done = run([sys.executable, "-S", str(top / path)], cwd=top.parent, **environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "import sys\nsys.path.insert(0, 'elsewhere')\n",
        "import sys\nsys.path.insert(0, find_root())\n",
        "import sys\nif sys.argv:\n    sys.path.insert(0, '..')\n",
    ],
)
def test_a_copy_that_nothing_leads_to_is_not(top: Path, text: str) -> None:
    write(top, {**COPY, "tools/run.py": text})

    assert "install tempkeep" in said(top, "tools/run.py")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "settings",
    [
        {"pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n'},
        {"pytest.ini": "[pytest]\npythonpath = .\n"},
        {"setup.cfg": "[tool:pytest]\npythonpath = . src\n"},
        {"conftest.py": ""},
        {"app/conftest.py": "import os, sys\nsys.path.insert(0, os.path.join(__file__, '../..'))"},
    ],
)
def test_a_test_reaches_what_pytest_puts_on_its_path(top: Path, settings: dict[str, str]) -> None:
    write(top, {**COPY, **settings, "app/tests/test_run.py": "", "app/run.py": ""})

    assert said(top, "app/tests/test_run.py") == ""
    assert said(top, "app/run.py") != ""


@pytest.mark.usefixtures("alone")
def test_in_the_mode_importlib_a_conftest_puts_nothing_on_the_path(top: Path) -> None:
    settings = '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n'
    write(top, {**COPY, "pyproject.toml": settings, "conftest.py": "", "app/test_run.py": ""})

    assert "install tempkeep" in said(top, "app/test_run.py")


@pytest.mark.usefixtures("alone")
def test_who_imports_another_part_of_common_reaches_the_package_beside_it(top: Path) -> None:
    write(top, {**COPY, "common/paths.py": "", "app/run.py": "from common.paths import x\n"})
    write(top, {"app/other.py": "from uncommon.paths import x\n"})

    assert said(top, "app/run.py") == ""
    assert said(top, "app/other.py") != ""


@pytest.mark.parametrize(
    "shadow",
    [
        *("common/__init__.py", "common.py", "src/common/__init__.py"),
    ],
)
def test_another_common_hides_the_package(top: Path, shadow: str) -> None:
    write(top, {shadow: "", "app/run.py": ""})

    assert said(top, "app/run.py") == (
        f"{shadow} hides the package common.temp; import from tempkeep by hand"
    )


@pytest.mark.parametrize("shadow", ["common/temp.py", "common/temp/__init__.py"])
def test_another_temp_in_common_is_to_go(top: Path, shadow: str) -> None:
    write(top, {shadow: "", "app/run.py": ""})

    assert said(top, "app/run.py") == f"{shadow} hides common.temp; delete or rename it"
    assert said(top, shadow).startswith("this file hides common.temp")


def test_a_regular_package_common_with_the_copy_in_it_does_not(top: Path) -> None:
    write(top, {**COPY, "common/__init__.py": "", "run.py": ""})

    assert said(top, "run.py") == ""


# -- dependencies and environments ----------------------------------------------------------------


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "settings",
    [
        {"pyproject.toml": PROJECT.format('"tempkeep>=0.1"')},
        {"pyproject.toml": '[tool.poetry.dependencies]\ntempkeep = "*"\n'},
        {"requirements.txt": "requests\ntempkeep==0.1  # scratch\n"},
        {"setup.cfg": "[options]\ninstall_requires =\n    requests\n    tempkeep\n"},
        {"setup.py": 'setup(install_requires=["requests", "tempkeep"])\n'},
    ],
)
def test_a_project_that_declares_it_has_it(top: Path, settings: dict[str, str]) -> None:
    write(top, {**settings, "src/app/run.py": ""})

    assert said(top, "src/app/run.py") == ""


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "settings",
    [
        {"pyproject.toml": PROJECT.format("") + '[dependency-groups]\ndev = ["tempkeep"]\n'},
        {
            "pyproject.toml": PROJECT.format("")
            + '[project.optional-dependencies]\nt = ["TempKeep"]\n'
        },
        {"requirements.txt": "requests\n", "requirements-dev.txt": "tempkeep\n"},
        {"setup.cfg": "[options]\ninstall_requires =\n    requests\n"
        "[options.extras_require]\ntest =\n    tempkeep\n"},
    ],
)  # fmt: skip
def test_what_is_declared_for_tests_and_tools_is_there_for_these(
    top: Path, settings: dict[str, str]
) -> None:
    files = ("src/app/run.py", "tests/test_run.py", "scripts/run.py", "conftest.py")
    write(top, {**settings, **dict.fromkeys(files, "")})

    assert [said(top, file)[:18] for file in files] == ["first add tempkeep", "", "", ""]


ADD = "first add tempkeep to {}, or give --write --add-dependency"
DEPENDENCIES = "[project] dependencies of {}pyproject.toml"


@pytest.mark.parametrize("name", ["tempkeep-extras", "nottempkeep", "tempkeeper"])
def test_another_distribution_is_not_it(top: Path, name: str) -> None:
    write(top, {"pyproject.toml": PROJECT.format(f'"{name}"'), "src/app/run.py": ""})

    assert said(top, "src/app/run.py") == ADD.format(DEPENDENCIES.format(""))


def test_a_project_that_declares_others_alone_is_told_where_to_add_it(top: Path) -> None:
    groups = '[dependency-groups]\ndocs = ["sphinx"]\ndev = ["pytest"]\n'
    files = {"lib/pyproject.toml": PROJECT.format('"requests"') + groups, "lib/app/__init__.py": ""}
    write(top, {**files, "lib/app/run.py": "", "lib/tests/test_run.py": "", "lib/tasks.py": ""})

    assert said(top, "lib/app/run.py") == ADD.format(DEPENDENCIES.format("lib/"))
    of_group = ADD.format("[dependency-groups] dev of lib/pyproject.toml")
    assert said(top, "lib/tests/test_run.py") == said(top, "lib/tasks.py") == of_group


def test_what_is_not_written_by_hand_is_left_to_a_person(top: Path) -> None:
    write(top, {"requirements.txt": "# autogenerated by pip-compile\nrequests==2\n", "run.py": ""})

    assert said(top, "run.py").startswith("first add tempkeep to requirements.txt, by hand (a tool")


def test_what_runs_in_this_environment_has_what_that_has(top: Path) -> None:
    write(top, {"scripts/run.py": ""})

    assert said(top, "scripts/run.py") == ""


@pytest.mark.parametrize("how", ["not", "installed", "linked"])
def test_an_environment_of_the_project_s_own_is_asked_and_not_run(top: Path, how: str) -> None:
    write(top, {"app/run.py": ""})
    venv.create(top / "app" / ".venv", with_pip=False)
    (packages,) = (top / "app" / ".venv" / "lib").glob("*/site-packages")
    if how == "installed":
        write(packages, COPY)
    elif how == "linked":
        (packages / "tempkeep.pth").write_text(f"{REPOSITORY}\n")

    why = said(top, "app/run.py")

    python = top / "app" / ".venv" / "bin" / "python"
    done = run([str(python), "-c", "import common.temp.contexts"], cwd=top, PYTHONPATH="")
    assert (why == "") == (done.returncode == 0)
    assert why == ("install tempkeep in app/.venv first" if how == "not" else "")
    assert os.path.isfile(python)


def test_what_the_package_imports_is_known() -> None:
    code = (
        "import sys, tempfile, subprocess\n"
        "known = set(sys.modules)\n"
        "from common.temp import get_debug_temp_dir, pytest_temp_dirs, temp_working_dir\n"
        "with temp_working_dir('x'), pytest_temp_dirs(1):\n    pass\n"
        "print(*(set(sys.modules) - known & sys.stdlib_module_names))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    public = {name for name in done.stdout.split() if name in sys.stdlib_module_names}
    assert {name for name in public if not name.startswith("_")} <= NEEDED


@pytest.mark.parametrize(
    ("mark", "prefix"),
    [("pipx_metadata.json", "a"), ("", "archive-v0/x"), ("uv-receipt.toml", "b")],
)
def test_the_environment_of_a_single_program_shows_nothing(
    tmp_path: Path, mark: str, prefix: str
) -> None:
    made = tmp_path / prefix
    made.mkdir(parents=True)
    assert mark == "" or not is_of_a_tool(str(made))
    if mark:
        forget()
        (made / mark).touch()

    assert is_of_a_tool(str(made))
