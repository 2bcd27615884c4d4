"""Files that the kernel itself has open keep their entry: disks, swap and mounted images."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import hold, make_entry, run

_MOUNT = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(libc.mount(sys.argv[1].encode(), sys.argv[2].encode(), b"erofs", 1, b""))
"""


def done(*command: str | Path) -> str:
    """What the command prints; skips the test where it cannot be done."""
    name = shutil.which(str(command[0]))
    ended = run([name, *map(str, command[1:])], cwd=Path("/")) if name else None
    if ended is None or ended.returncode:
        pytest.skip(f"cannot {' '.join(map(str, command))}")
    return ended.stdout.strip()


def loop(image: Path, _: Path) -> list[str]:
    image.write_bytes(bytes(1 << 20))
    return ["losetup", "--detach", done("losetup", "--find", "--show", image)]


def loop_of_a_mount_that_is_gone(image: Path, scratch: Path) -> list[str]:
    image.write_bytes(bytes(1 << 20))
    done("mount", "--bind", image.parents[3], scratch)
    try:
        inside = scratch / image.relative_to(image.parents[3])
        device = done("losetup", "--find", "--show", inside)
    finally:
        done("umount", "--lazy", scratch)
    return ["losetup", "--detach", device]


def swap(image: Path, _: Path) -> list[str]:
    image.write_bytes(bytes(1 << 20))
    image.chmod(0o600)
    done("mkswap", image)
    done("swapon", image)
    return ["swapoff", str(image)]


def mounted_from_the_file(image: Path, scratch: Path) -> list[str]:
    done("mkfs.erofs", image, scratch)
    done(sys.executable, "-c", _MOUNT, image, scratch)
    return ["umount", str(scratch)]


@pytest.mark.parametrize(
    "open_it", [loop, loop_of_a_mount_that_is_gone, swap, mounted_from_the_file]
)
def test_a_file_that_the_kernel_has_open_keeps_its_entry(
    root: Path, tmp_path: Path, open_it: Callable[[Path, Path], list[str]]
) -> None:
    path, other = make_entry(root, "work/a b"), make_entry(root, "work/other")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    close = open_it(path / "image", scratch)
    try:
        assert (hold(root, path), hold(root, other)) == ("process", "")
    finally:
        run(close, cwd=root)
    assert hold(root, path) == ""
