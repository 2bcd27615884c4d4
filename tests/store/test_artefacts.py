"""Build artefacts: which are found, which must stay, and how they are removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from common.temp.store.artefacts import artefacts
from common.temp.store.artefacts.artefacts import drop_empty_root, opened_project
from common.temp.store.artefacts.finding import Artefact, find_artefacts, why_kept_by_now
from common.temp.store.project.tracked import Tracked
from common.temp.store.settings.settings import DEFAULT_ARTEFACTS
from common.temp.store.trees.removed import Removed
from tests.support import LINK, NO_DIRECTORY, have_git_ignore, listing, make_entry, mounted, run


def measure_artefact(project: Path, path: str) -> int:
    with opened_project(project) as top:
        return artefacts.measure_artefact(top, path).size


def remove_artefact(project: Path, path: str) -> Removed:
    with opened_project(project) as top:
        return artefacts.remove_artefact(top, path)


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def work_tree(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project lies in a git work tree that ignores artefacts, so that git tells what is
    hand-written.
    """
    if not shutil.which("git"):
        pytest.skip("needs git")
    have_git_ignore((*DEFAULT_ARTEFACTS, "out"), tmp_path, monkeypatch)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "project")


def make(project: Path, *paths: str) -> None:
    """Files at `paths`, or directories where a path ends with `/`."""
    for path in paths:
        target = project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            target.mkdir(exist_ok=True)
        else:
            target.write_text("x")


def found(project: Path, *patterns: str) -> dict[str, str]:
    """The artefacts by path, each with why it stays or ""."""
    artefacts = find_artefacts(project, patterns or DEFAULT_ARTEFACTS, Tracked(project))
    return {artefact.path: artefact.kept for artefact in artefacts}


# -- finding --------------------------------------------------------------------------------------


def test_what_was_archived_is_none_wherever_it_lies(project: Path) -> None:
    make(project, "old/x/build/f", "old/x.tempkeep.json", "build/x/f", "build/x.tempkeep.json")
    make(project, "old/y/build/f")
    assert found(project) == {"build": "it holds x.tempkeep.json", "old/y/build": ""}


def test_what_holds_a_root_stays(project: Path) -> None:
    make(project, "build/jobs/.tempkeep/layout", "dist/x")
    assert found(project) == {"build": "it holds jobs/.tempkeep", "dist": ""}


def test_the_usual_artefacts_are_found_wherever_they_are(project: Path) -> None:
    make(
        project,
        "__pycache__/a.pyc",
        "src/app/__pycache__/b.pyc",
        ".pytest_cache/x",
        ".mypy_cache/x",
        ".ruff_cache/x",
        "build/lib/x",
        "dist/x.whl",
        "src/app.egg-info/PKG-INFO",
        ".coverage",
        "htmlcov/index.html",
    )

    assert found(project) == dict.fromkeys(
        [
            ".coverage",
            ".mypy_cache",
            ".pytest_cache",
            ".ruff_cache",
            "__pycache__",
            "build",
            "dist",
            "htmlcov",
            "src/app.egg-info",
            "src/app/__pycache__",
        ],
        "",
    )


def test_other_things_are_left_alone(project: Path) -> None:
    make(
        project, "src/builder/x", "building", "my-dist/x", ".coveragerc", "x.egg-info.txt", "BUILD"
    )

    assert found(project) == {}


def test_artefacts_come_sorted_with_the_pattern_that_they_match(project: Path) -> None:
    make(project, "b/build/x", "a.egg-info/x", "build/x")

    assert find_artefacts(project, ("build", "*.egg-info"), Tracked(project)) == [
        Artefact("a.egg-info", "*.egg-info"),
        Artefact("b/build", "build"),
        Artefact("build", "build"),
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("out", {"out", "docs/out"}),
        ("out/", {"out"}),
        ("docs/out", {"docs/out"}),
        ("/out", {"out"}),
        ("docs/*", {"docs/out"}),
        ("*/out", {"docs/out"}),
        ("docs/out/", set()),
        ("o?t", {"out", "docs/out"}),
        ("OUT", set()),
        ("", set()),
        ("/", set()),
    ],
)
def test_patterns_are_for_names_or_for_paths_and_a_slash_at_the_end_for_directories(
    project: Path, pattern: str, expected: set[str]
) -> None:
    make(project, "out/x", "docs/out")

    assert set(found(project, pattern)) == expected


