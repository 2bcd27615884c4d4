"""The content of an entry, item by item: all that tells two trees apart, and nothing outside."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from common.temp.errors import Refused, StorageError
from common.temp.store.trees import contents, writing
from common.temp.store.trees.contents import Digest, Item, digest, tree
from common.temp.store.trees.writing import write
from tests.store.children import descriptors
from tests.store.trees import rich, seen
from tests.support import chain, make_entry, mounted, run, swept


def items(path: Path, *, contents: bool = True) -> Generator[Item, None, None]:
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        yield from tree(parent, path.name, contents=contents)
    finally:
        os.close(parent)


def listed(path: Path) -> Digest:
    """The digest of what is there, without the contents."""
    return digest(items(path, contents=False))


# -- digests --------------------------------------------------------------------------------------


def test_items_come_in_one_order_each_directory_before_what_is_in_it(tmp_path: Path) -> None:
    top = make_entry(tmp_path, "x", files=0)
    for name in ("b/c", "b/a", "a", "b2"):
        (top / name).mkdir(parents=True)
    (top / os.fsdecode(b"\xff")).touch()
    (top / "b" / "a" / "z").touch()
    assert [item.path for item in items(top)] == [
        "", "a", "b", "b/a", "b/a/z", "b/c", "b2", os.fsdecode(b"\xff"),
    ]  # fmt: skip


def test_a_copy_has_the_same_digest_whatever_becomes_of_its_own_mode_and_time(
    tmp_path: Path,
) -> None:
    path = rich(make_entry(tmp_path, "x", files=2))
    first = write(items(path), str(tmp_path / "copy"))
    told = path.stat()
    assert (first.mode, first.mtime_ns) == (stat.S_IMODE(told.st_mode), told.st_mtime_ns)
    (tmp_path / "copy").chmod(0o711)
    os.utime(tmp_path / "copy", (1, 1))
    assert seen(tmp_path / "copy") == seen(path)
    assert listed(tmp_path / "copy") == listed(path)


CHANGES: dict[str, list[Callable[[Path], object]]] = {
    "content": [lambda top: (top / "file0.txt").write_text("y" * 100)],
    "size": [lambda top: (top / "file0.txt").write_text("x" * 101)],
    "name": [lambda top: (top / "file0.txt").rename(top / "file9.txt")],
    "place": [lambda top: (top / "file0.txt").rename(top / "sub" / "file0.txt")],
    "mode": [lambda top: (top / "file0.txt").chmod(0o755)],
    "time": [lambda top: os.utime(top / "file0.txt", ns=(0, 1))],
    "link": [
        lambda top: (top / "link").unlink(),
        lambda top: (top / "link").symlink_to("elsewhere"),
    ],
    "kind": [lambda top: (top / "file0.txt").unlink(), lambda top: (top / "file0.txt").mkdir()],
    "hard link": [
        lambda top: (top / "file0.txt").unlink(),
        lambda top: os.link(top / "file1.txt", top / "file0.txt"),
    ],
    "more": [lambda top: (top / "sub" / "more").touch()],
    "less": [lambda top: (top / "file1.txt").unlink()],
    "mode of a directory": [lambda top: (top / "sub").chmod(0o700)],
    "time of a directory": [lambda top: os.utime(top / "sub", ns=(0, 1))],
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_changes_the_digest(tmp_path: Path, what: str) -> None:
    path = make_entry(tmp_path, "x", files=2, age_hours=1)
    (path / "sub").mkdir()
    (path / "link").symlink_to("file0.txt")
    times = {name: (path / name).lstat().st_mtime_ns for name in ("file0.txt", "link", "sub")}
    before = seen(path), listed(path)
    for change in CHANGES[what]:
        change(path)
    for name, when in times.items():
        if "time" not in what and os.path.lexists(path / name):
            os.utime(path / name, ns=(when, when), follow_symlinks=False)
    assert seen(path) != before[0]
    assert (listed(path) == before[1]) is (what == "content"), "which alone needs reading"


def test_attributes_of_the_user_are_part_of_it_and_come_along(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x")
    before = seen(path)
    try:
        os.setxattr(path / "file0.txt", "user.origin", b"\0\xffhere\n")
    except (AttributeError, OSError):
        pytest.skip("no extended attributes here")
    assert seen(path) != before
    write(items(path), str(tmp_path / "copy"))
    assert os.getxattr(tmp_path / "copy" / "file0.txt", "user.origin") == b"\0\xffhere\n"


def test_counts_and_bytes_are_as_one_reads_them(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x", files=3)
    os.link(path / "file0.txt", path / "other")
    with open(path / "sparse", "wb") as file:
        file.truncate(1_000_000)
    assert digest(items(path))[:3] == (5, 1, 1_000_300)


# -- reading --------------------------------------------------------------------------------------


def test_a_tree_of_any_depth_is_read_with_few_descriptors(root: Path) -> None:
    path = make_entry(root, "debug/x")
    chain(path, 300, pairs=True)
    before = len(descriptors())
    most = depth = 0
    for item in items(path, contents=False):
        depth = max(depth, item.path.count("/"))
        if not depth % 20:
            most = max(most, len(descriptors()) - before)
    assert (depth, most < 60, len(descriptors())) == (300, True, before)
    swept(root)  # which pytest's own clean-up could not


def test_a_walk_that_is_given_up_leaves_nothing_open(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x/a/b")
    before = descriptors()
    walk = items(path.parent.parent)
    assert [next(walk).path for _ in range(4)] == ["", "a", "a/b", "a/b/file0.txt"]
    walk.close()
    assert descriptors() == before


def test_what_is_mounted_in_it_is_an_error_and_not_read(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x")
    with (
        mounted(path / "sub", "size=1m"),
        pytest.raises(StorageError, match="another filesystem is mounted at sub"),
    ):
        digest(items(path))


def test_a_directory_that_moves_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    deep = path
    for _ in range(60):
        deep /= "d"
    deep.mkdir(parents=True)
    (path / "z").touch()
    walk = items(path)
    for _ in range(58):
        next(walk)
    (path / "d" / "d").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="was moved while it was being read"):
        list(walk)


def test_a_file_that_is_cut_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x")
    walk = items(path)
    for item in walk:
        if item.read is not None:
            os.truncate(path / "file0.txt", 50)
            with pytest.raises(StorageError, match=r"file0.txt is shorter than it was"):
                list(contents.chunks(item))


def test_a_file_that_is_swapped_for_a_link_is_not_read_through_it(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x", files=2)
    (tmp_path / "secret").write_text("secret")
    walk = items(path)
    next(walk)
    names = [next(walk).path]
    (path / "file1.txt").unlink()
    (path / "file1.txt").symlink_to(tmp_path / "secret")
    names += [item.kind for item in walk]
    assert names == ["file0.txt", "symlink"]


# -- writing --------------------------------------------------------------------------------------


def directory(path: str) -> Item:
    return Item(path, "directory", 0o755)


def file(path: str, data: bytes = b"evil") -> Item:
    left = [data]
    return Item(path, "file", 0o644, size=len(data), read=lambda _: left.pop())


BAD: dict[str, list[Item]] = {
    "nothing": [],
    "no top": [file("evil")],
    "..": [directory(""), file("../evil")],
    "further up": [directory(""), directory("d"), file("d/../../evil")],
    "absolute": [directory(""), file("/evil")],
    "in a link": [directory(""), Item("l", "symlink", target="/"), file("l/evil")],
    "in a file": [directory(""), file("f"), file("f/evil")],
    "in a directory of before": [directory(""), directory("d"), directory("e"), file("d/evil")],
    "in no directory": [directory(""), file("d/evil")],
    "below a file": [file(""), file("evil")],
    "an empty name": [directory(""), file("d/"), file("evil")],
    "NUL": [directory(""), file("a\0b")],
    "a link out": [directory(""), Item("h", "link", target="../canary")],
    "a link to /": [directory(""), Item("h", "link", target="/canary")],
    "a link through a link": [
        directory(""), Item("l", "symlink", target=".."), Item("h", "link", target="l/canary"),
    ],
    "a device": [directory(""), Item("d", "other", 0o666)],
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_would_come_to_lie_elsewhere_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "canary").write_text("whole")
    told = (tmp_path / "canary").stat()
    with pytest.raises(Refused):
        write(BAD[what], str(tmp_path / "place"))
    shutil.rmtree(tmp_path / "place", ignore_errors=True)
    (tmp_path / "place").unlink(missing_ok=True)
    assert sorted(os.listdir(tmp_path)) == ["canary", "system-temp"]
    assert (tmp_path / "canary").stat() == told
    assert not os.path.lexists("/evil")


@pytest.mark.parametrize(
    "twice",
    [[file("f"), file("f")], [directory("f"), directory("f")], [Item("f", "symlink"), file("f")]],
)
def test_nothing_is_written_over_what_was_written(tmp_path: Path, twice: list[Item]) -> None:
    twice[0] = twice[0]._replace(target="x") if twice[0].kind == "symlink" else twice[0]
    with pytest.raises(FileExistsError):
        write([directory(""), *twice], str(tmp_path / "place"))


def test_what_is_written_is_flushed_file_by_file_where_that_is_all_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rich(make_entry(tmp_path, "x", files=2))
    flushed: list[int] = []
    monkeypatch.setattr(writing, "_syncfs", None)
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(descriptor))
    write(items(path), str(tmp_path / "copy"))
    files = sum(item.kind == "file" for item in items(path))
    assert len(flushed) == files + 1
    assert seen(tmp_path / "copy") == seen(path)


def test_a_disk_that_cannot_be_flushed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_syncfs", lambda descriptor: -1)
    with pytest.raises(OSError):  # noqa: PT011 - whatever errno there was
        write([directory("")], str(tmp_path / "copy"))


def test_owners_come_along_where_one_may_give_them(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    path = make_entry(tmp_path, "x")
    os.chown(path / "file0.txt", 12_345, 54_321)
    (path / "file0.txt").chmod(0o4755)
    write(items(path), str(tmp_path / "copy"))
    told = (tmp_path / "copy" / "file0.txt").stat()
    assert (told.st_uid, told.st_gid, stat.S_IMODE(told.st_mode)) == (12_345, 54_321, 0o4755)


def test_access_lists_come_along(tmp_path: Path) -> None:
    path = make_entry(tmp_path, "x")
    if not shutil.which("setfacl"):
        # What `setfacl -m u:12345:rw` writes: a version, and entries of tag, rights and id.
        rights = ((1, 6, -1), (2, 6, 12_345), (4, 4, -1), (16, 6, -1), (32, 4, -1))
        access = (2).to_bytes(4, "little") + b"".join(
            tag.to_bytes(2, "little") + right.to_bytes(2, "little")
            + who.to_bytes(4, "little", signed=True)
            for tag, right, who in rights
        )  # fmt: skip
        try:
            os.setxattr(path / "file0.txt", "system.posix_acl_access", access)
        except (AttributeError, OSError):
            pytest.skip("no access lists here")
    else:
        assert run(["setfacl", "-m", "u:12345:rw", "file0.txt"], cwd=path).returncode == 0
    write(items(path), str(tmp_path / "copy"))
    assert os.getxattr(tmp_path / "copy" / "file0.txt", "system.posix_acl_access") == (
        os.getxattr(path / "file0.txt", "system.posix_acl_access")
    )
    assert seen(tmp_path / "copy") == seen(path)
