"""A directory as another machine sees it: over sshfs, from an sshd of our own on this machine."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import run

_SECONDS = 20


@contextmanager
def over_sshfs(directory: Path, tmp_path: Path) -> Iterator[Path]:
    """`directory`, mounted a second time over sshfs; skips where that is not possible."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    for program in (sshd, "sshfs", "ssh-keygen", "fusermount3"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("needs /dev/fuse")
    own = tmp_path / "ssh"
    own.mkdir(mode=0o700)
    for key in ("host", "user"):
        made = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], cwd=own)
        assert made.returncode == 0, made.stderr
    port = _free_port()
    (own / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {own / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {own / 'user.pub'}\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # where Debian's sshd has nothing
    point = tmp_path / "over sshfs"
    point.mkdir()
    with open(own / "log", "w") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", str(own / "config")], stderr=log)
    try:
        _wait_for(port, server, own / "log")
        _mount(directory, point, own, port)
        try:
            yield point
        finally:
            run(["fusermount3", "-u", "-z", str(point)], cwd=tmp_path)
    finally:
        server.terminate()
        server.wait(_SECONDS)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.skip(f"sshd does not run here: {log.read_text().strip()[-200:]}")


def _mount(directory: Path, point: Path, own: Path, port: int) -> None:
    options = (
        f"IdentityFile={own / 'user'}",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "BatchMode=yes",
    )
    command = ["sshfs", "-F", "/dev/null", "-p", str(port)]
    for option in options:
        command += ["-o", option]
    done = run([*command, f"{getpass.getuser()}@127.0.0.1:{directory}", str(point)], cwd=own)
    if done.returncode:
        pytest.skip(f"cannot mount over sshfs: {done.stderr.strip()[-200:]}")
