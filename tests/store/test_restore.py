"""Restoring: what was archived, verified, never over anything; or it stays in the archive."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gzip
import io
import json
import os
import shutil
import stat
import struct
import tarfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layouts import FILES, JOBS, PIPELINE, STORE, Layout
from common.temp.errors import InvalidSettings, Refused, StorageError, TempError
from common.temp.store.archive import restore, transfer
from common.temp.store.archive.local import LocalArchive
from common.temp.store.archive.restore import find_archived, finish_killed
from common.temp.store.root.making import make_root
from common.temp.store.shelf import putting
from common.temp.store.shelf.belongs import Place, place_of
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.shelf.manifest import MANIFEST
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import archive_formats, renaming
from common.temp.store.system.archive_formats import ArchiveFormat
from tests.store.trees import rich, seen
from tests.support import (
    EVERYTHING,
    immutable,
    in_holding,
    listing,
    make_entry,
    mounted,
    outcomes,
    process,
    run,
    scanned,
    stored,
    swept,
)

FORMATS = pytest.mark.parametrize("form", archive_formats.FORMATS)


def archived(
    root: Path,
    archive: Path,
    form: ArchiveFormat = "dir",
    name: str = "debug/x",
    fill: Callable[[Path], Path] = lambda path: path,
) -> str:
    """Archive an entry; the digest of what it held."""
    path = fill(make_entry(root, name, files=3))
    path.chmod(0o750)
    before = seen(path)
    said = outcomes(swept(root, disposal="archive", archive=archive, archive_format=form))
    assert said[name][0] == "done", said
    return before


def noisy(path: Path) -> Path:
    (path / "noise").write_bytes(os.urandom(20_000))
    return path


def back(root: Path, archive: Path, name: str = "debug__x") -> Path:
    """Restore what is called `name`; where it is now."""
    _, found = find_archived([LocalArchive(archive)], name, root.parent)
    place = place_of(found, root.parent)
    restore.restore(LocalArchive(archive), found, place)
    return place.full


def untouched(root: Path, archive: Path) -> bool:
    """Whether nothing of it is in the root, and all in the archive."""
    return (
        not (root / "debug" / "x").exists()
        and in_holding(root) == []
        and [found.name for found in list_shelf(archive, root)] == ["debug__x"]
    )


# -- putting back ---------------------------------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("across", [True, False])
def test_what_is_restored_is_what_was_archived_and_the_archive_is_empty(
    root: Path, tmp_path: Path, form: ArchiveFormat, across: bool
) -> None:
    with (
        mounted(tmp_path / "m", "size=16m")
        if across
        else contextlib.nullcontext(tmp_path / "archive") as archive
    ):
        before = archived(root, archive, form, fill=rich)
        path = back(root, archive)
        assert path == root / "debug" / "x"
        assert seen(path) == before
        assert stat.S_IMODE(path.stat().st_mode) == 0o750
        assert (path / "sparse").stat().st_blocks * 512 < 1_000_000
        assert (stored(archive), in_holding(root)) == ([], [])
        assert not list(archive.glob(f"*{MANIFEST}"))


@FORMATS
def test_it_counts_as_new_so_that_the_next_clean_leaves_it(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    make_entry(root, "debug/x", age_hours=100)
    aged = EVERYTHING._replace(everything=False, max_age=3600.0)
    swept(root, aged, disposal="archive", archive=tmp_path / "a", archive_format=form)
    path = back(root, tmp_path / "a")
    assert prepare(root, aged, time.time()).steps == ()
    assert time.time() - (path / "file0.txt").stat().st_mtime > 99 * 3600


@FORMATS
@pytest.mark.parametrize("kind", ["file", "link"])
def test_files_and_links_come_back_as_what_they_are(
    root: Path, tmp_path: Path, form: ArchiveFormat, kind: str
) -> None:
    root.mkdir()
    canary = make_entry(tmp_path, "canary")
    changed = canary.stat().st_mtime_ns
    if kind == "file":
        (root / "it").write_text("content")
        (root / "it").chmod(0o640)
    else:
        (root / "it").symlink_to(canary)
    swept(root, disposal="archive", archive=tmp_path / "a", archive_format=form)
    assert not os.path.lexists(root / "it")
    path = back(root, tmp_path / "a", "it")
    if kind == "file":
        assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("content", 0o640)
    else:
        assert path.readlink() == canary
    assert (listing(canary), canary.stat().st_mtime_ns) == (["file0.txt"], changed)


@pytest.mark.parametrize(
    ("layout", "name"),
    [(JOBS, "job-7"), (FILES, "some file"), (PIPELINE, "pipeline_artifacts_20250102_030405")],
)
@FORMATS
def test_an_entry_of_another_layout_goes_back_to_its_own_root(
    project: Path, tmp_path: Path, layout: Layout, name: str, form: ArchiveFormat
) -> None:
    root = project / "var" / layout.name
    make_root(str(root), layout)
    if layout is FILES:
        (root / name).write_text("content")
    else:
        make_entry(root, name)
    plan = prepare(root, EVERYTHING, time.time(), layout=layout, disposal="archive")
    execute(plan, archive=LocalArchive(tmp_path / "a"), archive_format=form)
    assert sorted(os.listdir(root)) == [".tempkeep"]
    _, found = find_archived([LocalArchive(tmp_path / "a")], name, project)
    assert place_of(found, project) == Place(root, name, layout)
    restore.restore(LocalArchive(tmp_path / "a"), found, Place(root, name, layout))
    assert sorted(os.listdir(root)) == [".tempkeep", name]


def test_a_root_and_a_category_that_are_gone_are_made_again(root: Path, tmp_path: Path) -> None:
    archived(root, tmp_path / "a", name="own/x_1696348800")
    shutil.rmtree(root)
    back(root, tmp_path / "a", "own__x_1696348800")
    assert (root / "CACHEDIR.TAG").exists()
    assert set(scanned(root)) == {"own/x_1696348800"}


def test_what_was_moved_into_the_archive_can_be_copied_back_from_another_disk(
    root: Path, tmp_path: Path
) -> None:
    before = archived(root, tmp_path / "a", fill=rich)
    with mounted(tmp_path / "m", "size=16m") as archive:
        shutil.copytree(
            tmp_path / "a", archive, symlinks=True, dirs_exist_ok=True, copy_function=_copied
        )
        with pytest.raises(Refused, match="no longer what was archived"):
            back(root, archive)  # a copy by other means has lost the hard links
        assert untouched(root, archive)
        shutil.rmtree(archive / "debug__x")
        done = run(["cp", "-a", str(tmp_path / "a" / "debug__x"), str(archive)], cwd=tmp_path)
        assert done.returncode == 0
        assert seen(back(root, archive)) == before
        assert stored(archive) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nobody tells who works where")
def test_what_is_on_another_disk_stays_there_while_a_process_works_in_it(
    root: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "m", "size=16m") as archive:
        before = archived(root, archive, fill=rich)
        with process("print(1, flush=True); input()", cwd=archive / "debug__x"):
            with pytest.raises(Refused, match="debug__x is in use"):
                back(root, archive)
            assert untouched(root, archive)
        assert seen(back(root, archive)) == before


@pytest.mark.parametrize("is_old", [False, True])
def test_what_is_written_in_the_archive_after_it_was_copied_back_is_not_lost(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    """Also if it brings an old time along, as `cp -p` has it."""
    with mounted(tmp_path / "m", "size=16m") as archive:
        archived(root, archive, fill=rich)
        made = archive / "debug__x" / "new"
        if is_old:
            made = next(path for path in (archive / "debug__x").rglob("*") if path.is_file())
        real = putting.put

        def put(*arguments: Any) -> None:
            real(*arguments)
            made.write_text("a new chapter")
            if is_old:
                os.utime(made, (0, 0))

        monkeypatch.setattr(putting, "put", put)
        with pytest.raises(StorageError, match="stays in the archive: it has changed"):
            back(root, archive)
        finish_killed(LocalArchive(archive), root)
        assert made.read_text() == "a new chapter"
        assert (root / "debug" / "x").is_dir()
        assert in_holding(root) == []


def _copied(source: str, target: str, **_: Any) -> str:
    if stat.S_ISFIFO(os.lstat(source).st_mode):
        os.mkfifo(target)
        return target
    return str(shutil.copy2(source, target, follow_symlinks=False))


@pytest.mark.parametrize("across", [True, False])
def test_what_an_older_version_archived_goes_where_its_name_says(
    root: Path, tmp_path: Path, across: bool
) -> None:
    with (
        mounted(tmp_path / "m", "size=1m")
        if across
        else contextlib.nullcontext(tmp_path / "archive") as archive
    ):
        make_entry(archive, "debug__old__1_1696348800")
        make_entry(archive, "flat_1696348800", files=2)
        assert back(root, archive, "debug__old__1_1696348800") == (
            root / "debug" / "old__1_1696348800"
        )
        assert listing(back(root, archive, "flat_1696348800")) == ["file0.txt", "file1.txt"]
        assert set(scanned(root)) == {"debug/old__1_1696348800", "flat_1696348800"}
        assert (stored(archive), in_holding(root)) == ([], [])


# -- names ----------------------------------------------------------------------------------------


def test_it_is_called_by_its_name_its_file_or_the_path_that_it_had(
    root: Path, tmp_path: Path
) -> None:
    archived(root, tmp_path / "a", "tar.gz")
    for name in ("debug__x", "debug__x.tar.gz", "debug/x", "x"):
        _, found = find_archived([LocalArchive(tmp_path / "a")], name, root.parent)
        assert found.name == "debug__x", name


def test_a_name_that_is_not_there_or_could_be_several_is_refused_with_what_to_do(
    root: Path, tmp_path: Path
) -> None:
    archived(root, tmp_path / "a")
    archived(root, tmp_path / "a")
    archived(root, tmp_path / "a", name="cache/x")
    with pytest.raises(InvalidSettings, match=r"y is not in .*; run `temp-restore --list`"):
        find_archived([LocalArchive(tmp_path / "a")], "y", root.parent)
    with pytest.raises(InvalidSettings, match=r"x could be debug__x or debug__x.2 or cache__x; "):
        find_archived([LocalArchive(tmp_path / "a")], "x", root.parent)
    _, found = find_archived([LocalArchive(tmp_path / "a")], "debug__x.2", root.parent)
    assert found.name == "debug__x.2"


def test_a_label_is_the_newest_that_has_it_in_one_category(root: Path, tmp_path: Path) -> None:
    for stamp in (1696348800, 1696348900, 1696348700):
        archived(root, tmp_path / "a", name=f"cache/thumbs_{stamp}")
    archived(root, tmp_path / "a", name="debug/same_1696348800")
    archived(root, tmp_path / "a", name="debug/same_1696348800-ab12")

    def found(name: str) -> str:
        return find_archived([LocalArchive(tmp_path / "a")], name, root.parent)[1].name

    assert found("thumbs") == found("cache/thumbs") == "cache__thumbs_1696348900"
    with pytest.raises(
        InvalidSettings, match=r"same could be debug__same_1696348800 or debug__sam"
    ):
        found("same")
    archived(root, tmp_path / "a", name="debug/thumbs_1696349999")
    with pytest.raises(InvalidSettings, match=r"^thumbs could be .*; give one of these names$"):
        found("thumbs")
    assert found("cache/thumbs") == "cache__thumbs_1696348900"


# -- what is in the way ---------------------------------------------------------------------------


IN_THE_WAY: tuple[Callable[[Path], object], ...] = (
    lambda path: make_entry(path.parent, path.name),
    lambda path: path.write_text("mine"),
    lambda path: path.symlink_to("nowhere"),
    Path.mkdir,
)


@FORMATS
def test_nothing_is_ever_put_over_what_is_there(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    archived(root, tmp_path / "a", form)
    path = root / "debug" / "x"
    for number, make in enumerate(IN_THE_WAY):
        make(path)
        before = path.lstat()
        with pytest.raises(Refused, match=r"/debug/x is there already; move it away first"):
            back(root, tmp_path / "a")
        assert path.lstat() == before
        assert [found.name for found in list_shelf(tmp_path / "a", root)] == ["debug__x"]
        assert in_holding(root) == []
        path.rename(tmp_path / f"was there {number}")


@FORMATS
@pytest.mark.parametrize("way", ["in one step", "as elsewhere"])
def test_nothing_is_put_over_what_comes_at_the_last_moment(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: ArchiveFormat,
    way: str,
) -> None:
    archived(root, tmp_path / "a", form)
    real = putting._directory

    @contextlib.contextmanager
    def directory(place: Place) -> Iterator[int]:
        with real(place) as opened:
            place.full.mkdir()  # somebody allocates it now
            yield opened

    monkeypatch.setattr(putting, "_directory", directory)
    if way == "as elsewhere":
        monkeypatch.setattr(renaming, "_rename_noreplace", lambda *_: 38)
    with pytest.raises(Refused, match="is there already"):
        back(root, tmp_path / "a")
    assert os.listdir(root / "debug" / "x") == []
    assert [found.name for found in list_shelf(tmp_path / "a", root)] == ["debug__x"]
    assert in_holding(root) == []


def test_what_somebody_else_is_at_is_left_to_them(root: Path, tmp_path: Path) -> None:
    archived(root, tmp_path / "a", "tar.gz")
    with open(tmp_path / "a" / "debug__x.tar.gz") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(Refused, match="debug__x is in use: a process holds a lock"):
            back(root, tmp_path / "a")
    assert untouched(root, tmp_path / "a")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives owners")
@pytest.mark.parametrize("user", [0, 1000])
def test_what_another_user_packed_is_restored_as_theirs(
    root: Path, tmp_path: Path, user: int
) -> None:
    """Else root would make a file of root's, which may run as root, of what they say."""
    path = make_entry(root, "debug/x")
    (path / "file0.txt").chmod(0o4755)
    swept(root, disposal="archive", archive=tmp_path / "a", archive_format="tar.gz")
    os.chown(tmp_path / "a" / "debug__x.tar.gz", user, user)
    found = back(root, tmp_path / "a")
    status = (found / "file0.txt").stat()
    assert (status.st_uid, status.st_gid) == (user, user)


