"""Deleting named paths: below a root and elsewhere, and races at that instant."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.layouts import FILES
from common.temp.store.claiming.named_removal import (
    Kind,
    NamedOutcome,
    NamedRemover,
    delete_elsewhere,
)
from common.temp.store.root.allocation import adopt
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import write_pin
from common.temp.store.system import at
from tests.store.children import in_child, until
from tests.support import HOUR, age, chain, in_holding, make_entry, mounted, process

LEASED = """
import sys
from common.temp.core.layouts import FILES
from common.temp.store.root.allocation import adopt
adopt({root!r}, {entry!r}, FILES)
print("leased", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A root of files."""
    directory = tmp_path / "base"
    make_root(str(directory), FILES)
    return directory


def delete(base: Path, relative: str, kind: Kind = "either", **options: Any) -> NamedOutcome:
    ours = options.pop("ours", True)
    remover = NamedRemover(base, **options)
    try:
        return remover.delete(relative, kind, ours=ours)
    finally:
        remover.close()


def file(path: Path, *, hours: float = 0.0) -> Path:
    """A file of 100 bytes, last changed that long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x" * 100)
    age(path, hours)
    return path


def at_the_instant(
    monkeypatch: pytest.MonkeyPatch, call: str, act: Callable[[], object], *, after: bool = False
) -> None:
    """Act once, just before (or after) the first time that the store does `call`."""
    real = getattr(at, call)
    pending = [act]

    def racing(*arguments: Any, **options: Any) -> Any:
        now = pending.pop() if pending else None
        if now is not None and not after:
            now()
        result = real(*arguments, **options)
        if now is not None and after:
            now()
        return result

    monkeypatch.setattr(at, call, racing)


# -- what goes --------------------------------------------------------------------------------


@pytest.mark.parametrize("relative", ["file", "sub/file", "sub/deep/er/file"])
def test_a_file_goes_at_whatever_depth_and_nothing_beside_it(base: Path, relative: str) -> None:
    path = file(base / relative)
    beside = file(path.with_name("beside"))
    size = path.stat().st_blocks * 512
    assert delete(base, relative, "file")[:3] == ("done", "", size)
    assert not path.exists()
    assert beside.exists()
    assert in_holding(base) == []


def test_a_directory_goes_with_all_that_it_holds(base: Path) -> None:
    make_entry(base, "sub/deep", files=3)
    assert delete(base, "sub", "directory").status == "done"
    assert os.listdir(base) == [".tempkeep"]


def test_a_chain_of_directories_beyond_any_path_goes(base: Path) -> None:
    (base / "sub").mkdir()
    chain(base / "sub", 3000)
    assert delete(base, "sub", "directory").status == "done"
    assert os.listdir(base) == [".tempkeep"]


@pytest.mark.parametrize("kind", ["file", "either"])
def test_a_link_goes_and_what_it_points_to_stays(base: Path, canary: Path, kind: Kind) -> None:
    (base / "link").symlink_to(canary)
    assert delete(base, "link", kind).status == "done"
    assert not (base / "link").is_symlink()


def test_a_socket_goes(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    assert delete(base, "socket", "file").status == "done"
    assert not (base / "socket").exists()


def test_only_the_last_name_of_a_file_frees_its_bytes(base: Path) -> None:
    path = file(base / "one")
    os.link(path, base / "two")
    assert delete(base, "one").freed_bytes == 0
    assert delete(base, "two").freed_bytes == 4096


@pytest.mark.parametrize("name", ["ä" * 127, "\udcff\udcfe", "a\\b", "-rf", ".hidden", " "])
def test_a_file_of_whatever_name_goes(base: Path, name: str) -> None:
    file(base / "sub" / name)
    adopt(str(base), "sub", FILES)
    assert delete(base, f"sub/{name}").status == "done"
    assert os.listdir(base / "sub") == []


def test_a_missing_file_is_missing_and_so_is_one_without_its_directory(base: Path) -> None:
    assert delete(base, "none")[:3] == ("missing", "", 0)
    assert delete(base, "none/of/it")[:3] == ("missing", "", 0)


def test_in_a_root_that_was_removed_all_is_missing(tmp_path: Path) -> None:
    assert delete(tmp_path / "no-root", "file")[:3] == ("missing", "", 0)


# -- what stays -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "kind", "why"),
    [
        ("directory", "file", "is a directory"),
        ("file", "directory", "is not a directory"),
        ("file", "empty", "is not a directory"),
        ("link", "directory", "is not a directory"),
        ("link", "empty", "is not a directory"),
        ("full", "empty", "Directory not empty"),
    ],
)
def test_what_is_of_another_kind_stays(
    base: Path, canary: Path, made: str, kind: Kind, why: str
) -> None:
    path = base / "it"
    if made == "file":
        path.touch()
    elif made == "link":
        path.symlink_to(canary)
    else:
        path.mkdir()
    if made == "full":
        (path / "file").touch()
    assert delete(base, "it", kind)[:3] == ("failed", why, 0)
    assert os.path.lexists(path)


@pytest.mark.parametrize("relative", ["link/file0.txt", "link/deep/er/file0.txt", "sub/link/deep"])
def test_what_lies_behind_a_link_stays(base: Path, canary: Path, relative: str) -> None:
    (base / "sub").mkdir()
    for link in ("link", "sub/link"):
        (base / link).symlink_to(canary)
    outcome = delete(base, relative)
    assert outcome[:3] == ("failed", "link on the way to it is not a directory", 0)


def test_what_changed_after_the_limit_stays_and_what_did_not_goes(base: Path) -> None:
    new, old = file(base / "new", hours=1), file(base / "old", hours=3)
    before = time.time() - 2 * HOUR
    assert delete(base, "new", before=before).status == "skipped"
    assert delete(base, "old", before=before).status == "done"
    assert (new.exists(), old.exists()) == (True, False)


def test_one_new_file_deep_inside_keeps_an_old_directory(base: Path) -> None:
    top = make_entry(base, "sub/deep/er", age_hours=10).parents[1]
    age(top, 10)
    fresh = top / "deep" / "er" / "file0.txt"
    os.utime(fresh)
    assert delete(base, "sub", before=time.time() - HOUR).status == "skipped"
    assert fresh.exists()


def test_a_file_that_somebody_has_locked_stays(base: Path) -> None:
    path = file(base / "file")
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = delete(base, "file")
    assert (outcome.status, path.exists()) == ("skipped", True)
    assert "flock" in outcome.detail


def test_by_a_policy_a_file_in_a_directory_that_somebody_has_locked_stays(base: Path) -> None:
    path = file(base / "sub" / "deep" / "file")
    held = os.open(base / "sub", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert delete(base, "sub/deep/file", policy=True).status == "skipped"
        assert path.exists()
    finally:
        os.close(held)
    assert delete(base, "sub/deep/file", policy=True).status == "done"


def test_an_empty_directory_that_somebody_has_locked_stays(base: Path) -> None:
    (base / "sub").mkdir()
    held = os.open(base / "sub", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert delete(base, "sub", "empty").status == "skipped"
    finally:
        os.close(held)
    assert delete(base, "sub", "empty").status == "done"


def test_a_mount_point_and_what_holds_one_stay(base: Path) -> None:
    with mounted(base / "sub" / "mount", "size=1m") as disk:
        (disk / "file").touch()
        assert delete(base, "sub", "directory").status == "failed"
        assert delete(base, "sub/mount", "directory").status == "failed"
        assert (disk / "file").exists()


# -- what another process uses ----------------------------------------------------------------


@pytest.fixture
def leased(base: Path, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Has another process take a lease on an entry, which it holds to the end."""

    def lease(entry: str) -> None:
        stack.enter_context(process(LEASED.format(root=str(base), entry=entry), cwd=tmp_path))

    with ExitStack() as stack:
        yield lease


def test_a_file_that_is_not_ours_stays_while_another_process_holds_its_entry(
    base: Path, leased: Callable[[str], None]
) -> None:
    file(base / "sub" / "file")
    leased("sub")
    outcome = delete(base, "sub/file", ours=False)
    assert outcome.status == "skipped"
    assert outcome.detail.startswith("in use: pid ")
    assert delete(base, "sub/file", ours=True).status == "done"


def test_a_directory_stays_while_another_process_holds_it_even_if_it_is_ours(
    base: Path, leased: Callable[[str], None]
) -> None:
    file(base / "sub" / "file")
    adopt(str(base), "sub", FILES)
    leased("sub")
    assert delete(base, "sub", "directory", ours=True).status == "skipped"
    assert (base / "sub" / "file").exists()


def test_what_this_process_holds_itself_goes(base: Path) -> None:
    file(base / "sub" / "file")
    adopt(str(base), "sub", FILES)
    assert delete(base, "sub", "directory", ours=False).status == "done"


def test_a_policy_leaves_what_is_pinned_and_a_request_does_not(base: Path) -> None:
    file(base / "sub" / "file")
    write_pin(base, "sub", "kept for the report", FILES)
    assert delete(base, "sub/file", policy=True)[:3] == ("skipped", "is pinned", 0)
    assert delete(base, "sub/file").status == "done"


# -- at this very instant ---------------------------------------------------------------------


def test_a_file_that_is_replaced_after_the_look_stays(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(base / "file", hours=3)
    fresh = file(base / "fresh")
    at_the_instant(monkeypatch, "rename", lambda: os.rename(fresh, path))
    outcome = delete(base, "file", before=time.time() - HOUR)
    assert outcome.status == "skipped"
    assert "was replaced at this moment" in outcome.detail
    assert path.exists()
    assert in_holding(base) == []


def test_a_file_that_is_written_to_after_the_look_stays(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(base / "sub" / "file", hours=3)
    with path.open("a") as writer:

        def write() -> None:
            writer.write("more")
            writer.flush()

        at_the_instant(monkeypatch, "rename", write)
        outcome = delete(base, "sub/file", before=time.time() - HOUR)
    assert outcome[:3] == ("skipped", "has changed meanwhile", 0)
    assert path.read_text().endswith("more")
    assert in_holding(base) == []


def test_a_directory_that_gets_a_file_after_the_look_stays(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = make_entry(base, "sub/deep", age_hours=5)
    age(base / "sub", 5)
    at_the_instant(monkeypatch, "rename", lambda: (inside / "new").touch())
    outcome = delete(base, "sub", before=time.time() - HOUR)
    assert outcome[:3] == ("skipped", "has changed meanwhile", 0)
    assert (inside / "new").exists()


def test_a_directory_that_another_process_takes_a_lease_on_after_the_look_stays(
    base: Path, leased: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = make_entry(base, "sub")
    at_the_instant(monkeypatch, "rename", lambda: leased("sub"))
    outcome = delete(base, "sub", "directory")
    assert outcome.status == "skipped"
    assert outcome.detail.startswith("in use: pid ")
    assert (inside / "file0.txt").exists()
    assert in_holding(base) == []


def test_an_entry_that_is_pinned_after_the_look_stays(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(base / "file")
    at_the_instant(monkeypatch, "rename", lambda: write_pin(base, "file", "mine", FILES))
    assert delete(base, "file", policy=True)[:3] == ("skipped", "is pinned", 0)
    assert path.exists()


def test_a_directory_that_is_put_in_the_place_of_a_file_stays(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(base / "file")
    other = make_entry(base, "other")

    def swap() -> None:
        path.unlink()
        other.rename(path)

    at_the_instant(monkeypatch, "rename", swap)
    assert delete(base, "file", "file").status == "skipped"
    assert (path / "file0.txt").exists()


def test_a_directory_on_the_way_that_is_swapped_for_a_link_leads_nowhere(
    base: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(base / "sub" / "file0.txt")

    def swap() -> None:
        (base / "sub").rename(base / "aside")
        (base / "sub").symlink_to(canary)

    at_the_instant(monkeypatch, "dup", swap)
    outcome = delete(base, "sub/file0.txt")
    assert outcome[:3] == ("failed", "sub on the way to it is not a directory", 0)
    assert (base / "aside" / "file0.txt").exists()


def test_what_a_fast_writer_replaces_over_and_over_is_never_lost(base: Path) -> None:
    """Another process puts a fresh file in the place of an old one, again and again."""
    path = base / "file"

    def write() -> None:
        for _ in range(200):
            os.replace(file(base / "old", hours=3), path)
            file(base / "fresh")
            inode = (base / "fresh").stat().st_ino
            os.replace(base / "fresh", path)

            def is_there(inode: int = inode) -> bool:
                with os.scandir(base) as items:
                    return any(item.inode() == inode for item in items)

            until(is_there, "the fresh file is there again")

    child = os.fork()
    if child == 0:
        code = 1
        try:
            write()
            code = 0
        finally:
            os._exit(code)
    went = 0
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        went += delete(base, "file", before=time.time() - HOUR).status == "done"
    assert ended[1] == 0
    assert went  # or it was no race
    assert in_holding(base) == []


def test_a_removal_that_is_told_to_stop_leaves_the_rest_to_the_next_sweep(base: Path) -> None:
    make_entry(base, "sub", files=500)
    turns = iter([True, True])
    outcome = delete(base, "sub", go_on=lambda: next(turns, False))
    assert outcome.status == "stopped"
    assert not (base / "sub").exists()
    assert len(in_holding(base)) == 1


# -- elsewhere --------------------------------------------------------------------------------


def test_a_file_elsewhere_goes_and_nothing_beside_it(tmp_path: Path) -> None:
    path, beside = file(tmp_path / "file"), file(tmp_path / "beside")
    assert delete_elsewhere(str(path), "file")[:3] == ("done", "", 4096)
    assert (path.exists(), beside.exists()) == (False, True)


@pytest.mark.parametrize("kind", ["file", "either", "directory", "empty"])
def test_of_a_link_elsewhere_no_more_than_the_link_goes(
    tmp_path: Path, canary: Path, kind: Kind
) -> None:
    (tmp_path / "link").symlink_to(canary)
    delete_elsewhere(str(tmp_path / "link"), kind)
    assert (tmp_path / "link").is_symlink() == (kind in ("directory", "empty"))


def test_a_directory_elsewhere_stays_if_a_file_was_meant(canary: Path) -> None:
    assert delete_elsewhere(str(canary), "file")[:3] == ("failed", "is a directory", 0)


def test_a_directory_put_in_the_place_of_a_file_elsewhere_stays(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path / "file")

    def swap() -> None:
        path.unlink()
        canary.rename(path)

    at_the_instant(monkeypatch, "unlink", swap)
    assert delete_elsewhere(str(path), "file").status == "failed"
    path.rename(canary)


def test_a_directory_elsewhere_goes_if_one_was_meant(tmp_path: Path, canary: Path) -> None:
    path = make_entry(tmp_path, "there/sub", files=2)
    (path / "link").symlink_to(canary)
    assert delete_elsewhere(str(tmp_path / "there"), "directory").status == "done"
    assert not path.exists()


def test_a_mount_point_elsewhere_and_what_holds_one_stay(tmp_path: Path) -> None:
    with mounted(tmp_path / "sub" / "mount", "size=1m") as disk:
        file(disk / "file")
        for path in (tmp_path / "sub", disk):
            outcome = delete_elsewhere(str(path), "directory")
            assert "unmount it first" in outcome.detail
        assert (disk / "file").exists()


def test_only_an_empty_directory_elsewhere_goes_as_one(tmp_path: Path) -> None:
    path = file(tmp_path / "sub" / "file")
    assert delete_elsewhere(str(path.parent), "empty").status == "failed"
    path.unlink()
    assert delete_elsewhere(str(path.parent), "empty").status == "done"


def test_what_is_new_elsewhere_stays(tmp_path: Path) -> None:
    path = file(tmp_path / "file", hours=1)
    assert delete_elsewhere(str(path), "either", before=time.time() - 2 * HOUR).status == "skipped"
    assert delete_elsewhere(str(path), "either", before=time.time() - HOUR / 2).status == "done"


def test_what_the_disk_refuses_is_said_and_nothing_is_lost(base: Path) -> None:
    file(base / "sub" / "file")

    def without_power() -> NamedOutcome:
        os.chmod(base / "sub", 0o500)
        os.setresuid(65534, 65534, 65534)
        return delete(base, "sub/file")

    if os.geteuid():
        pytest.skip("needs root to become somebody else")
    assert in_child(without_power).status == "failed"
    assert (base / "sub" / "file").exists()
