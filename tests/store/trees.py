"""Trees with every kind of file, and their content."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

from common.temp.store.trees.contents import digest, tree


def rich(path: Path) -> Path:
    """A tree with all that a tree can hold and everybody may make."""
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "data").write_bytes(random.Random(0).randbytes(300_000))
    (path / "deep" / "link").symlink_to("er/data")
    (path / "outwards").symlink_to("/etc/passwd")
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "secret").write_text("x")
    (path / "secret").chmod(0o600)
    (path / "empty").touch()
    (path / "no files").mkdir()
    os.link(path / "deep" / "er" / "data", path / "zweiter")
    os.link(path / "deep" / "link", path / "also", follow_symlinks=False)
    os.mkfifo(path / "fifo")
    (path / "read only").mkdir()
    (path / "read only" / "file").write_text("1")
    (path / "read only").chmod(0o500)
    for name in (b"\xff\xfe", b"new\nline", b"-C", b"back\\slash", b"\xc3\xa4", b" ", b"x" * 255):
        Path(os.fsdecode(os.fsencode(path) + b"/" + name)).write_bytes(name)
    with open(path / "sparse", "wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
        file.truncate(8_000_000)
    os.utime(path / "empty", ns=(1, 1_600_000_000_123_456_789))
    return path


def long_chain(top: Path) -> None:
    """Directories in each other, whose names together are longer than a path may be."""
    with contextlib.ExitStack() as stack:
        descriptor = os.open(top, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        for _ in range(20):
            os.mkdir("n" * 250, dir_fd=descriptor)
            descriptor = os.open("n" * 250, os.O_RDONLY, dir_fd=descriptor)
            stack.callback(os.close, descriptor)


def seen(path: Path) -> str:
    """A digest of all that there is at `path`."""
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        return digest(tree(parent, path.name)).hexdigest
    finally:
        os.close(parent)
