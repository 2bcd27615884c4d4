"""Any kind of file where one is read: it is read, or refused with a reason, and never hangs."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from common.temp.core.fields import Unreadable
from common.temp.store.system.opening import opened_in
from common.temp.store.system.reading import read_file, read_json

DEEP = "[" * 100_000


def place(path: Path, kind: str) -> None:
    """Put something of that kind at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path))
    elif kind == "directory":
        path.mkdir()
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    elif kind == "deep":
        path.write_text(DEEP)
    else:
        path.write_text(kind)


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize(
    "kind", ["fifo", "socket", "directory", "endless", "sparse", "deep", "{", "\udcff"]
)
def test_what_cannot_be_used_is_one_clause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, follow: bool
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    if kind == "\udcff":
        (tmp_path / "it").write_bytes(b"\xff")
    else:
        place(tmp_path / "it", kind)
    with pytest.raises(Unreadable) as raised:
        read_json(tmp_path / "it", follow=follow)
    said = str(raised.value)
    assert said.startswith(("cannot be read: ", "not valid JSON: "))
    assert "\n" not in said
    assert len(said) < 200


def test_a_link_to_a_regular_file_is_read_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("[1]")
    (tmp_path / "link").symlink_to("it")
    assert read_json(tmp_path / "link", follow=True) == [1]
    with pytest.raises(Unreadable, match="a symlink is in its place"):
        read_json(tmp_path / "link")


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "it")
    with pytest.raises(NotADirectoryError):
        read_file(tmp_path / "file" / "it")


def test_a_file_may_be_as_large_as_that_and_no_larger(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"x" * 10)
    assert len(read_file(tmp_path / "it", 10)) == 10
    with pytest.raises(Unreadable, match="larger than 9 B"):
        read_file(tmp_path / "it", 9)
    # What tells no size beforehand, as in /proc, is measured while it is read.
    assert read_file("/proc/self/stat")
    with pytest.raises(Unreadable, match="larger than 9 B"):
        read_file("/proc/self/stat", 9)


def test_a_file_of_another_user_is_none_where_that_matters(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("x")
    owner = os.stat(tmp_path / "it").st_uid
    assert read_file(tmp_path / "it", owners=[owner]) == b"x"
    with pytest.raises(Unreadable, match="belongs to another user"):
        read_file(tmp_path / "it", owners=[owner + 1])


@pytest.mark.parametrize("deep", [False, True])
def test_no_link_on_the_way_is_followed(tmp_path: Path, deep: bool) -> None:
    (tmp_path / "there" / "store").mkdir(parents=True)
    (tmp_path / "root").mkdir()
    if deep:
        (tmp_path / "root" / "store").symlink_to(tmp_path / "there" / "store")
    else:
        (tmp_path / "root" / "a").symlink_to(tmp_path / "there")
    parts = ("store",) if deep else ("a", "store")
    with (
        pytest.raises(OSError, match=r"symbolic links|Not a directory"),
        opened_in(tmp_path / "root", *parts),
    ):
        pass
    with opened_in(tmp_path / "there", "store") as directory:
        assert os.listdir(directory) == []


def test_what_is_nested_as_ours_is_is_read(tmp_path: Path) -> None:
    value = {"a": [{"b": [1, {"c": None}]}]}
    (tmp_path / "it").write_text(json.dumps(value))
    assert read_json(tmp_path / "it") == value
