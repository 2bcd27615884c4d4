"""The archive: an entry there is whole and has a manifest, or stays where it was."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.archive_limits import ArchiveLimits
from common.temp.core.layouts import FILES, JOBS, PIPELINE
from common.temp.core.policy import Policy
from common.temp.store.archive import packing, tarring
from common.temp.store.archive.deposit import LocalDeposit
from common.temp.store.archive.local import LocalArchive, Receipt
from common.temp.store.archive.restore import restore
from common.temp.store.claiming.area import HoldingArea
from common.temp.store.claiming.claim import NotClaimed
from common.temp.store.root.allocation import allocate
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import write_pin
from common.temp.store.shelf import reservation
from common.temp.store.shelf.belongs import place_of
from common.temp.store.shelf.dropping import drop
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.shelf.manifest import MANIFEST
from common.temp.store.shelf.reservation import forget_stale
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import archive_formats, locks
from common.temp.store.system.archive_formats import ArchiveFormat
from common.temp.store.trees import writing
from common.temp.store.trees.contents import Item, digest
from tests.store.trees import long_chain, rich, seen
from tests.support import (
    DENIED,
    EVERYTHING,
    IMMUTABLE,
    listing,
    make_entry,
    mounted,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    stored,
    swept,
)

FORMATS = pytest.mark.parametrize("form", archive_formats.FORMATS)
TARS = pytest.mark.parametrize("form", [form for form in archive_formats.FORMATS if form != "dir"])


def archiving(root: Path, archive: Path, **options: Any) -> dict[str, tuple[str, str]]:
    """What a real sweep of `root` that archives everything said of each entry."""
    return outcomes(swept(root, disposal="archive", archive=archive, **options))


def manifest(archive: Path, name: str) -> dict[str, Any]:
    """The manifest of what is called `name`."""
    said: dict[str, Any] = json.loads((archive / f"{name}{MANIFEST}").read_text())
    return said


# -- as a directory -------------------------------------------------------------------------------


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


def test_moving_takes_no_time_for_what_is_inside_however_deep(root: Path, tmp_path: Path) -> None:
    long_chain(make_entry(root, "debug/x"))
    assert archiving(root, tmp_path / "archive")["debug/x"][0] == "done"
    assert manifest(tmp_path / "archive", "debug__x")["directories"] == 21
    swept(tmp_path / "archive")  # which pytest's own clean-up could not


def test_across_filesystems_an_entry_is_copied_and_then_deleted(root: Path, tmp_path: Path) -> None:
    path = rich(make_entry(root, "debug/x", files=3))
    path.chmod(0o750)
    before, changed = seen(path), path.stat().st_mtime_ns
    with mounted(tmp_path / "m", "size=16m") as archive:
        report = swept(root, EVERYTHING, disposal="archive", archive=archive)
        target = archive / "debug__x"
        assert outcomes(report) == {"debug/x": ("done", f"archived as {target}")}
        assert report.freed_bytes > 300_000
        assert not path.exists()
        assert seen(target) == before
        assert (target.stat().st_mode & 0o777, target.stat().st_mtime_ns) == (0o750, changed)
        assert (target / "zweiter").stat().st_nlink == 2
        assert (target / "sparse").stat().st_blocks * 512 < 1_000_000
        assert stored(archive) == ["debug__x"]


def test_nothing_is_archived_where_the_disk_of_the_archive_is_not_mounted(
    root: Path, tmp_path: Path
) -> None:
    def cleaned(archive: Path) -> str:
        if not (path := root / "debug" / "x").exists():
            make_entry(root, "debug/x")
        _, detail = outcomes(swept(root, EVERYTHING, disposal="archive", archive=archive))[
            "debug/x"
        ]
        assert path.exists() == ("is not mounted" in detail)
        return detail

    place = tmp_path / "m"
    for archive in (place, place / "archive"):
        with mounted(place, "size=16m"):
            assert cleaned(archive) == f"archived as {archive / 'debug__x'}"
        assert "mount it, or if the archive is to be on this disk now: rm " in cleaned(archive)
        assert listing(place) == []
        with mounted(place, "size=16m"):  # an empty disk is a disk
            assert cleaned(archive) == f"archived as {archive / 'debug__x'}"
    assert cleaned(tmp_path / "another") == f"archived as {tmp_path / 'another' / 'debug__x'}"
    (root / ".tempkeep" / "archive-disk").unlink()
    assert cleaned(archive) == f"archived as {archive / 'debug__x'}"
    assert cleaned(archive) == f"archived as {archive / 'debug__x.2'}"


def test_where_the_same_disk_is_mounted_twice_it_is_copied_and_frees_nothing(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "debug/x", files=3)
    (path / "noise").write_bytes(os.urandom(500_000))
    before = seen(path)
    (tmp_path / "archive").mkdir()
    (tmp_path / "bound").mkdir()
    done = run(
        ["mount", "--bind", str(tmp_path / "archive"), str(tmp_path / "bound")], cwd=tmp_path
    )
    if done.returncode:
        pytest.skip(f"cannot bind a directory: {done.stderr.strip()}")
    try:
        report = swept(root, disposal="archive", archive=tmp_path / "bound")
        assert [outcome.status for outcome in report.outcomes] == ["done"]
        assert report.freed_bytes < 100_000
        assert seen(tmp_path / "archive" / "debug__x") == before
        assert not path.exists()
        (found,) = list_shelf(tmp_path / "archive", root)
        assert found.manifest is not None
        assert found.manifest.has_contents
    finally:
        run(["umount", "--lazy", str(tmp_path / "bound")], cwd=tmp_path)


def test_a_name_that_was_given_up_is_left_to_who_takes_it_then(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename fails, since the same disk is mounted twice, and so does the copy."""
    path = make_entry(root, "debug/x")
    for name in ("archive", "bound"):
        (tmp_path / name).mkdir()
    done = run(
        ["mount", "--bind", str(tmp_path / "archive"), str(tmp_path / "bound")], cwd=tmp_path
    )
    if done.returncode:
        pytest.skip(f"cannot bind a directory: {done.stderr.strip()}")
    real = LocalDeposit.pack

    def pack(deposit: LocalDeposit) -> None:
        archiving(root.parent / "other", tmp_path / "archive")
        (path / ("long" * 60)).joinpath(*["long" * 60] * 16).mkdir(parents=True)
        real(deposit)

    try:
        make_entry(root.parent / "other", "debug/x")
        with monkeypatch.context() as patch:
            patch.setattr(LocalDeposit, "pack", pack)
            status, detail = archiving(root, tmp_path / "bound")["debug/x"]
        assert (status, "File name too long" in detail) == ("failed", True)
        assert manifest(tmp_path / "archive", "debug__x")["root"] == str(root.parent / "other")
    finally:
        run(["umount", "--lazy", str(tmp_path / "bound")], cwd=tmp_path)


