"""Files are written in their place, even if something else is swapped in meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

import pytest

from common.temp import TempFileContext, ThreadedFileCleanupManager
from common.temp.core.layouts import JOBS, PINS
from common.temp.errors import Refused, StorageError
from common.temp.store.archive import deposit, packing, tarring
from common.temp.store.archive import restore as restoring
from common.temp.store.archive.local import LocalArchive
from common.temp.store.project import output_file
from common.temp.store.project.project import check_way
from common.temp.store.root import history, leases, making, owner_file, pinning, records
from common.temp.store.root.leases import Leases
from common.temp.store.root.pinning import write_pin
from common.temp.store.shelf import putting as putting_back
from common.temp.store.shelf import reservation
from common.temp.store.shelf.belongs import Place, place_of
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.shelf.manifest import BEGINNING, MANIFEST
from common.temp.store.system import at, freedesktop
from common.temp.store.system.archive_formats import ArchiveFormat
from common.temp.store.system.renaming import rename_new
from common.temp.store.trees import writing
from common.temp.store.trees.contents import Digest
from tests.support import EVERYTHING, listing, make_entry, mounted, outcomes, swept

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


DEAD = '{"pid": 1, "started": 1, "command": "x", "host": "h"}\n+debug/gone\n'


def swap(directory: Path, target: Path) -> None:
    """Put a link to `target` in the place of `directory`, as who may write beside it can."""
    directory.rename(directory.with_name(f".{directory.name}"))
    directory.symlink_to(target)


def swap_batches(archive: Path, target: Path) -> None:
    for batch in (archive / ".tempkeep" / "holding").glob("batch-*"):
        swap(batch, target)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory outside, with a private file."""
    path = tmp_path / "victim"
    path.mkdir(mode=0o700)
    (path / "secret").write_text("mine")
    (path / "secret").chmod(0o600)
    return path


