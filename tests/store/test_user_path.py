"""A leading `~` is the home directory in every path that a user gives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from common.temp import (
    ArtifactCleaner,
    FileCleanupManager,
    OutputRoot,
    Refused,
    StorageRoot,
    TempFileContext,
    TempManager,
    hold,
    pin,
    start_run,
    temp_file_async,
    unpin,
)
from common.temp.store.project.place import named_project
from tests.support import environment, forked, listing, make_entry


@pytest.fixture
def home(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory, which is not the working directory."""
    directory = project.parent / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    return directory


def test_every_face_finds_the_home_directory_and_makes_no_other(home: Path, project: Path) -> None:
    assert OutputRoot().run_dir("~/out").parent == home / "out"
    assert StorageRoot("~/jobs").root == home / "jobs"  # type: ignore[arg-type]
    assert start_run("~/runs").parent == home / "runs"
    assert ArtifactCleaner("~/runs").cleanup()["directories_found"] == 1

    (home / "one.txt").write_text("x")
    with TempFileContext("~/one.txt") as path:
        assert path == home / "one.txt"
    (home / "two.txt").write_text("x")
    assert asyncio.run(_entered("~/two.txt")) == home / "two.txt"
    manager = FileCleanupManager("~/files")
    (home / "files" / "three.txt").write_text("x")
    manager.track_file("~/files/three.txt")
    assert asyncio.run(manager.cleanup_file("~/files/three.txt"))
    assert not [*home.rglob("*.txt")]

    entry = make_entry(home / ".tmp", "debug/x_1696348800")
    assert pin("~/.tmp/debug/x_1696348800", "wanted") == entry
    assert unpin("~/.tmp/debug/x_1696348800")
    with hold("~/.tmp/debug/x_1696348800") as held:
        assert held == entry
    assert [path for path in listing(project) if "~" in path] == []


async def _entered(path: str) -> Path:
    async with temp_file_async(path) as found:
        return found


def test_the_home_directory_itself_is_deleted_by_no_face(home: Path) -> None:
    (home / "mine.txt").write_text("x")
    with TempFileContext("~"):
        pass
    manager = FileCleanupManager("files")
    with pytest.raises(Refused):
        manager.track_file("~")
    assert not asyncio.run(manager.cleanup_directory("~"))
    assert not asyncio.run(manager.cleanup_file("~/"))
    with pytest.raises(Refused):
        StorageRoot("~")  # type: ignore[arg-type]
    assert listing(home) == ["mine.txt"]


def test_a_project_and_an_output_are_named_from_home(
    home: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = environment()
    done = forked("temp-status", "--format=json", "--output=~/status.json", cwd=project, env=env)
    assert done.returncode == 0, done.stderr
    assert (home / "status.json").is_file()
    make_entry(home / ".tmp", "debug/x_1696348800")
    entry = "--path=~/.tmp/debug/x_1696348800"
    assert forked("temp-explain", entry, cwd=project, env=env).returncode == 0
    assert forked("temp-pin", entry, "-r", "wanted", cwd=project, env=env).returncode == 0
    assert forked("temp-unpin", entry, cwd=project, env=env).stdout.startswith("unpinned debug/x_")
    (home / "code").mkdir()
    done = forked("temp-migrate", "--check", "--paths=~/code", cwd=project, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    (home / "work").mkdir()
    monkeypatch.setenv("TEMPKEEP_PROJECT", "~/work")
    assert named_project() == home / "work"
    assert TempManager.create_persistent_dir().is_relative_to(home / "work" / ".tmp")


def test_a_name_that_only_begins_so_is_a_name(home: Path, project: Path) -> None:
    assert OutputRoot().run_dir("~no-such-user/out").parent == project / "~no-such-user" / "out"
    assert OutputRoot().run_dir("./~/out").parent == project / "~" / "out"
    assert listing(home) == []