@pytest.mark.parametrize("kind", ["file", "link", "fifo"])
@pytest.mark.parametrize("form", ["moved", "dir", "tar.gz"])
def test_files_and_links_are_archived_as_what_they_are(
    root: Path, tmp_path: Path, kind: str, form: str
) -> None:
    root.mkdir()
    canary = make_entry(tmp_path, "canary")
    if kind == "file":
        (root / "it").write_text("content")
    elif kind == "link":
        (root / "it").symlink_to(canary)
    else:
        os.mkfifo(root / "it")
    with (
        contextlib.nullcontext(tmp_path / "archive")
        if form == "moved"
        else mounted(tmp_path / "m", "size=1m") as archive
    ):
        packed: ArchiveFormat = "tar.gz" if form == "tar.gz" else "dir"
        (status, _) = archiving(root, archive, archive_format=packed)["it"]
        assert status == "done"
        assert not os.path.lexists(root / "it")
        if form == "tar.gz":
            with open(archive / "it.tar.gz", "rb") as file:
                (it,) = tarring.unpacked("tar.gz", file)
            assert (it.path, it.target) == ("", str(canary) if kind == "link" else "")
        elif kind == "file":
            assert (archive / "it").read_text() == "content"
        elif kind == "link":
            assert (archive / "it").readlink() == canary
        else:
            assert (archive / "it").is_fifo()
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


@pytest.mark.parametrize("taken", ["debug__x", "debug__x.tar.gz", f"debug__x{MANIFEST}"])
def test_a_name_is_taken_by_anything_that_is_called_so(
    root: Path, tmp_path: Path, taken: str
) -> None:
    make_entry(root, "debug/x")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / taken).write_text("somebody's")
    held = open(tmp_path / "archive" / taken)  # noqa: SIM115 - a manifest is somebody's while locked
    with held:
        fcntl.flock(held, fcntl.LOCK_EX)
        archiving(root, tmp_path / "archive", archive_format="tar.zst")
    assert (tmp_path / "archive" / taken).read_text() == "somebody's"
    assert (tmp_path / "archive" / "debug__x.2.tar.zst").is_file()


MANY = """
import os, sys, time
from pathlib import Path
from common.temp.core.policy import Policy
from common.temp.store.archive.local import LocalArchive
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
root = Path('.tmp').absolute()
print('ready', flush=True); input()
for number in range(6):
    (root / 'debug' / 'same').mkdir(parents=True)
    (root / 'debug' / 'same' / 'file').write_text(f'{sys.argv[1]}-{number}')
    plan = prepare(root, Policy(everything=True), time.time(), disposal='archive')
    execute(plan, archive=LocalArchive(Path('../archive').absolute()), archive_format=sys.argv[2])
print('end')
"""


@pytest.mark.parametrize("form", ["dir", "tar.gz"])
def test_processes_that_archive_entries_of_one_name_at_once_lose_none(
    tmp_path: Path, form: ArchiveFormat
) -> None:
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(3):
            directory = tmp_path / f"d{number}"
            directory.mkdir()
            code = MANY.replace("sys.argv[1]", repr(number)).replace("sys.argv[2]", repr(form))
            started.append(stack.enter_context(process(code, cwd=directory)))
        for archiver in started:
            assert archiver.stdin is not None
            archiver.stdin.write("\n")
            archiver.stdin.flush()
        for archiver in started:
            assert archiver.stdout is not None
            assert archiver.stdout.read() == "end\n"
    found = list_shelf(tmp_path / "archive", tmp_path / "d0" / ".tmp")
    assert len({archived.name for archived in found}) == len(found) == 18
    assert all(archived.manifest is not None for archived in found)
    assert not list((tmp_path / "archive" / ".tempkeep" / "holding").glob("*"))


@FORMATS
@pytest.mark.parametrize("across", [True, False])
def test_long_names_of_any_bytes_fit_into_the_archive(
    root: Path, tmp_path: Path, across: bool, form: ArchiveFormat
) -> None:
    names = [os.fsdecode(b"\xff" * 254 + end) for end in (b"a", b"b")]
    with (
        mounted(tmp_path / "m", "size=1m")
        if across
        else contextlib.nullcontext(tmp_path / "archive") as archive
    ):
        for _ in range(2):
            for name in names:
                make_entry(root, f"uncategorized/{name}")
            said = archiving(root, archive, archive_format=form)
            assert [status for status, _ in said.values()] == ["done", "done"]
        assert len(stored(archive)) == 4


