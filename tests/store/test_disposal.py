"""The trash and the archive: what goes there is whole, or stays where it was."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.temp.store import disposal
from common.temp.store.disposal import NotDisposed, archive_to, forget, send_to_trash
from tests.support import (
    EVERYTHING,
    environment,
    listing,
    make_entry,
    mounted,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    swept,
)

TRASH = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from common.temp.core.retention import Policy\n"
    "from common.temp.store.sweep import execute, prepare\n"
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
        "failed 0 cannot be trashed (Not a directory); delete it without --trash, or free the trash"
    )
    assert len(listing(path)) == 3


def test_a_name_that_is_too_long_for_the_trash_stays(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, f"debug/{'y' * 255}")
    (said,) = trash(root.parent, tmp_path / "home")
    assert said.startswith("failed 0 cannot be trashed (File name too long); delete it without")
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
    monkeypatch.setattr(disposal, "fcntl", None)
    monkeypatch.setattr(send2trash, "send2trash", told.append)
    send_to_trash(tmp_path)
    assert told == [str(tmp_path)]


# -- archive --------------------------------------------------------------------------------------


def test_on_the_same_filesystem_an_entry_is_moved(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x", files=3)
    inode = path.stat().st_ino
    report = swept(root, EVERYTHING, disposal="archive", archive=tmp_path / "a" / "archive")
    target = tmp_path / "a" / "archive" / "debug__x"
    assert outcomes(report) == {"debug/x": ("done", f"archived as {target}")}
    assert report.freed_bytes == 0
    assert target.stat().st_ino == inode
    assert not path.exists()
    assert (target.parent / ".gitignore").read_text() == "*\n"


def test_across_filesystems_an_entry_is_copied_and_then_deleted(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x", files=3)
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "data").write_bytes(os.urandom(3_000_000))
    (path / "deep" / "link").symlink_to("er/data")
    before = {name: (path / name).lstat().st_size for name in listing(path) if "." in name}
    content = (path / "deep" / "er" / "data").read_bytes()
    with mounted(tmp_path / "m", "size=16m") as archive:
        report = swept(root, EVERYTHING, disposal="archive", archive=archive)
        target = archive / "debug__x"
        assert outcomes(report) == {"debug/x": ("done", f"archived as {target}")}
        assert report.freed_bytes > 3_000_000
        assert not path.exists()
        assert (target / "deep" / "er" / "data").read_bytes() == content
        assert os.readlink(target / "deep" / "link") == "er/data"
        assert {n: (target / n).lstat().st_size for n in before} == before
        assert os.listdir(archive) == ["debug__x"]


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("across", [True, False])
def test_files_and_links_are_archived_as_what_they_are(
    root: Path, tmp_path: Path, kind: str, across: bool
) -> None:
    root.mkdir()
    canary = make_entry(tmp_path, "canary")
    if kind == "file":
        (root / "it").write_text("content")
    else:
        (root / "it").symlink_to(canary)
    with (
        mounted(tmp_path / "m", "size=1m")
        if across
        else contextlib.nullcontext(tmp_path / "archive") as archive
    ):
        report = swept(root, EVERYTHING, disposal="archive", archive=archive)
        assert [outcome.status for outcome in report.outcomes] == ["done"]
        assert not os.path.lexists(root / "it")
        if kind == "file":
            assert (archive / "it").read_text() == "content"
        else:
            assert (archive / "it").readlink() == canary
    assert listing(canary) == ["file0.txt"]


def test_a_name_that_is_taken_in_the_archive_gets_a_number(root: Path, tmp_path: Path) -> None:
    for number in range(3):
        make_entry(root, "debug/x", files=number + 1)
        swept(root, EVERYTHING, disposal="archive", archive=tmp_path / "archive")
    counts = {
        name: len(listing(tmp_path / "archive" / name))
        for name in ("debug__x", "debug__x.2", "debug__x.3")
    }
    assert counts == {"debug__x": 1, "debug__x.2": 2, "debug__x.3": 3}


def test_processes_that_archive_files_of_one_name_at_once_lose_none(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from common.temp.store.disposal import archive_to\n"
        "print('ready', flush=True); input()\n"
        "for n in range(40): archive_to(Path(f'f{n}'), Path('../archive'), 'same')\n"
        "print('end')"
    )
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(3):
            directory = tmp_path / f"d{number}"
            directory.mkdir()
            for count in range(40):
                (directory / f"f{count}").write_text(f"{number}-{count}")
            started.append(stack.enter_context(process(code, cwd=directory)))
        for archiver in started:
            assert archiver.stdin is not None
            archiver.stdin.write("\n")
            archiver.stdin.flush()
        for archiver in started:
            assert archiver.stdout is not None
            assert archiver.stdout.read() == "end\n"
    kept = {path.read_text() for path in (tmp_path / "archive").glob("same*")}
    assert len(kept) == 120


def test_without_flock_a_name_is_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disposal, "fcntl", None)
    (tmp_path / "x").write_text("")
    assert archive_to(tmp_path / "x", tmp_path / "archive", "x")[1]


@pytest.mark.parametrize("across", [True, False])
def test_long_names_of_any_bytes_fit_into_the_archive(
    root: Path, tmp_path: Path, across: bool
) -> None:
    names = [os.fsdecode(b"\xff" * 254 + end) for end in (b"a", b"b")]
    for name in names:
        make_entry(root, f"uncategorized/{name}")
    with (
        mounted(tmp_path / "m", "size=1m")
        if across
        else contextlib.nullcontext(tmp_path / "archive") as archive
    ):
        for _ in range(2):
            report = swept(root, EVERYTHING, disposal="archive", archive=archive)
            assert {outcome.status for outcome in report.outcomes} == {"done"}
            for name in names:
                make_entry(root, f"uncategorized/{name}")
        assert len([name for name in os.listdir(archive) if name != ".gitignore"]) == 4


SLOW_ARCHIVE = (
    "import time\n"
    "from pathlib import Path\n"
    "from common.temp.core.retention import Policy\n"
    "from common.temp.store.sweep import execute, prepare\n"
    "root = Path('.tmp').absolute()\n"
    "plan = prepare(root, Policy(everything=True), time.time(), disposal='archive')\n"
    "print('ready', flush=True); input()\n"
    "execute(plan, archive=Path('../m').absolute())\n"
)


def test_an_archiving_sweep_that_is_killed_leaves_the_entry_whole_in_one_place(
    root: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "m", "size=64m") as archive:
        for number in range(8):
            path = make_entry(root, f"debug/x{number}", files=300)
            with process(SLOW_ARCHIVE, cwd=root.parent) as sweeper:
                assert sweeper.stdin is not None
                sweeper.stdin.write("\n")
                sweeper.stdin.flush()
                time.sleep(number * 0.012)
                sweeper.kill()
                sweeper.wait()
            places = [path, archive / f"debug__x{number}"]
            assert any(place.is_dir() and len(listing(place)) == 300 for place in places)
            swept(root, EVERYTHING, disposal="archive", archive=archive)
            assert scanned(root) == {}
            assert len(listing(archive / f"debug__x{number}")) == 300


@pytest.mark.parametrize("kind", ["fifo", "socket", "closed"])
def test_what_cannot_be_copied_stays_with_reason_and_remedy(
    root: Path, tmp_path: Path, kind: str
) -> None:
    path = make_entry(root, "debug/x", files=3)
    if kind == "fifo":
        os.mkfifo(path / "odd")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path):
            server.bind("odd")
    else:
        (path / "odd").write_text("")
        (path / "odd").chmod(0)
    with mounted(tmp_path / "m", "size=1m") as archive, plain_user():
        ((status, detail),) = outcomes(
            swept(root, EVERYTHING, disposal="archive", archive=archive)
        ).values()
        assert status == "failed"
        assert detail.startswith(f"cannot be archived in {archive} (")
        assert detail.endswith("; choose another archive_location, or clean without archiving")
        assert os.listdir(archive) == []
    assert len(listing(path)) == 4


def test_an_archive_that_is_full_leaves_the_entry_and_no_half_copy(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "debug/x", files=3)
    (path / "big").write_bytes(b"x" * 200_000)
    with mounted(tmp_path / "m", "size=64k") as archive:
        ((status, detail),) = outcomes(
            swept(root, EVERYTHING, disposal="archive", archive=archive)
        ).values()
        assert (status, "No space left on device" in detail) == ("failed", True)
        assert os.listdir(archive) == []
    assert len(listing(path)) == 4


def test_an_archive_that_is_a_file_leaves_the_entry(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x")
    (tmp_path / "archive").write_text("")
    ((status, detail),) = outcomes(
        swept(root, EVERYTHING, disposal="archive", archive=tmp_path / "archive")
    ).values()
    assert (status, detail.partition(";")[0]) == (
        "failed",
        f"cannot be archived in {tmp_path / 'archive'} (File exists)",
    )
    assert path.is_dir()


@pytest.mark.parametrize("what", ["content", "names", "link"])
def test_a_copy_that_differs_is_thrown_away_and_the_entry_stays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = make_entry(root, "debug/x", files=2)
    (path / "link").symlink_to("file0.txt")
    real = shutil.copytree

    def copytree(source: Path, target: Path, *, symlinks: bool) -> None:
        real(source, target, symlinks=symlinks)
        if what == "content":
            (target / "file1.txt").write_text("y" * 100)
        elif what == "names":
            (target / "file1.txt").unlink()
        else:
            (target / "link").unlink()
            (target / "link").symlink_to("file1.txt")

    monkeypatch.setattr(shutil, "copytree", copytree)
    with mounted(tmp_path / "m", "size=1m") as archive:
        ((status, detail),) = outcomes(
            swept(root, EVERYTHING, disposal="archive", archive=archive)
        ).values()
        assert status == "failed"
        assert f"(the copy of {path}" in detail
        assert " differs); choose another" in detail
        assert os.listdir(archive) == []
    assert len(listing(path)) == 3


def test_a_tree_too_deep_to_be_copied_stays(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x")
    descriptor = os.open(path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=descriptor)
        above, descriptor = descriptor, os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(above)
    os.close(descriptor)
    with mounted(tmp_path / "m", "size=16m") as archive:
        ((status, detail),) = outcomes(
            swept(root, EVERYTHING, disposal="archive", archive=archive)
        ).values()
        assert (status, detail.startswith("cannot be archived in ")) == ("failed", True)
        assert os.listdir(archive) == []
    assert scanned(root)["debug/x"].directories == 3001
    swept(root)  # which pytest's own clean-up could not


def test_forgetting_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    forget(tmp_path / "missing" / "part")
    forget(tmp_path / "part")
    assert (tmp_path / "missing").exists() is False


def test_an_archive_inside_the_entry_is_refused(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x")
    with pytest.raises(NotDisposed, match="which lies in it; choose another place"):
        archive_to(path, path / "archive", "x")
    assert listing(path) == ["file0.txt"]
