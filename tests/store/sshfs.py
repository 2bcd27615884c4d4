"""A directory as another machine sees it: over sshfs, from a private sshd on this machine."""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.sshd import OPTIONS, running_sshd
from tests.support import run


@contextmanager
def over_sshfs(directory: Path, tmp_path: Path) -> Iterator[Path]:
    """`directory`, mounted a second time over sshfs; skips where that is not possible."""
    for program in ("sshfs", "fusermount3"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("needs /dev/fuse")
    own = tmp_path / "ssh"
    point = tmp_path / "over sshfs"
    point.mkdir()
    with running_sshd(own) as port:
        _mount(directory, point, own, port)
        try:
            yield point
        finally:
            run(["fusermount3", "-u", "-z", str(point)], cwd=tmp_path)


def _mount(directory: Path, point: Path, own: Path, port: int) -> None:
    command = ["sshfs", "-F", "/dev/null", "-p", str(port)]
    for option in (f"IdentityFile={own / 'user'}", *OPTIONS):
        command += ["-o", option]
    done = run([*command, f"{getpass.getuser()}@127.0.0.1:{directory}", str(point)], cwd=own)
    if done.returncode:
        pytest.skip(f"cannot mount over sshfs: {done.stderr.strip()[-200:]}")