# -- packed ---------------------------------------------------------------------------------------


@TARS
@pytest.mark.parametrize("by", ["the system's tar", "tarfile"])
def test_a_packed_entry_holds_all_that_it_held(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: ArchiveFormat, by: str
) -> None:
    if by == "tarfile":
        monkeypatch.setattr(tarring, "system_tar", lambda: None)
    else:
        monkeypatch.setattr(tarring, "pack_by_python", None)
    path = rich(make_entry(root, "debug/x", files=3))
    before = seen(path)
    report = swept(root, disposal="archive", archive=tmp_path / "archive", archive_format=form)
    packed = tmp_path / "archive" / f"debug__x.{form}"
    assert outcomes(report) == {"debug/x": ("done", f"archived as {packed}")}
    assert not path.exists()
    with open(packed, "rb") as file:
        assert digest(tarring.unpacked(form, file)).hexdigest == before
    assert packed.stat().st_mode & 0o777 == 0o600, "what was private would be everybody's"


@TARS
def test_anybody_can_unpack_it_with_tar(root: Path, tmp_path: Path, form: ArchiveFormat) -> None:
    if not shutil.which("tar") or not shutil.which("zstd"):
        pytest.skip("needs tar and zstd")
    before = seen(rich(make_entry(root, "debug/x", files=3)))
    archiving(root, tmp_path / "archive", archive_format=form)
    done = run(["tar", "-xf", str(tmp_path / "archive" / f"debug__x.{form}")], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert seen(tmp_path / "x") == before


def test_on_the_same_disk_only_the_difference_is_freed(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x")
    (path / "zeros").write_bytes(b"\0" * 1_000_000)
    (path / "noise").write_bytes(os.urandom(1_000_000))
    plan = prepare(root, EVERYTHING, time.time(), disposal="archive")
    archive = tmp_path / "archive"
    report = execute(plan, archive=LocalArchive(archive), archive_format="tar.gz")
    takes = (archive / "debug__x.tar.gz").stat().st_blocks * 512
    assert takes > 1_000_000
    assert report.freed_bytes == plan.steps[0].entry.size - takes > 900_000


def test_what_takes_more_when_it_is_packed_frees_nothing(root: Path, tmp_path: Path) -> None:
    make_entry(root, "debug/x", files=0)
    path = root / "debug" / "x"
    with open(path / "sparse", "wb") as file:
        file.truncate(20_000_000)
    report = swept(root, disposal="archive", archive=tmp_path / "a", archive_format="tar.gz")
    assert [outcome.status for outcome in report.outcomes] == ["done"]
    assert report.freed_bytes == 0


def test_without_any_program_for_it_the_extra_packs_and_reads_zstandard(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("zstandard")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    before = seen(rich(make_entry(root, "debug/x")))
    assert archiving(root, tmp_path / "a", archive_format="tar.zst")["debug/x"][0] == "done"
    with open(tmp_path / "a" / "debug__x.tar.zst", "rb") as file:
        assert digest(tarring.unpacked("tar.zst", file)).hexdigest == before


def test_without_program_and_extra_the_entry_stays_and_says_what_is_needed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = make_entry(root, "debug/x")
    status, detail = archiving(root, tmp_path / "a", archive_format="tar.zst")["debug/x"]
    assert status == "failed"
    assert "tar.zst needs the program zstd, or tempkeep's extra `archive`" in detail
    assert listing(path) == ["file0.txt"]
    assert stored(tmp_path / "a") == []


FAILING = {
    "fails": "echo no >&2; exit 2",
    "packs nothing": ":",
    "packs something else": f"exec {shutil.which('tar')} -cf - -C / etc/passwd",
    "leaves something out": f'exec {shutil.which("tar")} --exclude=file1.txt "$@"',
}


@pytest.mark.parametrize("what", FAILING)
def test_a_tar_that_does_not_do_what_it_should_is_found_out_and_tarfile_packs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tar").write_text(f"#!/bin/sh\n{FAILING[what]}\n")
    (tmp_path / "bin" / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    before = seen(make_entry(root, "debug/x", files=3))
    assert archiving(root, tmp_path / "a", archive_format="tar.gz")["debug/x"][0] == "done"
    with open(tmp_path / "a" / "debug__x.tar.gz", "rb") as file:
        assert digest(tarring.unpacked("tar.gz", file)).hexdigest == before


@pytest.mark.parametrize("form", ["zst", "tar.xz", ""])
def test_an_unknown_format_is_an_error_and_the_entry_stays(
    root: Path, tmp_path: Path, form: str
) -> None:
    path = make_entry(root, "debug/x")
    expected = f"archive_format: expected one of dir, tar.gz, tar.zst, got {form!r}"
    said = archiving(root, tmp_path / "archive", archive_format=form)
    assert said == {"debug/x": ("failed", expected)}
    assert listing(path) == ["file0.txt"]
    assert not (tmp_path / "archive").exists()


# -- what cannot be archived ----------------------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("kind", ["device", "closed"])
def test_what_cannot_be_copied_stays_with_reason_and_remedy(
    root: Path, tmp_path: Path, kind: str, form: ArchiveFormat
) -> None:
    path = make_entry(root, "debug/x", files=3)
    if kind == "device":
        os.mknod(path / "odd", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        (path / "odd").write_text("")
        (path / "odd").chmod(0)
    with mounted(tmp_path / "m", "size=1m") as archive, plain_user():
        status, detail = archiving(root, archive, archive_format=form)["debug/x"]
        assert status == "failed"
        why, remedy = {
            "device": ("odd is a device, which no archive can hold", "remove it"),
            "closed": ("Permission denied in odd", DENIED.partition("; ")[2]),
        }[kind]
        assert detail == (
            f"cannot be archived in {archive} ({why}); {remedy}, or choose another "
            "archive_location, or clean without archiving"
        )
        assert stored(archive) == []
        assert os.listdir(archive / ".tempkeep" / "holding") == []
    assert len(listing(path)) == 4


@FORMATS
def test_a_dead_socket_is_left_out_and_named_and_a_fifo_is_archived(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    path = make_entry(root, "debug/x", files=1)
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path):
        server.bind("odd")
    os.link(path / "odd", path / "odd2")
    os.mkfifo(path / "pipe")
    os.symlink("odd", path / "link")
    with mounted(tmp_path / "m", "size=1m") as archive:
        status, detail = archiving(root, archive, archive_format=form)["debug/x"]
        assert (status, detail.endswith("without its sockets (odd, odd2)")) == ("done", True)
        (archived,) = list_shelf(archive, root)
        assert archived.manifest is not None
        assert archived.manifest.left_out == ("odd", "odd2")
        restore(LocalArchive(archive), archived, place_of(archived, root.parent))
    assert listing(path) == ["file0.txt", "link", "pipe"]


def test_what_has_thousands_of_dead_sockets_can_be_restored(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x", files=1)
    deep = path / ("d" * 250) / ("e" * 250)
    deep.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(deep):
        server.bind("s")
    for number in range(3000):
        os.link(deep / "s", deep / f"s{number}")
    with mounted(tmp_path / "m", "size=4m") as archive:
        status, detail = archiving(root, archive, archive_format="tar.gz")["debug/x"]
        assert (status, detail.endswith(", and 2991 more)")) == ("done", True)
        (archived,) = list_shelf(archive, root)
        assert archived.manifest is not None, archived.problem
        assert archived.manifest.left_out[30:] == ("and 2971 more",)
        restore(LocalArchive(archive), archived, place_of(archived, root.parent))
    assert (path / "file0.txt").is_file()


@FORMATS
def test_a_full_archive_leaves_the_entry(root: Path, tmp_path: Path, form: ArchiveFormat) -> None:
    path = make_entry(root, "debug/x", files=3)
    (path / "big").write_bytes(os.urandom(3_000_000))
    with mounted(tmp_path / "m", "size=1m") as archive:
        status, detail = archiving(root, archive, archive_format=form)["debug/x"]
        assert (status, "No space left on device" in detail) == ("failed", True)
        assert stored(archive) == []
        assert os.listdir(archive / ".tempkeep" / "holding") == []
    assert len(listing(path)) == 4


def test_a_name_that_is_somebody_s_is_left_to_them_by_what_is_taken_back(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C that comes while a name is looked for."""
    make_entry(root, "debug/x")
    archiving(root, tmp_path / "a")
    make_entry(root, "debug/x")
    before = manifest(tmp_path / "a", "debug__x")
    real = reservation.is_taken

    def is_taken(archive: Path, name: str) -> bool:
        if name.endswith(".2"):
            raise KeyboardInterrupt
        return real(archive, name)

    monkeypatch.setattr(reservation, "is_taken", is_taken)
    with pytest.raises(KeyboardInterrupt):
        archiving(root, tmp_path / "a")
    assert manifest(tmp_path / "a", "debug__x") == before
    assert (root / "debug" / "x").is_dir()


@pytest.mark.parametrize("inodes", [2, 3, 4, 5])
def test_an_archive_without_room_for_a_name_leaves_the_entry(
    root: Path, tmp_path: Path, inodes: int
) -> None:
    path = make_entry(root, "debug/x", files=3)
    with mounted(tmp_path / "m", f"size=1m,nr_inodes={inodes}") as archive:
        status, detail = archiving(root, archive, archive_format="tar.gz")["debug/x"]
        assert (status, "No space left on device" in detail) == ("failed", True)
        assert stored(archive) == []
    assert len(listing(path)) == 3


def test_an_archive_that_is_a_file_leaves_the_entry(root: Path, tmp_path: Path) -> None:
    path = make_entry(root, "debug/x")
    (tmp_path / "archive").write_text("")
    status, detail = archiving(root, tmp_path / "archive")["debug/x"]
    assert (status, detail.partition(";")[0]) == (
        "failed",
        f"cannot be archived in {tmp_path / 'archive'} ({tmp_path / 'archive'} is not a directory)",
    )
    assert path.is_dir()


@pytest.mark.parametrize("what", ["content", "names", "link", "mode", "time"])
def test_a_copy_that_differs_is_thrown_away_and_the_entry_stays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = make_entry(root, "debug/x", files=2)
    (path / "link").symlink_to("file0.txt")
    real = writing.write

    def write(items: Iterator[Item], place: str) -> Item:
        first = real(items, place)
        copied = Path(place) / "file1.txt"
        told = copied.stat()
        if what == "content":
            copied.write_text("y" * 100)
            os.utime(copied, ns=(told.st_mtime_ns, told.st_mtime_ns))
        elif what == "names":
            copied.unlink()
        elif what == "link":
            (copied.parent / "link").unlink()
            (copied.parent / "link").symlink_to("file1.txt")
        elif what == "mode":
            copied.chmod(0o611)
        else:
            os.utime(copied, ns=(told.st_mtime_ns, told.st_mtime_ns + 1))
        return first

    monkeypatch.setattr(packing, "write", write)
    with mounted(tmp_path / "m", "size=1m") as archive:
        status, detail = archiving(root, archive)["debug/x"]
        assert status == "failed"
        assert " (the copy differs); choose another" in detail
        assert stored(archive) == []
    assert len(listing(path)) == 3


@FORMATS
def test_a_tree_too_deep_to_be_copied_stays(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    long_chain(make_entry(root, "debug/x"))
    with mounted(tmp_path / "m", "size=16m") as archive:
        status, detail = archiving(root, archive, archive_format=form)["debug/x"]
        assert (status, "File name too long" in detail) == ("failed", True)
        assert stored(archive) == []
    assert scanned(root)["debug/x"].directories == 21
    swept(root)  # which pytest's own clean-up could not


@FORMATS
def test_an_entry_that_is_taken_at_this_moment_is_gone_already(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: ArchiveFormat
) -> None:
    path = make_entry(root, "debug/x", files=3)
    real = LocalDeposit.move

    def move(deposit: LocalDeposit) -> bool:
        path.rename(tmp_path / "elsewhere")
        return real(deposit)

    monkeypatch.setattr(LocalDeposit, "move", move)
    said = archiving(root, tmp_path / "a", archive_format=form)
    assert said == {"debug/x": ("skipped", "is gone already")}
    assert stored(tmp_path / "a") == []


@pytest.mark.parametrize("across", [True, False])
def test_a_read_only_entry_of_a_plain_user_is_archived_and_restored_as_it_was(
    root: Path, tmp_path: Path, across: bool
) -> None:
    path = make_entry(root, "debug/x", files=3)
    path.chmod(0o500)
    with (
        mounted(tmp_path / "m", "size=1m,mode=777")
        if across
        else contextlib.nullcontext(tmp_path / "archive") as archive,
        plain_user(),
    ):
        assert archiving(root, archive)["debug/x"][0] == "done"
        assert (archive / "debug__x").stat().st_mode & 0o777 == 0o500
        (found,) = list_shelf(archive, root)
        restore(LocalArchive(archive), found, place_of(found, root.parent))
        assert path.stat().st_mode & 0o777 == 0o500
        assert len(listing(path)) == 3


def test_an_archive_inside_the_entry_is_refused(root: Path) -> None:
    path = make_entry(root, "debug/x")
    status, detail = archiving(root, path / "archive")["debug/x"]
    assert (status, "which is inside it; choose another place" in detail) == ("failed", True)
    assert listing(path) == ["file0.txt"]


def test_a_link_to_where_the_archive_lies_is_archived(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    assert archiving(root, tmp_path / "archive")["link"][0] == "done"


@pytest.mark.parametrize("layout", [JOBS, FILES])
@pytest.mark.parametrize("where", [".", "archive"])
def test_an_archive_among_the_entries_is_refused(tmp_path: Path, layout: Any, where: str) -> None:
    root = tmp_path / "root"
    make_root(str(root), layout)
    (root / "x").mkdir()
    plan = prepare(root, EVERYTHING, time.time(), layout=layout, disposal="archive")
    ((status, detail),) = outcomes(execute(plan, archive=LocalArchive(root / where))).values()
    assert (status, "which is among the entries" in detail) == ("failed", True)
    assert os.listdir(root / "x") == []


def test_beside_runs_of_a_pipeline_is_a_place_for_an_archive(tmp_path: Path) -> None:
    make_root(str(tmp_path), PIPELINE)
    name = make_entry(tmp_path, "pipeline_artifacts_20250102_030405").name
    plan = prepare(tmp_path, EVERYTHING, time.time(), layout=PIPELINE, disposal="archive")
    report = execute(plan, archive=LocalArchive(tmp_path / "archive"))
    assert outcomes(report) == {name: ("done", f"archived as {tmp_path / 'archive' / name}")}
    assert manifest(tmp_path / "archive", name)["layout"] == "pipeline"
    assert prepare(tmp_path, EVERYTHING, time.time(), layout=PIPELINE).steps == ()


# -- manifests ------------------------------------------------------------------------------------


@FORMATS
def test_a_manifest_says_what_it_was_and_where_when_and_why_it_went(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    path = Path(allocate(str(root), "debug", "run"))
    (path / "sub").mkdir()
    (path / "sub" / "file").write_text("twelve bytes")
    before, now = seen(path), time.time()
    report = swept(
        root, disposal="archive", archive=root.parent / ".tmp-archive", archive_format=form
    )
    assert [outcome.status for outcome in report.outcomes] == ["done"]
    said = manifest(root.parent / ".tmp-archive", f"debug__{path.name}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", said.pop("archived_at"))
    assert re.fullmatch("[0-9a-f]{16}", said.pop("id"))
    assert said.pop("archived_by").startswith(f"pid {os.getpid()} (")
    assert said.pop("made_by").startswith(f"pid {os.getpid()} (")
    is_read = form != "dir"
    assert (said.pop("digest") == before) is is_read
    assert abs(said.pop("changed_ns") / 1e9 - now) < 60
    assert said == {
        "schema": 1,
        "kind": "archive",
        "format": form,
        "root": "../.tmp",
        "path": f"debug/{path.name}",
        "category": "debug",
        "label": "run",
        "stamp": int(path.name.rpartition("_")[2]),
        "layout": "scratch",
        "reasons": ["everything: requested, regardless of age"],
        "mode": f"{0o777 & ~_umask():04o}",
        "files": 1,
        "directories": 2,
        "size": 12,
        "has_contents": is_read,
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_archive_outside_the_project_knows_the_root_by_its_absolute_path(
    root: Path, tmp_path: Path
) -> None:
    make_entry(root, "debug/x")
    archiving(root, tmp_path / "archive")
    assert manifest(tmp_path / "archive", "debug__x")["root"] == str(root)


def test_an_archive_in_the_project_is_moved_and_copied_with_it(root: Path, tmp_path: Path) -> None:
    make_entry(root, "debug/x")
    archiving(root, root.parent / ".tmp-archive")
    shutil.copytree(root.parent, tmp_path / "copy")
    for project in (root.parent, tmp_path / "copy"):
        (found,) = list_shelf(project / ".tmp-archive", project / ".tmp")
        assert found.manifest is not None
        assert found.manifest.root_from(project / ".tmp-archive") == project / ".tmp"


def test_names_of_any_bytes_are_the_same_when_they_are_read_again(
    root: Path, tmp_path: Path
) -> None:
    name = os.fsdecode(b"\xff\n")
    make_entry(root, f"debug/{name}")
    archiving(root, tmp_path / "archive")
    (found,) = list_shelf(tmp_path / "archive", root)
    assert found.manifest is not None
    assert (found.name, found.manifest.path) == (f"debug__{name}", f"debug/{name}")


def test_what_an_older_version_archived_is_listed_without_a_manifest(
    root: Path, tmp_path: Path
) -> None:
    old = make_entry(tmp_path, "archive/debug__old_1696348800")
    make_entry(root, "debug/x")
    archiving(root, tmp_path / "archive")
    found = list_shelf(tmp_path / "archive", root)
    assert [(archived.name, archived.manifest is None) for archived in found] == [
        (old.name, True),
        ("debug__x", False),
    ]


def test_what_else_lies_in_a_directory_that_holds_the_root_is_no_archive(root: Path) -> None:
    make_entry(root, "debug/x")
    make_entry(root.parent, "src")
    archiving(root, root.parent)
    assert [archived.name for archived in list_shelf(root.parent, root)] == ["debug__x"]


UNUSABLE: dict[str | None, str] = {
    "": "its manifest is damaged",
    "{": "its manifest is damaged",
    "[]": "its manifest is damaged",
    "[" * 100_000: "its manifest is damaged",
    '{"schema": 1, "kind": "archive"}': "its manifest is damaged",
    '{"schema": 2, "kind": "archive"}': "its manifest is of another version; update tempkeep",
    None: "its manifest cannot be read (Too many levels of symbolic links)",
}


def test_a_manifest_that_cannot_be_used_is_listed_with_the_reason(
    root: Path, tmp_path: Path
) -> None:
    make_entry(root, "debug/x")
    archiving(root, tmp_path / "a", archive_format="tar.gz")
    path = tmp_path / "a" / f"debug__x{MANIFEST}"
    for text, problem in UNUSABLE.items():
        path.unlink()
        path.symlink_to("/etc/passwd") if text is None else path.write_text(text)
        (found,) = list_shelf(tmp_path / "a", root)
        assert (found.name, found.data) == ("debug__x", "debug__x.tar.gz"), text
        assert (found.manifest, found.problem) == (None, problem), text
        with pytest.raises(OSError, match="manifest"):
            LocalArchive(tmp_path / "a").find(Receipt("debug__x", "0").spell(), root)


def test_a_manifest_with_a_value_of_another_kind_is_damaged(root: Path, tmp_path: Path) -> None:
    make_entry(root, "debug/x")
    archiving(root, tmp_path / "a")
    path = tmp_path / "a" / f"debug__x{MANIFEST}"
    whole = json.loads(path.read_text())
    for key, value in (
        ("format", "rar"), ("root", 7), ("path", None), ("id", []), ("mode", "rwx"), ("mode", 7),
        ("archived_at", "yesterday"), ("changed_ns", "x"), ("reasons", 3), ("digest", {}),
        ("reasons", [1]), ("reasons", "x"), ("size", "x"), ("files", True), ("size", 1.5),
        ("stamp", "x"), ("label", None), ("made_by", 3), ("archived_by", None), ("archived_at", 7),
    ):  # fmt: skip
        path.write_text(json.dumps({**whole, key: value}))
        (found,) = list_shelf(tmp_path / "a", root)
        assert (found.manifest, found.problem) == (None, "its manifest is damaged"), (key, value)
    path.write_text(json.dumps(whole))
    (found,) = list_shelf(tmp_path / "a", root)
    assert found.problem == ""


def test_no_archive_holds_nothing(root: Path, tmp_path: Path) -> None:
    assert list_shelf(tmp_path / "missing", root) == []
    assert LocalArchive(tmp_path / "missing").droppable(root) == []
    forget_stale(tmp_path / "missing")
    assert LocalArchive(tmp_path / "missing").find(Receipt("x", "0").spell(), root) is None


# -- what killed processes left -------------------------------------------------------------------


def test_a_manifest_alone_is_listed_nowhere_and_gone_after_the_next_sweep(
    root: Path, tmp_path: Path
) -> None:
    make_entry(root, "debug/x")
    archiving(root, tmp_path / "a")
    stale = tmp_path / "a" / f"debug__y{MANIFEST}"
    shutil.copy(tmp_path / "a" / f"debug__x{MANIFEST}", stale)
    assert [found.name for found in list_shelf(tmp_path / "a", root)] == ["debug__x"]
    swept(root, archive=tmp_path / "a")
    assert not stale.exists()
    assert [found.name for found in list_shelf(tmp_path / "a", root)] == ["debug__x"]


@pytest.mark.parametrize("text", ["", "{", '{\n  "schema": 1,\n  "kind": "arch'])
def test_a_manifest_that_was_only_begun_is_gone_after_the_next_sweep(
    root: Path, tmp_path: Path, text: str
) -> None:
    root.mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"debug__y{MANIFEST}").write_text(text)
    swept(root, archive=tmp_path / "a")
    assert os.listdir(tmp_path / "a") == []


@pytest.mark.parametrize("what", ["a file", "a directory", "a link", "a fifo"])
def test_what_somebody_else_calls_so_stays(root: Path, tmp_path: Path, what: str) -> None:
    root.mkdir()
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / f"mine{MANIFEST}"
    if what == "a file":
        path.write_text('{"schema": 1, "kind": "archive", "and": "so on"}')
    elif what == "a directory":
        path.mkdir()
    elif what == "a link":
        path.symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").touch()
    else:
        os.mkfifo(path)
    swept(root, archive=tmp_path / "a")
    assert os.listdir(tmp_path / "a") == [path.name]
    assert list_shelf(tmp_path / "a", root) == []


def test_a_manifest_alone_that_is_locked_is_left_to_who_is_at_it(
    root: Path, tmp_path: Path
) -> None:
    root.mkdir()
    (tmp_path / "a").mkdir()
    reserved = tmp_path / "a" / f"debug__y{MANIFEST}"
    reserved.touch()
    with open(reserved) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        swept(root, archive=tmp_path / "a")
        assert reserved.exists()
    swept(root, archive=tmp_path / "a")
    assert not reserved.exists()


def test_what_a_killed_process_was_packing_is_gone_after_the_next_sweep_and_not_while_it_runs(
    root: Path, tmp_path: Path
) -> None:
    root.mkdir()
    (tmp_path / "a").mkdir()
    with contextlib.closing(HoldingArea(tmp_path / "a", batch=True)) as area:
        part = Path(area.place)
        assert area.open() is not None
        make_entry(part, "data")
        swept(root, archive=tmp_path / "a")
        assert listing(part) == ["data", "data/file0.txt"]
    report = swept(root, archive=tmp_path / "a")
    assert not part.exists()
    assert (report.finished, report.freed_bytes > 0) == (1, True)


def test_what_is_called_as_a_half_made_copy_of_an_older_version_stays_and_is_listed(
    root: Path, tmp_path: Path
) -> None:
    """The name alone says nothing: a download of somebody else's may be called so."""
    root.mkdir()
    part = make_entry(tmp_path, "a/.0123456789abcdef.part")
    assert swept(root, archive=tmp_path / "a").problems == ()
    assert listing(part) == ["file0.txt"]
    (found,) = list_shelf(tmp_path / "a", root)
    assert (found.name, found.problem) == (
        part.name, "an older version may have left it half-made",
    )  # fmt: skip


def test_what_was_claimed_on_a_full_disk_is_no_archive(root: Path, tmp_path: Path) -> None:
    make_entry(tmp_path, "a/.tempkeep-held-0123456789abcdef")
    make_entry(tmp_path, "a/debug__old_1696348800")
    assert [found.name for found in list_shelf(tmp_path / "a", root)] == ["debug__old_1696348800"]


def test_a_store_behind_a_link_in_the_archive_is_a_problem_and_the_sweep_goes_on(
    root: Path, tmp_path: Path
) -> None:
    make_entry(root, "debug/x")
    canary = make_entry(tmp_path, "canary/holding")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".tempkeep").symlink_to(canary.parent)
    report = swept(root, archive=tmp_path / "a")
    assert outcomes(report) == {"debug/x": ("done", "")}
    assert [problem.path for problem in report.problems] == [str(tmp_path / "a")]
    assert listing(canary) == ["file0.txt"]


def test_without_flock_a_name_is_taken_all_the_same(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    make_entry(root, "debug/x")
    assert archiving(root, tmp_path / "archive")["debug/x"][0] == "done"
    (tmp_path / "archive" / f"y{MANIFEST}").touch()
    forget_stale(tmp_path / "archive")
    assert (tmp_path / "archive" / f"y{MANIFEST}").exists(), "nobody can tell whose it is"


# -- deleting what was archived -------------------------------------------------------------------


@pytest.fixture
def three(root: Path, tmp_path: Path) -> Path:
    """An archive with three things of one root, the oldest of them called `debug__a`."""
    archive = tmp_path / "archive"
    for name, form in (("a", "dir"), ("b", "tar.gz"), ("c", "dir")):
        path = make_entry(root, f"debug/{name}")
        (path / "noise").write_bytes(os.urandom(100_000))
        assert archiving(root, archive, archive_format=form)[f"debug/{name}"][0] == "done"
    return archive


def test_what_was_archived_from_a_root_can_be_dropped_for_it_and_nothing_else(
    root: Path, three: Path, tmp_path: Path
) -> None:
    make_entry(three, "debug__old_1696348800")
    (three / "notes.txt").write_text("mine")
    make_entry(tmp_path / "other" / ".tmp", "debug/x")
    archiving(tmp_path / "other" / ".tmp", three)
    found = LocalArchive(three).droppable(root)
    assert [one.path for one in found] == ["debug__a", "debug__b.tar.gz", "debug__c"]
    assert all(one.size >= 100_000 for one in found)
    assert [one.changed for one in found] == sorted(one.changed for one in found)
    assert [one.path for one in LocalArchive(three).droppable(tmp_path / "other" / ".tmp")] == [
        "debug__x"
    ]


def test_runs_that_an_older_script_archived_are_dropped_oldest_first(tmp_path: Path) -> None:
    base, archive = tmp_path / "base", tmp_path / "base" / "archived_pipeline_runs"
    bare = [f"pipeline_artifacts_2025010{day}_000000" for day in (3, 1, 2)]
    for name in bare[:2]:
        make_entry(archive, name)
    (archive / f"{bare[2]}.tar.gz").write_bytes(b"x" * 5000)
    (archive / "pipeline_artifacts_20241231_000000").symlink_to(base)
    make_entry(archive, "pipeline_artifacts_notes")
    (archive / "pipeline_artifacts_20241231_000000.md").write_text("mine")
    assert [one.path for one in LocalArchive(archive).droppable(base)] == [
        bare[1],
        f"{bare[2]}.tar.gz",
        bare[0],
    ]
    assert [one.kind for one in LocalArchive(archive).droppable(base)] == [
        "directory",
        "file",
        "directory",
    ]
    assert LocalArchive(archive).droppable(base, proven=True) == []

    for command in (["init", "-q"], ["add", "-f", str(archive / bare[0])]):
        run(["git", *command], cwd=base)
    assert [one.path for one in LocalArchive(archive).droppable(base)] == [
        bare[1],
        f"{bare[2]}.tar.gz",
    ]
    make_root(str(tmp_path / ".tmp"))
    assert LocalArchive(archive).droppable(tmp_path / ".tmp") == [], "that holds no runs"
    make_root(str(archive), PIPELINE)
    assert LocalArchive(archive).droppable(base) == [], (
        "these are runs, and nobody has archived them"
    )


def test_on_another_filesystem_only_what_is_over_a_limit_goes(root: Path, tmp_path: Path) -> None:
    make_entry(root, "debug/x")
    low, now = Policy(min_free_space=2**60), time.time()
    with mounted(tmp_path / "m", "size=1m") as archive:
        archiving(root, archive)
        assert stored(archive) == ["debug__x"]
        assert prepare(root, low, now, archive=LocalArchive(archive)).archives == ()
        plan = prepare(root, low, now, archive=LocalArchive(archive, ArchiveLimits(keep=0)))
        (step,) = plan.archives
        assert (step.entry.path, step.disposal) == ("debug__x", "drop")
        assert plan.free is not None
        shortfall = plan.shortfall()
        assert shortfall is not None
        assert shortfall.reached == plan.free, "that is no room here"
        assert [one.status for one in execute(plan, archive=LocalArchive(archive)).dropped] == [
            "done"
        ]
        assert stored(archive) == []


def test_what_is_over_a_limit_goes_and_what_is_pinned_or_of_another_root_stays(
    root: Path, three: Path
) -> None:
    write_pin(three, "debug__a", "why")
    other, now = LocalArchive(three, ArchiveLimits(keep=0)), time.time()
    assert prepare(root.parent / "other" / ".tmp", Policy(), now, archive=other).archives == ()
    before = stored(three)
    plan = prepare(root, Policy(), now, archive=LocalArchive(three, ArchiveLimits(max_size=1)))
    assert [step.entry.path for step in plan.archives] == ["debug__b.tar.gz", "debug__c"]
    assert {step.reason.rule for step in plan.archives} == {"archive over size"}
    assert stored(three) == before
    execute(plan, archive=LocalArchive(three))
    assert stored(three) == ["debug__a"]


def test_a_pinned_archive_is_known_to_be_pinned(root: Path, three: Path) -> None:
    write_pin(three, "debug__a", "why")
    write_pin(three, "debug__b.tar.gz", "also")
    assert [one.pin for one in LocalArchive(three).droppable(root)] == ["why", "also", None]


def test_dropping_takes_the_manifest_along(root: Path, three: Path) -> None:
    first = list_shelf(three, root)[0]
    removed = drop(three, first)
    assert removed.freed_bytes >= 100_000
    assert [found.name for found in list_shelf(three, root)] == ["debug__b", "debug__c"]
    assert not (three / f"debug__a{MANIFEST}").exists()
    with pytest.raises(NotClaimed, match="is gone already"):
        drop(three, first)


def test_what_somebody_has_locked_in_the_archive_is_not_dropped(root: Path, three: Path) -> None:
    for archived in list_shelf(three, root):
        lock = os.open(three / archived.data, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(NotClaimed, match="in use"):
            drop(three, archived)
        os.close(lock)
    assert len(stored(three)) == 3


def test_what_cannot_be_deleted_from_the_archive_keeps_its_manifest(
    root: Path, three: Path
) -> None:
    first = list_shelf(three, root)[0]
    if run(["chattr", "+i", str(three / first.data / "noise")], cwd=three).returncode:
        pytest.skip("cannot make a file immutable here")
    try:
        assert drop(three, first).failures == [("noise", IMMUTABLE)]
        assert list_shelf(three, root)[0].name == first.name
        assert listing(three / first.data) == ["noise"]
    finally:
        run(["chattr", "-i", str(three / first.data / "noise")], cwd=three)


def test_something_else_in_its_place_is_not_dropped(root: Path, three: Path) -> None:
    first = list_shelf(three, root)[0]
    (three / first.data).rename(three / "aside")
    make_entry(three, first.data)
    with pytest.raises(NotClaimed, match="no longer the one"):
        drop(three, first)
    assert listing(three / first.data) == ["file0.txt"]
