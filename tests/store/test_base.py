"""`PERSISTENT_BASE`, on the class or a subclass: a root like any other, and the only one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from common.temp.contexts import get_cache_temp_dir, get_debug_temp_dir, pytest_temp_dirs
from common.temp.errors import InvalidSettings, Refused, StorageError
from common.temp.jobs import StorageRoot
from common.temp.legacy import get_temp_dir
from common.temp.manager import TempManager
from common.temp.pins import pin, unpin
from common.temp.pipeline import start_run
from common.temp.store.project.project import user_root
from tests.support import age, inv, listing, make_entry, make_project, process, run, status


@pytest.fixture
def real(project: Path) -> Path:
    """An entry of the project's own root, which nobody here means."""
    return make_entry(project / ".tmp", "debug/real_1696348800", age_hours=100)


@pytest.fixture
def base(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(TempManager, "PERSISTENT_BASE", "test_scratch")
    return project / "test_scratch"


def test_all_that_is_made_listed_pinned_and_cleaned_is_in_the_base(
    base: Path, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_KEEP_TEMPS", "1")
    assert TempManager.list_persistent_temps() == []
    assert TempManager.clean_persistent_temps() == 0
    assert not base.exists()
    assert TempManager.get_project_temp_base() == base
    assert base.is_dir()
    with pytest.warns(FutureWarning), pytest_temp_dirs(1) as (kept,):
        made = [
            TempManager.create_persistent_dir(),
            TempManager.create_persistent_file().parent,
            get_debug_temp_dir(),
            get_cache_temp_dir(),
            get_temp_dir(),
            kept.parent,
        ]
    assert all(path.parent.parent == base for path in made)
    assert TempManager.list_persistent_temps() == sorted(made)
    pin(made[0], "wanted")
    assert TempManager.clean_persistent_temps() == 5
    assert TempManager.list_persistent_temps() == [made[0]]
    assert unpin(made[0])
    age(made[0], 5)
    assert TempManager.clean_persistent_temps(4) == 0  # it is this process's own
    assert TempManager.clean_persistent_temps() == 1
    assert real.is_dir()
    assert (base / "CACHEDIR.TAG").is_file()
    assert (base / ".gitignore").read_text() == "*\n"


def test_a_base_of_a_subclass_is_that_one_s_alone(project: Path, real: Path) -> None:
    class Mine(TempManager):
        PERSISTENT_BASE = Path("build/mine")

    class Other(TempManager):
        PERSISTENT_BASE = str(project.parent / "other" / "scratch")

    made = [manager.create_persistent_dir() for manager in (TempManager, Mine, Other)]
    bases = [project / ".tmp", project / "build/mine", project.parent / "other" / "scratch"]
    assert [path.parent.parent for path in made] == bases
    assert Mine.clean_persistent_temps() == 1
    assert Other.clean_persistent_temps() == 1
    assert real.is_dir()
    assert [path.is_dir() for path in made] == [True, False, False]
    assert get_debug_temp_dir().is_relative_to(project / ".tmp")


@pytest.mark.parametrize("said", [".tmp", Path(".tmp"), "./.tmp", "{project}/.tmp"])
def test_the_project_s_own_root_however_it_is_spelled(
    project: Path, real: Path, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(said, str):
        said = said.format(project=project)
    monkeypatch.setattr(TempManager, "PERSISTENT_BASE", said)
    assert TempManager.list_persistent_temps() == [real]
    assert TempManager.create_persistent_dir().is_relative_to(project / ".tmp")
    assert TempManager.clean_persistent_temps(50) == 1


def test_from_below_the_project_and_from_a_script_elsewhere_it_is_the_same(project: Path) -> None:
    (project / "run.py").write_text(
        "from common.temp import TempManager\n"
        "TempManager.PERSISTENT_BASE = 'scratch'\n"
        "print(TempManager.create_persistent_dir())\n"
    )
    (project / "deep").mkdir()
    for cwd in (project / "deep", Path("/")):
        done = run([sys.executable, str(project / "run.py")], cwd=cwd)
        assert done.stdout.startswith(f"{project}/scratch/uncategorized/temp_"), done.stderr


@pytest.mark.parametrize(
    "said",
    [
        *("", "a\0b", 5, None, b"bytes"),
        *("/", "/etc", "/usr/lib", "~", ".", "..", "{project}", "{project}/..", "{temp}"),
        *(".git", ".git/x", ".tmp/x", ".tmp/debug/x", ".tmp/.tempkeep/x", "{user_root}/x"),
        *("sub", "link-to-home", "link-to-project"),
    ],
)
def test_what_cannot_be_a_base_is_refused_and_nothing_is_touched(
    project: Path,
    own_system_temp: Path,
    real: Path,
    said: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    work = [make_entry(place, "debug/work_1696348800") for place in (home, own_system_temp)]
    monkeypatch.setenv("HOME", str(home))
    make_project(project / "sub")
    make_entry(user_root(), ".tempkeep/owners/x")
    user_root().chmod(0o700)
    (project / ".tmp" / ".tempkeep").mkdir(exist_ok=True)
    (project / ".git" / "x").mkdir(parents=True)
    (project / "link-to-home").symlink_to(home)
    (project / "link-to-project").symlink_to(".")
    if isinstance(said, str):
        said = said.format(project=project, temp=own_system_temp, user_root=user_root())
    monkeypatch.setattr(TempManager, "PERSISTENT_BASE", said)
    before = listing(tmp_path)
    for call in (
        TempManager.get_project_temp_base,
        TempManager.create_persistent_dir,
        TempManager.create_persistent_file,
        TempManager.list_persistent_temps,
        TempManager.clean_persistent_temps,
        get_debug_temp_dir,
    ):
        with pytest.raises(InvalidSettings, match=r"^PERSISTENT_BASE: "):
            call()
    assert listing(tmp_path) == before
    assert real.is_dir()
    assert all(path.is_dir() for path in work)


@pytest.mark.parametrize("kind", ["files", "jobs", "runs", "cleaned-runs", "file", "dangling"])
def test_what_was_not_made_for_scratch_is_refused_with_the_remedy_and_stays(
    base: Path, real: Path, kind: str
) -> None:
    error: type[Exception] = Refused
    if kind == "file":
        base.write_text("mine")
        error = StorageError
    elif kind == "dangling":
        base.symlink_to("nowhere")
        error = StorageError
    elif kind == "jobs":
        StorageRoot(base).allocate_job("1")
    elif kind == "runs":
        start_run(base)
    else:
        (base / "work").mkdir(parents=True)
        (base / "work" / "notes.txt").write_text("mine")
        if kind == "cleaned-runs":  # by the settings, before anybody said what it is
            (base / ".tempkeep" / "owners").mkdir(parents=True)
    before = listing(base)
    remedy = r"set PERSISTENT_BASE to|move it away|a dangling symlink"
    for call in (
        TempManager.list_persistent_temps,
        TempManager.create_persistent_dir,
        get_cache_temp_dir,
        TempManager.clean_persistent_temps,
        lambda: TempManager.clean_persistent_temps(0),
    ):
        with pytest.raises(error, match=remedy):
            call()
    assert listing(base) == before
    assert real.is_dir()


def test_an_empty_directory_becomes_a_root_and_many_processes_may_make_it_at_once(
    base: Path,
) -> None:
    base.mkdir()
    (base / ".gitignore").write_text("mine\n")
    children = []
    for _ in range(12):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                TempManager.create_persistent_dir("x")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 12
    assert len(TempManager.list_persistent_temps()) == 12
    assert (base / ".gitignore").read_text() == "mine\n"
    assert not [name for name in os.listdir(base) if name.startswith(".tempkeep-")]


def test_the_tasks_list_and_clean_a_base_that_is_one_of_the_roots(
    project: Path, base: Path, real: Path
) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["test_scratch"]\n')
    path = TempManager.create_persistent_dir("x", "debug")
    said = inv("temp-status", cwd=project).stdout
    assert f"project/test_scratch ({base})" in said
    assert path.name in said
    assert inv("temp-explain", path.name, cwd=project).returncode == 0
    assert status(project)["root"] == str(project / ".tmp")
    TempManager.clean_persistent_temps()
    made = make_entry(base, "debug/old_1696348800")
    assert inv("temp-clean", "--name", "old*", "--yes", cwd=project).returncode == 0
    assert not made.exists()
    assert real.is_dir()


def test_a_root_elsewhere_that_the_project_names_is_cleaned_by_its_settings(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, jobs = tmp_path / "disk" / "scratch", tmp_path / "disk" / "jobs"
    jobs.parent.mkdir()
    monkeypatch.setattr(TempManager, "PERSISTENT_BASE", str(base))
    said = f'roots = ["{base}", "{jobs}"]\nexclude = ["golden*"]\nkeep_files = ["*.mp4"]\n'
    (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{said}")
    with process(
        "import os, sys\n"
        "from common.temp.jobs import StorageRoot\n"
        "for name in 'golden-1', 'other':\n"
        f"    StorageRoot({str(jobs)!r}).allocate_job(name)\n"
        "print(1, flush=True); os._exit(0)",
        cwd=project,
    ) as service:
        service.wait()
    golden = TempManager.create_persistent_dir("golden", "work")
    take = TempManager.create_persistent_dir("take", "work")
    (take / "take.mp4").write_text("mine")
    assert StorageRoot(jobs).recover() == 1
    assert [path.name for path in jobs.iterdir() if path.name[0] != "."] == ["golden-1"]
    TempManager.clean_persistent_temps(0)
    TempManager.clean_persistent_temps()
    assert golden.is_dir()
    assert (take / "take.mp4").exists()