@pytest.mark.parametrize(
    "inside",
    [".git", ".hg", ".svn", ".venv", "node_modules", ".tmp", ".temp", ".tmp-archive", ".tempkeep"],
)
def test_repositories_environments_and_scratch_are_never_entered(
    project: Path, inside: str
) -> None:
    make(project, f"src/{inside}/build/x", f"src/{inside}/deep/__pycache__/x")

    assert found(project, "build", "__pycache__", inside) == {}


@pytest.mark.parametrize(
    "marker",
    [
        *("pyproject.toml", "tasks.py", "setup.py", "pyvenv.cfg"),
        *("conda-meta/history", "lib-1.0.dist-info/METADATA"),
        "site-packages/build/x",
    ],
)
def test_nested_projects_and_virtual_environments_are_not_entered(
    project: Path, marker: str
) -> None:
    make(project, f"inner/{marker}")
    if "site-packages" not in marker:
        make(project, "inner/build/x", "inner/src/__pycache__/x")

    assert found(project) == {}


@pytest.mark.parametrize(
    ("lock", "place"), [("LOCK_SH", ""), ("LOCK_EX", ""), ("LOCK_EX", "debug/.cargo-lock")]
)
def test_an_artefact_that_a_process_has_locked_stays(project: Path, lock: str, place: str) -> None:
    make(project, "build/debug/.cargo-lock", "build/debug/lock", "build/Cargo.lock")
    descriptor = os.open(project / "build" / place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, getattr(fcntl, lock))
        said = why_kept_by_now(project, Artefact("build", "build/"), Tracked(project))
    finally:
        os.close(descriptor)
    assert said == f"a process holds a lock (flock) on {f'{place} in ' if place else ''}it"
    assert why_kept_by_now(project, Artefact("build", "build/"), Tracked(project)) == ""


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_another_git_work_tree_is_not_entered(project: Path, kind: str) -> None:
    make(project, "clone/build/x", "clone/.git/HEAD" if kind == "directory" else "clone/.git")

    assert found(project) == {}


def test_a_package_with_a_module_called_tasks_is_no_project(project: Path) -> None:
    make(project, "src/app/__init__.py", "src/app/tasks.py", "src/app/__pycache__/x")

    assert found(project) == {"src/app/__pycache__": ""}


def test_a_symlink_to_a_directory_is_not_entered(project: Path, tmp_path: Path) -> None:
    make(tmp_path, "outside/build/x")
    (project / "link").symlink_to(tmp_path / "outside")

    assert found(project) == {}


def test_what_cannot_be_listed_is_passed_over(project: Path) -> None:
    artefacts = find_artefacts(project / "gone", ("build",), Tracked(project))

    assert artefacts == []


# -- what must stay -----------------------------------------------------------------------------


def test_what_git_tracks_stays_and_its_untracked_namesakes_go(project: Path) -> None:
    git(project, "init", "-q")
    make(project, "dist/deep/er/kept.txt", "dist/other", ".coverage", "src/dist/x", "build/x")
    git(project, "add", "-f", "dist/deep/er/kept.txt", ".coverage")

    assert found(project) == {
        ".coverage": "git tracks it",
        "build": "",
        "dist": "git tracks dist/deep/er/kept.txt",
        "src/dist": "",
    }


def test_what_is_tracked_in_a_repository_above_stays(tmp_path: Path) -> None:
    project = tmp_path / "mono" / "projects" / "häss lich\n"
    make(project, "build/ünï\ncode", "dist/x")
    git(tmp_path / "mono", "init", "-q")
    git(tmp_path / "mono", "add", "-f", "projects/häss lich\n/build")

    assert found(project) == {"build": "git tracks build/ünï\ncode", "dist": ""}