def as_another(theirs: Path, check: Callable[[], object]) -> None:
    """Call `check` in a child that is user 1000 in the group 1600, but may go everywhere; `theirs`
    belongs to this user.
    """
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can be another user")
    run(["chown", "-R", "1000:1000", str(theirs)], cwd=theirs)
    if not (child := os.fork()):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(28, 4, 0, 0, 0)  # capabilities stay when the user changes
        os.setgroups([1600])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        through = (ctypes.c_uint32 * 6)(0b110, 0b110)
        try:
            assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), through) == 0
            check()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_would_run_as_who_restores_it_stays_in_the_archive_of_another_user(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "debug/x")
    (path / "file0.txt").chmod(0o4755)
    swept(root, disposal="archive", archive=tmp_path / "a", archive_format="tar.gz")
    os.chown(tmp_path / "a" / "debug__x.tar.gz", 1001, 1001)

    def check() -> None:
        with pytest.raises(Refused, match=r"file0\.txt would run as another user"):
            back(root, tmp_path / "a")
        assert untouched(root, tmp_path / "a")

    as_another(root.parent, check)


@FORMATS
def test_it_has_its_groups_and_no_access_lists_of_where_it_comes(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    of_others = ((1, 7, -1), (2, 7, 1234), (4, 5, -1), (16, 7, -1), (32, 5, -1))
    access = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *one) for one in of_others)
    path, file = make_entry(root, "debug/x"), root / "debug" / "f"
    file.write_text("1")
    make_root(str(root))

    def check() -> None:
        os.chown(path / "file0.txt", -1, 1600)
        before = seen(path), seen(file)
        swept(root, disposal="archive", archive=archive, archive_format=form)
        assert (seen(back(root, archive)), seen(back(root, archive, "debug__f"))) == before
        assert (path / "file0.txt").stat().st_gid == 1600

    with mounted(tmp_path / "m", "size=16m,mode=777") as archive:
        for where in (root, root / STORE, archive):
            os.setxattr(where, "system.posix_acl_default", access)
        as_another(root, check)


