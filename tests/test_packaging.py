"""The distribution: what a wheel contains, and that the folder can be copied."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support import REPOSITORY, environment, make_entry, make_project

NOT_FOR_A_STATUS = tuple(
    f"common.temp.{name}"
    for name in (
        *("commands.clean_arguments", "commands.carrying", "commands.clean", "commands.drafts"),
        *("core.adoption", "core.budget", "core.disposal", "core.history", "core.labels"),
        *("core.plan", "migrate", "report.github", "report.html", "report.json", "schedule"),
        *(
            "store.archive",
            "store.shelf",
            "store.artefacts",
            "store.sweep",
            "store.trees.measured_path",
        ),
        *("store.trees.removal", "store.claiming.claim", "store.claiming.many_removals"),
        *(
            "store.repositories.repository",
            "store.repositories.unsaved_work",
            "store.root.run_ends",
        ),
        *(
            "store.root.find_entry",
            "store.root.history",
            "store.root.owner_file_reading",
            "store.settings.keys",
        ),
        *("store.root.making", "store.root.owner", "store.root.owner_file", "store.root.owning"),
        *("store.project.store_parts",),
        *("store.settings.recorded_layout", "store.settings.values", "store.system.creation_time"),
        *("store.system.git", "store.system.own_files", "store.system.process_identity"),
        *("store.system.writing",),
    )
)
"""These modules and packages are for cleaning, for what the root does not have (owners, runs,
settings, a repository around it), or for other formats."""

MOST_FOR_A_STATUS = 90
"""How many modules of ours a status loads at most: each takes 0.1 % as long as an empty command."""

ALONE = {"_tempkeep.py", "_tempkeep_pytest.py", "tempkeep.pth"}
"""What lies beside the package: the name `common.temp`, and what pytest loads."""


def test_a_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    code = [name for name in names if ".dist-info/" not in name]
    assert {name for name in code if not name.startswith("tempkeep/")} == ALONE
    assert {"tempkeep/__init__.py", "tempkeep/py.typed"} <= set(code)


def test_a_wheel_says_where_pytest_finds_the_plugin(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    assert "[pytest11]\ntempkeep = _tempkeep_pytest\n" in archive.read(name).decode()


def test_a_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = REPOSITORY / "common" / "temp"
    wanted = {
        f"tempkeep/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= names


def test_the_core_has_three_dependencies() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["invoke>=3,<4", "tabulate>=0.10", "send2trash>=2"]


def test_the_package_imports_itself_only_relatively() -> None:
    absolute = [
        f"{path.name}: {ast.unparse(node)}"
        for path in (REPOSITORY / "common").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if (isinstance(node, ast.Import) and any(is_common(one.name) for one in node.names))
        or (isinstance(node, ast.ImportFrom) and not node.level and is_common(node.module or ""))
    ]
    assert absolute == []


def is_common(module: str) -> bool:
    return module.partition(".")[0] == "common"


def test_the_folder_works_when_it_is_copied_under_another_name(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(REPOSITORY / "common" / "temp", tmp_path / "shared" / "scratch")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "tasks.py").write_text("from shared.scratch.tasks import *\n")
    environ = {name: text for name, text in environment().items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "invoke", "temp-status"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "no entries" in done.stdout


def test_importing_the_package_loads_one_small_module_of_it() -> None:
    code = (
        "import sys, common.temp; print([n for n in sys.modules if n.startswith('common.temp.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['common.temp._one_copy']"


def test_a_status_loads_nothing_that_only_a_clean_or_a_setting_needs(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    with (project / "tasks.py").open("a") as tasks:
        tasks.write("import atexit, sys; atexit.register(lambda: print(*sys.modules, sep='\\n'))\n")
    make_entry(project / ".tmp", "debug/demo_1696348800")

    command = [sys.executable, "-m", "invoke", "temp-status"]
    done = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, check=True
    )

    assert "debug" in done.stdout
    modules = done.stdout.splitlines()
    loaded = {name for name in modules if name.startswith("common.temp.")}
    assert "common.temp.store.scanning.scan" in loaded
    assert not [
        one for one in loaded if any(f"{one}.".startswith(f"{no}.") for no in NOT_FOR_A_STATUS)
    ]
    assert len(loaded) <= MOST_FOR_A_STATUS
    assert not {"hashlib", "tomllib"} & {*modules}  # invoke itself loads the other large ones


def test_every_public_name_can_be_imported_and_nothing_else() -> None:
    import common.temp

    assert all(getattr(common.temp, name) for name in common.temp.__all__)
    assert set(common.temp.__all__) <= set(dir(common.temp))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        common.temp.nothing  # noqa: B018