@pytest.mark.parametrize("form", ["dir", "tar.gz"])
def test_what_is_packed_is_not_written_behind_a_link_that_takes_the_place_of_the_area(
    root: Path, tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, form: ArchiveFormat
) -> None:
    make_entry(root, "debug/x", files=3)
    write, pack = writing.write, tarring.pack_by_system
    with mounted(tmp_path / "m", "size=16m") as archive:

        def written(*arguments: object) -> object:
            swap_batches(archive, victim)
            return write(*arguments)  # type: ignore[arg-type]

        def packed(*arguments: object, **more: object) -> None:
            swap_batches(archive, victim)
            pack(*arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(packing, "write", written)
        monkeypatch.setattr(tarring, "pack_by_system", packed)
        report = swept(root, EVERYTHING, disposal="archive", archive=archive, archive_format=form)
        assert outcomes(report)["debug/x"][0] == "done"
        assert listing(victim) == ["secret"]


def test_what_takes_the_place_of_what_was_archived_keeps_its_mode(
    root: Path, tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/x").chmod(0o777)
    with mounted(tmp_path / "m", "size=16m") as archive:

        def renamed(name: str, target: str, **where: int) -> None:
            rename_new(name, target, **where)
            if (archive / "debug__x").is_dir():
                swap(archive / "debug__x", victim / "secret")

        monkeypatch.setattr(deposit, "rename_new", renamed)
        swept(root, EVERYTHING, disposal="archive", archive=archive)
        assert (archive / ".debug__x").stat().st_mode & 0o777 == 0o777
    assert (victim / "secret").stat().st_mode & 0o777 == 0o600


def test_nothing_is_archived_behind_a_link_that_takes_the_place_of_the_archive(
    root: Path, tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/x")
    reserve = deposit.LocalDeposit._reserve

    def reserved(self: deposit.LocalDeposit, found: Digest, *, has_contents: bool) -> None:
        self._open_shelf()
        swap(tmp_path / "archive", victim)
        reserve(self, found, has_contents=has_contents)

    monkeypatch.setattr(deposit.LocalDeposit, "_reserve", reserved)
    swept(root, EVERYTHING, disposal="archive", archive=tmp_path / "archive")
    assert listing(victim) == ["secret"]
    assert (root / "debug" / "x").exists() or (tmp_path / ".archive" / "debug__x").exists()


@pytest.mark.parametrize("across", [True, False])
def test_what_takes_the_place_of_what_was_restored_keeps_its_mode(
    root: Path, tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, across: bool
) -> None:
    make_entry(root, "debug/x").chmod(0o777)
    with mounted(tmp_path / "m", "size=16m") as disk:
        archive = disk if across else tmp_path / "archive"
        swept(root, EVERYTHING, disposal="archive", archive=archive)
        (archived,) = list_shelf(archive, root)
        put = putting_back.put

        def putting(source: str, parent: int, place: Place) -> None:
            put(source, parent, place)
            swap(place.full, victim / "secret")

        monkeypatch.setattr(putting_back, "put", putting)
        place = place_of(archived, root.parent)
        restoring.restore(LocalArchive(archive), archived, place)
    assert (root / "debug" / ".x").stat().st_mode & 0o777 == 0o777
    assert (victim / "secret").stat().st_mode & 0o777 == 0o600


def test_a_category_that_becomes_a_link_leads_the_trash_nowhere(
    root: Path, tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/secret")
    real = freedesktop._home_trash

    def swapped(device: int) -> str:
        swap(root / "debug", victim)
        return real(device)

    monkeypatch.setattr(freedesktop, "_home_trash", swapped)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    swept(root, EVERYTHING, disposal="trash")
    assert listing(victim) == ["secret"]
    assert not (root / ".debug" / "secret").exists(), "it is the open directory that counts"


def test_a_root_that_cannot_be_made_is_undone_in_the_directory_that_was_made(
    root: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in making.TAGS:
        (victim / name).write_text("mine")

    def full(*_: object, **__: object) -> None:
        swap(root, victim)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(at, "mkdir", full)
    with pytest.raises(StorageError, match="No space left"):
        making.make_root(str(root))
    assert {*making.TAGS} <= {*listing(victim)}
    assert listing(root.with_name("..tmp")) == []


def test_the_store_of_jobs_is_made_in_the_directory_that_was_made(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, mkdir = tmp_path / "jobs", os.mkdir
    secret = victim / "secret"

    def made(name: str | Path, *arguments: int, **where: int) -> None:
        mkdir(name, *arguments, **where)
        for fresh in root.glob(".tempkeep-*"):
            if not root.joinpath(".away").exists():  # as who may write there can, at any moment
                fresh.rename(root / ".away")
                fresh.mkdir()
                (fresh / "layout").symlink_to(secret)

    monkeypatch.setattr(os, "mkdir", made)
    monkeypatch.setattr(at, "mkdir", made)
    with contextlib.suppress(StorageError):
        making.make_root(str(root), JOBS)
    assert secret.read_text() == "mine"
    assert root.joinpath(".away").exists()


@pytest.mark.parametrize(
    ("what", "swapped"),
    [
        ("pins", ".tempkeep/pins"), ("pins", ".tempkeep"), ("pins", ""),
        ("unpinned", ".tempkeep"), ("unpinned", ""),
        ("owners", ".tempkeep/owners"), ("owners", ".tempkeep"), ("owners", ""),
        ("struck", ".tempkeep"), ("struck", ""),
        ("manifest", ""),
        ("history", ".tempkeep"),
    ],
)  # fmt: skip
def test_a_part_of_a_store_that_becomes_a_link_leads_into_no_other_store(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, swapped: str
) -> None:
    other = tmp_path / "other" / ".tmp"
    for one in (root, other):
        make_entry(one, "debug/x")
        making.make_root(str(one))
        write_pin(one, "debug/x", "why")
        (one / ".tempkeep" / "owners" / "1-1-a").write_text(DEAD)
        (one / ".tempkeep" / "history.jsonl").write_text("x" * 99 + "\n")
        (one / f"lost{MANIFEST}").write_bytes(BEGINNING)
    module, name = {
        "pins": (records, "is_gone"),
        "unpinned": (pinning, "remove_record"),
        "owners": (leases, "is_gone"),
        "struck": (owner_file, "open_own"),
        "manifest": (reservation, "_unlink"),
        "history": (history, "_newer_half"),
    }[what]
    real, file = getattr(module, name), root / ".tempkeep" / "owners" / "1-1-a"
    status = file.stat()

    def meanwhile(*arguments: object, **more: object) -> object:
        if not (root / swapped).is_symlink():
            swap(root / swapped, other / swapped)
        return real(*arguments, **more)

    before = {path: path.read_bytes() for path in other.rglob("*") if path.is_file()}
    (root / "debug" / "x").rename(root / "gone")
    monkeypatch.setattr(module, name, meanwhile)
    if what == "pins":
        records.forget_gone(root, PINS, spare_unread=True)
    elif what == "unpinned":
        with contextlib.suppress(StorageError):
            pinning.remove_pin(root, "debug/x")
    elif what == "owners":
        known = Leases(root)
        known.refresh()
        known.forget_dead()
    elif what == "struck":
        swap(root / swapped, other / swapped)
        owner_file.strike(str(file), (status.st_dev, status.st_ino), "debug/x")
    elif what == "manifest":
        reservation.forget_stale(root)
    else:
        monkeypatch.setattr(history, "_MOST_BYTES", 50)
        history._append(root, b"{}\n")
    assert (root / swapped).is_symlink()
    assert {path: path.read_bytes() for path in other.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of somebody else's")
@pytest.mark.parametrize("target", ["victim", "../victim", "{root}/victim", "other/victim"])
def test_a_link_of_another_user_on_the_way_leads_no_deletion_elsewhere(
    tmp_path: Path, victim: Path, target: str
) -> None:
    where, way = tmp_path / "shared", tmp_path / "shared" / "way"
    where.mkdir()
    (where / "victim").symlink_to(victim)
    (tmp_path / "other").symlink_to(tmp_path)
    way.symlink_to(target.format(root=tmp_path))
    if target == "other/victim":
        (where / "other").symlink_to("../other")
    with ThreadedFileCleanupManager(tmp_path / "own") as manager:
        file = way / "secret"
        manager.track_file(file)
        for owner, stays in ((1000, True), (0, False)):
            os.lchown(way, owner, owner)
            with contextlib.suppress(FileNotFoundError), TempFileContext(file):
                pass
            assert (victim / "secret").exists() == stays, "a link of root's own is followed"
            (victim / "secret").write_text("mine")
            os.utime(victim / "secret", (0, 0))
            manager.cleanup_old_files()
            assert (victim / "secret").exists() == stays


def test_what_takes_the_place_of_the_directory_of_a_report_leads_it_nowhere(
    project: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "out").mkdir()

    def checked(path: Path) -> Path:
        real = check_way(path)
        swap(project / "out", victim)
        return real

    monkeypatch.setattr(output_file, "check_way", checked)
    with pytest.raises(StorageError, match="cannot write"):
        output_file.write_named(project / "out" / "secret", "a report")
    assert (victim / "secret").read_text() == "mine"


def test_in_shared_memory_a_report_is_written_as_anywhere_else(
    victim: Path,
) -> None:
    if os.geteuid() or not os.path.isdir("/dev/shm"):
        pytest.skip("needs root and /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        link, report = Path(place, "link"), Path(place, "report")
        link.symlink_to(victim / "secret")
        os.lchown(link, 1000, 1000)
        with pytest.raises(Refused, match="symlink of another user"):
            output_file.write_named(link, "a report")
        for text in ("first", "second"):
            output_file.write_named(report, text)
        assert report.read_text() == "second"
    assert (victim / "secret").read_text() == "mine"
