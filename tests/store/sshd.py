"""A private sshd on a port of this machine, for tests that need another host."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import run

_SECONDS = 20
OPTIONS = (
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "BatchMode=yes",
)
"""For a client: it asks nobody, and knows and remembers no host."""


@contextmanager
def running_sshd(own: Path, *, within: Sequence[str] = ()) -> Iterator[int]:
    """The port of an sshd that takes the key `own/user`; skips where none can run.

    The directory `own` is made, and has its files. The command `within` starts it.
    """
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    for program in (sshd, "ssh-keygen"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    own.mkdir(mode=0o700)
    for key in ("host", "user"):
        made = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], cwd=own)
        assert made.returncode == 0, made.stderr
    port = free_port()
    (own / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {own / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {own / 'user.pub'}\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # where Debian's sshd has nothing
    with open(own / "log", "w") as log:
        command = [*within, sshd, "-D", "-e", "-f", str(own / "config")]
        server = subprocess.Popen(command, stderr=log)
    try:
        _wait_for(port, server, own / "log")
        yield port
    finally:
        server.terminate()
        server.wait(_SECONDS)


def free_port() -> int:
    """A port on which nothing listens."""
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