def test_a_fifo_in_the_place_of_an_archive_is_refused_and_not_waited_for(
    root: Path, tmp_path: Path
) -> None:
    archived(root, tmp_path / "a", "tar.gz")
    (tmp_path / "a" / "debug__x.tar.gz").unlink()
    os.mkfifo(tmp_path / "a" / "debug__x.tar.gz")
    with pytest.raises(Refused, match="debug__x is not restored: it is not a file"):
        back(root, tmp_path / "a")


def test_what_cannot_be_deleted_of_something_else_hinders_no_restoring(
    root: Path, tmp_path: Path
) -> None:
    archived(root, tmp_path / "a")
    stuck = make_entry(root, ".tempkeep/holding/0123456789abcdef")
    with immutable(stuck / "file0.txt"):
        finish_killed(LocalArchive(tmp_path / "a"), root)
        assert back(root, tmp_path / "a").is_dir()


def test_a_root_that_holds_other_entries_by_now_is_refused(project: Path, tmp_path: Path) -> None:
    root = project / "var"
    make_root(str(root), JOBS)
    make_entry(root, "job")
    plan = prepare(root, EVERYTHING, time.time(), layout=JOBS, disposal="archive")
    execute(plan, archive=LocalArchive(tmp_path / "a"))
    (root / ".tempkeep" / "layout").write_text("files\n")
    with pytest.raises(TempError, match="holds files, not jobs"):
        back(root, tmp_path / "a", "job")
    assert stored(tmp_path / "a") == ["job"]


