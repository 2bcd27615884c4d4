"""Private crontabs in a mount namespace, which protect those of whoever runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import run

_SPOOL = "/var/spool/cron/crontabs"
_HIDE = f"""
set -e
mode=$(stat -c mode=%a,uid=%u,gid=%g {_SPOOL})
mount -t tmpfs -o "$mode" none {_SPOOL}
mount -t tmpfs none /run
[ ! -d /etc/cron.d ] || mount -t tmpfs none /etc/cron.d
[ ! -f /etc/crontab ] || mount --bind /dev/null /etc/crontab
echo ready
exec cat
"""
_INSIDE = 'cd -- "$1" && shift && exec "$@"'
_ENTER = """
import ctypes, os, runpy, sys
namespace = os.open(sys.argv.pop(1), os.O_RDONLY)
assert ctypes.CDLL(None).setns(namespace, 0) == 0
os.close(namespace)
os.chdir(sys.argv.pop(1))
runpy.run_module("invoke", run_name="__main__", alter_sys=True)
"""


class Crontabs:
    """A namespace in which nobody has a crontab yet, nor is there any of the system."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def command(self, command: Sequence[str], cwd: Path) -> list[str]:
        """What runs `command` there."""
        inside = ["sh", "-c", _INSIDE, "sh", str(cwd), *command]
        return ["nsenter", f"--mount=/proc/{self._pid}/ns/mnt", *inside]

    def run(self, *command: str, cwd: Path, stdin: str | None = None) -> tuple[int, str, str]:
        """The exit code and the output of `command` there."""
        done = run(self.command(command, cwd), cwd=cwd, stdin=stdin)
        return done.returncode, done.stdout, done.stderr

    def inv(self, *arguments: str, cwd: Path) -> tuple[int, str, str]:
        """The exit code and the output of `inv` there."""
        namespace = f"/proc/{self._pid}/ns/mnt"
        done = run([sys.executable, "-c", _ENTER, namespace, str(cwd), *arguments], cwd=cwd)
        return done.returncode, done.stdout, done.stderr

    def read(self) -> bytes:
        """The crontab, to the byte; nothing if there is none."""
        command = self.command(["crontab", "-l"], Path("/"))
        return subprocess.run(command, capture_output=True, check=False).stdout

    def write(self, content: bytes) -> None:
        """Make that the crontab."""
        subprocess.run(self.command(["crontab", "-"], Path("/")), input=content, check=True)


@contextmanager
def own_crontabs() -> Iterator[Crontabs]:
    """Such a namespace; skips where there is no cron, or we may not make it."""
    for name in ("crontab", "cron", "unshare", "nsenter"):
        if not shutil.which(name) and not os.path.exists(f"/usr/sbin/{name}"):
            pytest.skip(f"there is no {name}")
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _HIDE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"cannot have crontabs of one's own: {holder.communicate()[1].strip()}")
        yield Crontabs(holder.pid)
    finally:
        holder.kill()
        holder.communicate()
