"""The trash: what goes there is whole, or stays where it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.temp.store.claiming.claim import NotDisposed
from common.temp.store.claiming.trash import send_to_trash
from common.temp.store.system import locks
from tests.support import (
    environment,
    listing,
    make_entry,
    make_project,
    mounted,
    run,
)

TRASH = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from common.temp.core.retention import Policy\n"
    "from common.temp.store.sweep.prepare import prepare\n"
    "from common.temp.store.sweep.sweep import execute\n"
    "root = Path('.tmp').absolute()\n"
    "report = execute(\n"
    "    prepare(root, Policy(everything=True), time.time(), disposal='trash'))\n"
    "for o in report.outcomes: print(o.status, o.freed_bytes, o.detail)\n"
)


def trash(project: Path, home: Path) -> list[str]:
    """What a sweep into the trash of a user with that home directory prints."""
    home.mkdir(exist_ok=True)
    done = run(
        [sys.executable, "-c", TRASH], cwd=project, HOME=str(home), XDG_DATA_HOME=str(home / "data")
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


# -- trash ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"x", b"\xff\n", b"y" * 240])
def test_a_trashed_entry_is_in_the_trash_whole_and_frees_no_space(
    root: Path, tmp_path: Path, name: bytes
) -> None:
    path = make_entry(root, f"debug/{os.fsdecode(name)}", files=3)
    assert trash(root.parent, tmp_path / "home") == ["done 0 in the trash, which frees no space"]
    assert not path.exists()
    files = tmp_path / "home" / "data" / "Trash" / "files"
    assert len(listing(files / path.name)) == 3
    assert len(list((files.parent / "info").iterdir())) == 1


def test_processes_that_trash_entries_of_the_same_name_at_once_lose_nothing(
    tmp_path: Path,
) -> None:
    projects = []
    for number in range(4):
        project = tmp_path / f"project{number}"
        for category in ("debug", "cache", "work", "test"):
            make_entry(project / ".tmp", f"{category}/same")
        projects.append(project)
    (tmp_path / "home").mkdir()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TRASH],
            cwd=project,
            env=environment(HOME=str(tmp_path / "home"), XDG_DATA_HOME=str(tmp_path / "home/data")),
            stdout=subprocess.PIPE,
            text=True,
        )
        for project in projects
    ]
    for sweeper in started:
        assert sweeper.communicate()[0].count("done 0 in the trash") == 4
    files = tmp_path / "home" / "data" / "Trash" / "files"
    assert len(list(files.iterdir())) == 16
    assert all(listing(path) == ["file0.txt"] for path in files.iterdir())


def test_an_entry_that_cannot_be_trashed_stays_with_reason_and_remedy(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "debug/x", files=3)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "data").write_text("in the way")
    (said,) = trash(root.parent, tmp_path / "home")
    assert said == (
        "failed 0 cannot be trashed (Not a directory); something else is in the place of a "
        "directory: move it away, or delete it without --trash, or free the trash"
    )
    assert len(listing(path)) == 3


@pytest.mark.parametrize("planted", [".Trash-{}", ".Trash-{}/files", ".Trash/{}"])
def test_a_trash_that_was_planted_at_the_top_of_a_filesystem_is_not_used(
    tmp_path: Path, planted: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with mounted(tmp_path / "disk", "size=1m"):
        path = make_entry(make_project(tmp_path / "disk" / "project") / ".tmp", "debug/a")
        trash_place = tmp_path / "disk" / planted.format(os.getuid())
        trash_place.parent.mkdir(exist_ok=True)
        if planted.startswith(".Trash/"):
            trash_place.parent.chmod(0o1777)
        trash_place.symlink_to(outside)
        (said,) = trash(tmp_path / "disk" / "project", tmp_path / "home")
        assert said.startswith(f"failed 0 cannot be trashed ({trash_place} is not a directory of")
        assert path.is_dir()
    assert listing(outside) == []


def test_a_name_that_is_too_long_for_the_trash_stays(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, f"debug/{'y' * 255}")
    (said,) = trash(root.parent, tmp_path / "home")
    assert said.startswith(
        "failed 0 cannot be trashed (File name too long); choose a shorter name, "
    )
    assert path.is_dir()


def test_a_link_in_the_place_of_an_entry_is_trashed_as_a_link_or_stays(
    root: Path, tmp_path: Path
) -> None:
    canary = make_entry(tmp_path, "canary", files=4)
    root.mkdir()
    (root / "link").symlink_to(canary)
    (root / "broken").symlink_to("nowhere")
    said = trash(root.parent, tmp_path / "home")
    assert sorted(line.partition(";")[0] for line in said) == [
        "done 0 in the trash, which frees no space",
        f"failed 0 cannot be trashed (File not found: {root / 'broken'})",
    ]
    assert len(listing(canary)) == 4
    assert (tmp_path / "home" / "data" / "Trash" / "files" / "link").is_symlink()


def test_an_error_without_words_is_told_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import send2trash

    def failing(path: str) -> None:
        raise ValueError

    monkeypatch.setattr(send2trash, "send2trash", failing)
    with pytest.raises(NotDisposed, match=r"^cannot be trashed \(ValueError\); delete it"):
        send_to_trash(tmp_path)


def test_without_flock_the_desktop_is_trusted_to_trash_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import send2trash

    told: list[str] = []
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setattr(send2trash, "send2trash", told.append)
    send_to_trash(tmp_path)
    assert told == [str(tmp_path)]