def test_a_full_disk_leaves_it_in_the_archive(tmp_path: Path) -> None:
    with mounted(tmp_path / "m", "size=1m") as disk:
        root = disk / "project" / ".tmp"
        root.parent.mkdir()
        path = make_entry(root, "debug/x")
        (path / "noise").write_bytes(os.urandom(400_000))
        swept(root, disposal="archive", archive=tmp_path / "a", archive_format="tar.gz")
        (disk / "filler").write_bytes(b"x" * 800_000)
        with pytest.raises(StorageError, match="cannot restore debug__x: No space left"):
            back(root, tmp_path / "a")
        assert untouched(root, tmp_path / "a")


# -- what is not what was archived ----------------------------------------------------------------


@pytest.mark.parametrize("what", ["content", "time", "mode", "name", "gone", "more", "link"])
def test_a_directory_that_was_changed_in_the_archive_stays_there(
    root: Path, tmp_path: Path, what: str
) -> None:
    archived(root, tmp_path / "a")
    path = tmp_path / "a" / "debug__x"
    if what == "content":
        (path / "file1.txt").write_text("y" * 100)
    elif what == "time":
        os.utime(path / "file1.txt", ns=(1, 1))
    elif what == "mode":
        (path / "file1.txt").chmod(0o777)
    elif what == "name":
        (path / "file1.txt").rename(path / "file9.txt")
    elif what == "gone":
        (path / "file1.txt").unlink()
    elif what == "more":
        (path / "more").touch()
    else:
        (path / "file1.txt").unlink()
        (path / "file1.txt").symlink_to("file0.txt")
    with pytest.raises(
        Refused, match=r"debug__x is not restored: it is no longer what was archived"
    ):
        back(root, tmp_path / "a")
    assert untouched(root, tmp_path / "a")


