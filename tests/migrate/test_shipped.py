"""Which files of a project count as shipped, by what its build backend installs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from common.temp.migrate.shipped import is_shipped
from tests.migrate.trees import write

HEAD = '[project]\nname = "app"\nversion = "1"\n'
FILES = (
    *("app/x.py", "app/tools/x.py", "app/test_x.py", "app/tests/x.py", "app/conftest.py"),
    *("other/x.py", "lib/any/x.py", "tests/x.py", "conftest.py", "scripts/x.py", "tools/x.py"),
    *("docs/conf.py", "tasks.py", "noxfile.py", "run.py", "second.py"),
)
RUN = '[project.scripts]\nx = "run:main"\n[tool.setuptools]\npy-modules = ["run"]\n'
LAYOUTS = {
    "nothing": ("", set()),
    "only tools": ("[tool.ruff]\n", set()),
    "not packaged": (HEAD + "[tool.uv]\npackage = false\n", set()),
    "several": (HEAD, set()),
    "found": (HEAD, {"app/x.py", "app/tools/x.py"}),
    "src": (HEAD, {"src/app/x.py"}),
    "listed": (HEAD + '[tool.setuptools]\npackages = ["other"]\n', {"other/x.py"}),
    "where": (HEAD + '[tool.setuptools.packages.find]\nwhere = ["lib"]\n', {"lib/any/x.py"}),
    "hatch": (
        HEAD + '[build-system]\nbuild-backend = "hatchling.build"\n',
        {"app/x.py", "app/tools/x.py"},
    ),
    "hatch, listed": (
        HEAD + '[tool.hatch.build.targets.wheel]\npackages = ["lib/any"]\n',
        {"lib/any/x.py"},
    ),
    "poetry": (
        '[tool.poetry]\nname = "x"\npackages = [{include = "any", from = "lib"}]\n',
        {"lib/any/x.py"},
    ),
    "flit": (HEAD + '[tool.flit.module]\nname = "other"\n', {"other/x.py"}),
    "modules": (HEAD + RUN, {"run.py"}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_the_backend_is_told_to_install_is_shipped(tmp_path: Path, name: str) -> None:
    text, wanted = LAYOUTS[name]
    files: tuple[str, ...] = (*FILES, "src/app/x.py") if name == "src" else FILES
    if name == "found":  # from more than one package setuptools refuses to build
        files = tuple(file for file in FILES if not file.startswith(("other/", "lib/")))
    top = write(tmp_path / "tree", {**dict.fromkeys(files, ""), "pyproject.toml": text})

    assert {file for file in files if is_shipped(str(top), file)} == wanted


def test_what_setuptools_itself_would_install_is_shipped(tmp_path: Path) -> None:
    """The same, asked of the backend."""
    files = ("app/__init__.py", "app/sub/x.py", "docs/x.py", "tests/x.py", "scripts/x.py", "x.py")
    top = write(tmp_path / "flat", {**dict.fromkeys(files, ""), "pyproject.toml": HEAD})
    code = (
        "import os; from setuptools.discovery import FlatLayoutPackageFinder as F;"
        "print(*F.find('.'))"
    )
    try:
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=top, capture_output=True, text=True, check=True
        ).stdout.split()
    except subprocess.CalledProcessError:
        pytest.skip("setuptools is not installed")

    packages = {name.replace(".", "/") for name in said}
    assert {file for file in files if is_shipped(str(top), file)} == {
        file for file in files if file.rpartition("/")[0] in packages
    }
