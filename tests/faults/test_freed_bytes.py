"""The bytes that a sweep reports as freed against what the filesystem itself counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.store.root.making import make_root
from tests.support import ext4, make_entry, run, scanned, swept

MEGABYTE = 1 << 20


def free(directory: Path) -> int:
    """The free bytes of the filesystem of `directory`, once all of it is on disk."""
    done = run(["sync", "--file-system", str(directory)], cwd=directory)
    assert done.returncode == 0, done.stderr
    told = os.statvfs(directory)
    return told.f_bfree * told.f_frsize


def sparse(path: Path, *, holes: int) -> None:
    """A file of many megabytes, of which only one page after each hole is on disk."""
    with open(path, "wb") as file:
        for hole in range(holes):
            file.seek((hole + 1) * 5 * MEGABYTE)
            file.write(b"x" * 4096)
        file.truncate(holes * 6 * MEGABYTE)


def linked(root: Path, outside: Path) -> int:
    """Hard links inside an entry, between entries and to a file outside; the bytes that stay."""
    one, other = make_entry(root, "debug/linked"), make_entry(root, "cache/linked")
    (one / "inside").write_bytes(b"i" * 3 * MEGABYTE)
    for number in range(5):
        os.link(one / "inside", one / f"inside{number}")
    (one / "between").write_bytes(b"b" * 2 * MEGABYTE)
    os.link(one / "between", other / "between")
    os.link(one / "between", other / "between too")
    outside.write_bytes(b"o" * 7 * MEGABYTE)
    os.link(outside, one / "outside")
    os.link(outside, other / "outside")
    return outside.stat().st_blocks * 512


def many(top: Path, *, directories: int, files: int) -> None:
    """Small files of different sizes in nested directories, with names of all lengths.

    Each directory shares a larger file with the one before it, which is in another group: whoever
    takes the groups at the same time must count it, and only once.
    """
    shared: Path | None = None
    for number in range(directories):
        directory = top / f"group{number % 7}" / f"d{number}"
        directory.mkdir(parents=True)
        for index in range(files):
            name = f"{index}-{'n' * (index % 90)}"
            with open(directory / name, "wb") as file:
                file.write(b"x" * (index * 137 % 9000))
        if shared is not None:
            os.link(shared, directory / "of the one before")
        shared = directory / "shared"
        shared.write_bytes(b"s" * 65_536)


@pytest.mark.parametrize(
    ("size", "directories"), [("small", 12), ("large", 400)], ids=["small", "large"]
)
def test_freed_bytes_are_those_that_the_filesystem_gains(
    tmp_path: Path, figure: Callable[[str], None], size: str, directories: int
) -> None:
    with ext4(tmp_path, megabytes=256) as directory:
        root = directory / ".tmp"
        make_root(str(root))  # what it takes is not the sweep's
        stays = linked(root, directory / "outside")
        many(make_entry(root, "debug/many"), directories=directories, files=50)
        for number in range(3):
            many(make_entry(root, f"work/some{number}"), directories=4, files=20)
        sparse(make_entry(root, "debug/sparse") / "holes", holes=20)
        with open(make_entry(root, "cache/big") / "reserved", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 40 * MEGABYTE)
        (root / "cache" / "file").write_bytes(b"f" * MEGABYTE)

        before = free(directory)
        report = swept(root)
        gained = free(directory) - before

        assert not report.failed
        assert scanned(root) == {}
        assert (directory / "outside").stat().st_blocks * 512 == stays
        assert gained > 40 * MEGABYTE
        assert report.freed_bytes == pytest.approx(gained, rel=0.01)
        figure(
            f"5. {size} trees ({12 * 20 + directories * 50:,} small files, sparse, reserved and "
            f"hard-linked ones): {report.freed_bytes:,} bytes reported, {gained:,} by statvfs "
            f"({report.freed_bytes / gained:.4f})"
        )


def test_what_a_link_outside_keeps_is_not_reported_as_freed(tmp_path: Path) -> None:
    with ext4(tmp_path) as directory:
        root = directory / ".tmp"
        make_root(str(root))
        (directory / "outside").write_bytes(b"o" * 4 * MEGABYTE)
        os.link(directory / "outside", make_entry(root, "debug/linked") / "outside")
        before = free(directory)
        report = swept(root)
        remembered = (root / ".tempkeep" / "history.jsonl").stat().st_blocks * 512
        assert report.freed_bytes == free(directory) + remembered - before < MEGABYTE
        assert (directory / "outside").stat().st_nlink == 1