def test_one_flipped_bit_of_a_copy_is_found(root: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "m", "size=16m") as archive:
        archived(root, archive, fill=rich)
        path = archive / "debug__x" / "deep" / "er" / "data"
        told = path.stat()
        with open(path, "r+b") as file:
            file.seek(100_000)
            byte = file.read(1)
            file.seek(100_000)
            file.write(bytes([byte[0] ^ 1]))
        os.utime(path, ns=(told.st_mtime_ns, told.st_mtime_ns))
        with pytest.raises(Refused, match="as many files and bytes, but not the same"):
            back(root, archive)
        assert untouched(root, archive)


@pytest.mark.parametrize("form", [form for form in archive_formats.FORMATS if form != "dir"])
def test_an_archive_that_is_damaged_anywhere_is_refused(
    root: Path, tmp_path: Path, form: ArchiveFormat
) -> None:
    archived(root, tmp_path / "a", form, fill=noisy)
    path = tmp_path / "a" / f"debug__x.{form}"
    whole = path.read_bytes()
    for place in (10, len(whole) // 2, int(0.999 * len(whole))):
        flipped = bytes([whole[place] ^ 0x55])
        for data in (whole[:place], whole[:place] + flipped + whole[place + 1 :]):
            path.write_bytes(data)
            with pytest.raises((Refused, StorageError), match="debug__x"):
                back(root, tmp_path / "a")
            assert untouched(root, tmp_path / "a"), (place, len(data))


@pytest.mark.parametrize("text", ["", "{}"])
@FORMATS
def test_without_a_manifest_that_can_be_read_nothing_is_put_back(
    root: Path, tmp_path: Path, form: ArchiveFormat, text: str
) -> None:
    archived(root, tmp_path / "a", form)
    (tmp_path / "a" / f"debug__x{MANIFEST}").write_text(text)
    with pytest.raises(Refused, match=r"debug__x: its manifest is damaged; look at it, and"):
        back(root, tmp_path / "a")
    assert untouched(root, tmp_path / "a")


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.zst"])
def test_a_tar_archive_without_a_manifest_is_not_ours_to_unpack(
    root: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_bytes(b"whatever")
    path = back(root, tmp_path / "a", name)
    assert path.read_bytes() == b"whatever", "a file as any other, and put back as one"


# -- hostile archives -----------------------------------------------------------------------------


def planted(archive: Path, *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> None:
    """Replace what is in `debug__x.tar.gz` by `members`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (archive / "debug__x.tar.gz").write_bytes(gzip.compress(buffer.getvalue()))


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o755
    return info


TOP = member("x", tarfile.DIRTYPE)
EVIL = b"evil"

HOSTILE: dict[str, Callable[[Path], list[Any]]] = {
    "..": lambda _: [TOP, (member("x/../../../evil"), EVIL)],
    "only ..": lambda _: [TOP, (member("../evil"), EVIL)],
    "absolute": lambda outside: [TOP, (member(f"{outside}/evil"), EVIL)],
    "another top": lambda _: [TOP, (member("evil"), EVIL)],
    "first ..": lambda _: [member("..", tarfile.DIRTYPE), (member("../evil"), EVIL)],
    "dot": lambda _: [member(".", tarfile.DIRTYPE), (member("./evil"), EVIL)],
    "through a link": lambda outside: [
        TOP,
        member("x/link", tarfile.SYMTYPE, str(outside)),
        (member("x/link/evil"), EVIL),
    ],
    "over a link": lambda outside: [
        TOP,
        member("x/link", tarfile.SYMTYPE, f"{outside}/canary"),
        (member("x/link"), EVIL),
    ],
    "a link over a directory": lambda outside: [
        TOP,
        member("x/d", tarfile.DIRTYPE),
        member("x/d", tarfile.SYMTYPE, str(outside)),
        (member("x/d/evil"), EVIL),
    ],
    "the top is a link": lambda outside: [
        member("x", tarfile.SYMTYPE, str(outside)),
        (member("x/evil"), EVIL),
    ],
    "a hard link out": lambda outside: [
        TOP,
        member("x/h", tarfile.LNKTYPE, f"{outside}/canary"),
    ],
    "a hard link with ..": lambda _: [TOP, member("x/h", tarfile.LNKTYPE, "x/../../../canary")],
    "a hard link through a link": lambda outside: [
        TOP,
        member("x/link", tarfile.SYMTYPE, str(outside)),
        member("x/h", tarfile.LNKTYPE, "x/link/canary"),
    ],
    "a hard link to nothing": lambda _: [TOP, member("x/h", tarfile.LNKTYPE, "x/nothing")],
    "a device": lambda _: [TOP, member("x/null", tarfile.CHRTYPE)],
    "a disk": lambda _: [TOP, member("x/sda", tarfile.BLKTYPE)],
    "an unknown kind": lambda _: [TOP, member("x/odd", b"Q")],
    "no top": lambda _: [(member("x/file"), EVIL)],
    "a file as top": lambda _: [(member("x"), EVIL), (member("x/file"), EVIL)],
    "a directory twice": lambda _: [TOP, TOP],
    "a file twice": lambda _: [TOP, (member("x/f"), EVIL), (member("x/f"), EVIL)],
    "an empty part": lambda _: [TOP, (member("x//f"), EVIL)],
    "nothing": lambda _: [],
    "other content": lambda _: [TOP, (member("x/file0.txt"), EVIL)],
}


def test_a_hostile_archive_writes_nothing_outside_and_is_not_restored(
    root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_text("whole")
    (outside / "canary").chmod(0o640)
    archive = root.parent / ".tmp-archive"
    make_entry(root, "debug/x")
    swept(root, disposal="archive", archive=archive, archive_format="tar.gz")
    make_root(str(root))
    before = [*listing(root.parent), *listing(outside)]
    told = (outside / "canary").stat()
    for what, made in HOSTILE.items():
        planted(archive, *made(outside))
        with pytest.raises((Refused, StorageError), match="debug__x"):
            back(root, archive)
        assert [*listing(root.parent), *listing(outside)] == before, what
        assert (outside / "canary").stat() == told, what
        evil = [path for path in tmp_path.rglob("evil*") if "system-temp" not in path.parts]
        assert evil == [], what
        assert untouched(root, archive), what


def test_a_hostile_manifest_is_refused_before_anything_is_touched(
    root: Path, tmp_path: Path
) -> None:
    archive = root.parent / ".tmp-archive"
    (root.parent / "src").mkdir()
    archived(root, archive)
    file = archive / f"debug__x{MANIFEST}"
    whole, before = json.loads(file.read_text()), listing(tmp_path)
    for key, value in (
        ("path", "../../evil"), ("path", "/etc/cron.d/x"), ("path", "debug/../../x"), ("path", ""),
        ("path", "a/b/c"), ("path", "debug/.."), ("path", "."), ("path", ".tempkeep/pins"),
        ("path", ".gitignore"), ("path", "debug/a\0b"), ("path", "debug//x"),
        ("path", "debug/.tempkeep-category"), ("path", ".tempkeep-held-0"),
        ("root", "/etc"), ("root", "../src"), ("root", "../../.."), ("layout", "unknown"),
    ):  # fmt: skip
        file.write_text(json.dumps({**whole, key: value}))
        with pytest.raises(Refused, match="debug__x"):
            back(root, archive)
        assert listing(tmp_path) == before, (key, value)


def test_a_category_that_is_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    archived(root, tmp_path / "a")
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(root / "debug")
    (root / "debug").symlink_to(outside)
    with pytest.raises(Refused, match=r"/debug is a symlink, and nothing is made behind one"):
        back(root, tmp_path / "a")
    assert os.listdir(outside) == []
    assert [found.name for found in list_shelf(tmp_path / "a", root)] == ["debug__x"]


# -- killed ---------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, str], None]:
    """Have a Ctrl-C come before or after a step of a restoring."""

    def at_step(owner: Any, step: str, when: str) -> None:
        real = getattr(owner, step)

        def interrupting(*arguments: Any, **named: Any) -> Any:
            if when == "after":
                real(*arguments, **named)
            raise KeyboardInterrupt

        monkeypatch.setattr(owner, step, interrupting)

    return at_step


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["write", "begin", "rename_new", "_renew", "drop", "end"])
@pytest.mark.parametrize("form", ["dir", "tar.gz"])  # all that are packed go the same way
def test_a_ctrl_c_at_any_step_leaves_it_whole_in_one_place(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted: Callable[[Any, str, str], None],
    form: ArchiveFormat,
    step: str,
    when: str,
) -> None:
    archive = tmp_path / "a"
    before = archived(root, archive, form)
    owner = next(one for one in (transfer, putting, LocalArchive, restore) if hasattr(one, step))
    interrupted(owner, step, when)
    with contextlib.suppress(KeyboardInterrupt):
        back(root, archive)
    monkeypatch.undo()
    finish_killed(LocalArchive(archive), root)
    path = root / "debug" / "x"
    is_back = path.exists() and seen(path) == before
    assert [is_back, untouched(root, archive)].count(True) == 1
    if not is_back:
        assert seen(back(root, archive)) == before
    assert (stored(archive), in_holding(root)) == ([], [])
