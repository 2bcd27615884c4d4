"""The trash: what goes there is whole, or stays where it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.temp.store.claiming import trash as trashing
from common.temp.store.claiming.claim import NotDisposed
from common.temp.store.claiming.trash import send_to_trash
from common.temp.store.root.pinning import write_pin
from common.temp.store.system import freedesktop, renaming
from tests.support import (
    EVERYTHING,
    environment,
    listing,
    make_entry,
    make_project,
    mounted,
    outcomes,
    run,
    swept,
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
            env=environment(
                HOME=str(tmp_path / "home"),
                XDG_DATA_HOME=str(tmp_path / "home/data"),
                TMPDIR=str(project),  # as cron and systemd give each its own
            ),
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
    done = "done 0 in the trash, which frees no space"
    assert trash(root.parent, tmp_path / "home") == [done, done]
    assert len(listing(canary)) == 4
    files = tmp_path / "home" / "data" / "Trash" / "files"
    assert all((files / name).is_symlink() for name in ("link", "broken"))


def test_who_takes_a_name_in_the_trash_at_that_instant_loses_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/x.d")
    files = tmp_path / "Trash" / "files"
    real = renaming.rename_new

    def renamed(name: str, target: str, **where: int) -> None:
        (files / "x.d").mkdir(exist_ok=True)
        real(name, target, **where)

    monkeypatch.setattr(f"{freedesktop.__name__}.rename_new", renamed)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert outcomes(swept(root, EVERYTHING, disposal="trash"))["debug/x.d"][0] == "done"
    assert listing(files / "x.d") == []
    assert listing(files / "x 1.d") == ["file0.txt"]
    assert [path.name for path in (tmp_path / "Trash" / "info").iterdir()] == ["x 1.d.trashinfo"]


@pytest.mark.parametrize("late", ["replaced", "pinned"])
def test_what_changed_at_the_last_instant_comes_back_from_the_trash(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    path = make_entry(root, "debug/x")
    real = renaming.rename_new

    def renamed(name: str, target: str, **where: int) -> None:
        monkeypatch.setattr(f"{freedesktop.__name__}.rename_new", real)
        if late == "pinned":
            write_pin(root, "debug/x", "mine")
        else:
            path.rename(tmp_path / "old")
            make_entry(root, "debug/x", files=2)
        real(name, target, **where)

    monkeypatch.setattr(f"{freedesktop.__name__}.rename_new", renamed)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    status, detail = outcomes(swept(root, EVERYTHING, disposal="trash"))["debug/x"]
    assert (status, late in detail) == ("skipped", True)
    assert len(listing(path)) == (1 if late == "pinned" else 2)
    assert [listing(tmp_path / "Trash" / part) for part in ("files", "info")] == [[], []]


def test_what_a_mount_of_the_same_filesystem_divides_from_the_trash_is_not_copied_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "disk").mkdir()
    if run(["mount", "--bind", "real", "disk"], cwd=tmp_path).returncode:
        pytest.skip("cannot mount here")
    try:
        path = make_entry(make_project(tmp_path / "disk" / "project") / ".tmp", "debug/x")
        assert trash(tmp_path / "disk" / "project", tmp_path / "home") == [
            "failed 0 cannot be trashed (it cannot be renamed into the trash, and a copy may miss "
            "changes); delete it without --trash"
        ]
        assert listing(path) == ["file0.txt"]
    finally:
        run(["umount", "disk"], cwd=tmp_path)
    assert listing(tmp_path / "home" / "data" / "Trash" / "info") == []


def test_elsewhere_the_desktop_is_asked_and_its_error_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import send2trash

    told: list[str] = []
    monkeypatch.setattr(trashing, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(send2trash, "send2trash", told.append)
    send_to_trash(tmp_path, tmp_path.name, -1, lambda _: None)
    assert told == [str(tmp_path)]

    def failing(path: str) -> None:
        raise ValueError

    monkeypatch.setattr(send2trash, "send2trash", failing)
    with pytest.raises(NotDisposed, match=r"^cannot be trashed \(ValueError\); delete it"):
        send_to_trash(tmp_path, tmp_path.name, -1, lambda _: None)
    monkeypatch.setitem(sys.modules, "send2trash", None)
    with pytest.raises(NotDisposed, match=r'; python3 -m pip install "send2trash>=2", or delete'):
        send_to_trash(tmp_path, tmp_path.name, -1, lambda _: None)