def test_a_name_that_is_no_utf8_is_tracked_as_well(project: Path) -> None:
    git(project, "init", "-q")
    name = os.fsdecode(b"\xff\xfe")
    make(project, f"build/{name}")
    git(project, "add", "-f", "build")

    assert found(project) == {"build": f"git tracks build/{name}"}


@pytest.mark.parametrize("hook", [{"GIT_DIR": "{other}/.git"}, {"GIT_INDEX_FILE": "{other}/index"}])
def test_a_git_hook_of_another_repository_does_not_hide_what_is_tracked(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: dict[str, str]
) -> None:
    other = tmp_path / "other"
    make(other, "x")
    git(other, "init", "-q")
    git(project, "init", "-q")
    make(project, "build/kept")
    git(project, "add", "-f", "build")
    for name, text in hook.items():
        monkeypatch.setenv(name, text.format(other=other))

    assert found(project) == {"build": "git tracks build/kept"}


def test_a_submodule_in_the_place_of_an_artefact_stays(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_CONFIG_GLOBAL")
    source = tmp_path / "source"
    make(source, "x")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    git(source, "init", "-q")
    git(source, "add", "x")
    git(source, *identity, "commit", "-qm", "x")
    git(project, "init", "-q")
    git(project, *identity, "submodule", "add", "-q", str(source), "build")

    assert found(project) == {"build": "git tracks it"}


@pytest.mark.parametrize("work", [".git/HEAD", ".git", ".hg/x", ".venv/x", "node_modules/x"])
def test_an_artefact_that_holds_a_clone_or_an_environment_stays(project: Path, work: str) -> None:
    make(project, f"build/_deps/lib/{work}", "dist/x")

    name = work.partition("/")[0]
    assert found(project) == {"build": f"it holds _deps/lib/{name}", "dist": ""}


@pytest.mark.parametrize(
    ("work", "what"),
    [
        (("pyvenv.cfg",), "virtual environment"),
        (("conda-meta/history",), "virtual environment"),
        (("pyproject.toml",), "project"),
        (("tasks.py",), "project"),
        (("HEAD", "objects/", "refs/"), "bare repository"),
        (("format", "db/", "hooks/", "locks/"), "repository of Subversion"),
        (("CVSROOT/x",), "repository of CVS"),
    ],
)
def test_an_artefact_stays_that_holds_work_under_any_name(
    project: Path, work: tuple[str, ...], what: str
) -> None:
    make(project, *(f"build/a/py312/{path}" for path in work))
    make(project, "dist/celery/__init__.py", "dist/celery/tasks.py", "dist/head", "dist/objects/")

    assert found(project) == {"build": f"it holds the {what} a/py312", "dist": ""}


@pytest.mark.parametrize(
    ("marker", "why"),
    [
        ("pyproject.toml", "it is a project of its own"),
        ("tasks.py", "it is a project of its own"),
        ("pyvenv.cfg", "it is a virtual environment"),
    ],
)
def test_a_project_that_is_named_like_an_artefact_stays(
    project: Path, marker: str, why: str
) -> None:
    make(project, f"projects/build/{marker}", "build/__init__.py", "build/tasks.py")

    assert found(project) == {"projects/build": why, "build": ""}


def test_an_artefact_that_cannot_be_looked_into_stays(project: Path) -> None:
    make(project, "build/x")
    deep = project / "build" / ("d" * 250)
    top = os.open(project / "build", os.O_RDONLY)
    try:
        current = os.dup(top)
        for _ in range(20):  # deeper than a path may be long
            os.mkdir(deep.name, dir_fd=current)
            below = os.open(deep.name, os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        os.close(current)
        assert found(project)["build"].partition("; ")[0].endswith(" in it: File name too long")
    finally:
        os.close(top)
        assert remove_artefact(project, "build").failures == []


def test_what_is_mounted_is_neither_entered_nor_removed(project: Path) -> None:
    with mounted(project / "data", "size=1m"), mounted(project / "build" / "deep", "size=1m"):
        make(project, "data/build/x", "build/deep/x", "build/y")

        assert found(project) == {"build": "another filesystem is mounted in it"}


def test_a_bind_mount_of_a_tracked_directory_is_not_entered(project: Path) -> None:
    make(project, "src/build/x", "alias/")
    done = run(["mount", "--bind", str(project / "src"), str(project / "alias")], cwd=project)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        assert found(project) == {"src/build": ""}
    finally:
        run(["umount", "--lazy", str(project / "alias")], cwd=project)


# -- measuring and removing -----------------------------------------------------------------------


def test_removing_frees_what_was_measured(project: Path) -> None:
    make_entry(project, "build", files=3)
    make(project, "src/.coverage", "src/kept")

    assert measure_artefact(project, "build") == 16384
    assert remove_artefact(project, "build").freed_bytes == 16384
    assert measure_artefact(project, "src/.coverage") == 4096
    assert remove_artefact(project, "src/.coverage").freed_bytes == 4096

    assert listing(project) == ["pyproject.toml", "src", "src/kept", "tasks.py"]


def test_a_symlink_goes_as_a_link_and_its_target_stays(project: Path, tmp_path: Path) -> None:
    make(tmp_path, "outside/x", "outside/.git/HEAD")
    (project / "__pycache__").symlink_to(tmp_path / "outside")

    assert found(project) == {"__pycache__": ""}
    assert remove_artefact(project, "__pycache__").failures == []

    assert not os.path.lexists(project / "__pycache__")
    assert (tmp_path / "outside" / "x").is_file()


def test_a_symlink_put_on_the_way_meanwhile_is_not_followed(project: Path, tmp_path: Path) -> None:
    make(tmp_path, "outside/build/x")
    (project / "src").symlink_to(tmp_path / "outside")

    removed = remove_artefact(project, "src/build")

    assert [what for _, what in removed.failures] in (
        [NO_DIRECTORY],
        [LINK],
    )
    assert measure_artefact(project, "src/build") == 0
    assert (tmp_path / "outside" / "build" / "x").is_file()


def test_what_is_gone_already_is_no_failure(project: Path) -> None:
    assert remove_artefact(project, "build").failures == []
    assert remove_artefact(project, "src/deep/build").failures == []
    assert measure_artefact(project, "build") == 0


# -- the old root ----------------------------------------------------------------------------------


def test_an_empty_old_root_goes_with_what_the_sweep_made_in_it(project: Path) -> None:
    make(project, *(f".temp/.tempkeep/{name}/" for name in ("holding", "owners", "pins")))
    make(project, ".temp/debug/")

    drop_empty_root(project / ".temp", {"debug", "uncategorized"})

    assert not (project / ".temp").exists()


def test_the_history_of_an_old_root_goes_with_it(project: Path) -> None:
    make(project, ".temp/.tempkeep/holding/", ".temp/.tempkeep/history.jsonl")

    drop_empty_root(project / ".temp", ())

    assert not (project / ".temp").exists()


def test_a_history_behind_a_symlink_is_none_of_an_old_root(project: Path) -> None:
    make(project, "elsewhere/history.jsonl", ".temp/")
    (project / ".temp" / ".tempkeep").symlink_to(project / "elsewhere")

    drop_empty_root(project / ".temp", ())

    assert (project / "elsewhere" / "history.jsonl").exists()


def test_an_old_root_stays_with_what_is_left_in_it(project: Path) -> None:
    make(project, ".temp/.tempkeep/pins/a.json", ".temp/.tempkeep/holding/", ".temp/debug/run/x")

    drop_empty_root(project / ".temp", {"debug"})

    assert listing(project / ".temp") == [
        ".tempkeep",
        ".tempkeep/pins",
        ".tempkeep/pins/a.json",
        "debug",
        "debug/run",
        "debug/run/x",
    ]
