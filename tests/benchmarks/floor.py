"""The minimum that a clean of small entries has to do: `python3 floor.py ROOT CATEGORY`.

A loop with only the system calls that the promises of SECURITY.md require, each once per entry:
open without following symlinks, fstat, lock and list it, move it aside and stat it there, then stat
and delete each file, and delete the entry. Without scan, policies, records, processes, output or
history.
"""

from __future__ import annotations

import fcntl
import os
import sys

TOGETHER = 64
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def clean(root: str, category: str) -> int:
    """Delete the directories in that category, which hold files alone; the bytes this freed."""
    top = os.open(root, FLAGS)
    os.mkdir("holding", dir_fd=top)
    holding, above = os.open("holding", FLAGS, dir_fd=top), os.open(category, FLAGS, dir_fd=top)
    blocks = 0
    names = sorted(os.listdir(above))
    for first in range(0, len(names), TOGETHER):
        taken = []
        for name in names[first : first + TOGETHER]:
            entry = os.open(name, FLAGS, dir_fd=above)
            status = os.fstat(entry)
            fcntl.flock(entry, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files = os.listdir(entry)
            os.rename(name, name, src_dir_fd=above, dst_dir_fd=holding)
            moved = os.stat(name, dir_fd=holding, follow_symlinks=False)
            assert os.path.samestat(status, moved)
            taken.append((name, entry, files))
            blocks += status.st_blocks
        for name, entry, files in taken:
            for file in files:
                blocks += os.stat(file, dir_fd=entry, follow_symlinks=False).st_blocks
                os.unlink(file, dir_fd=entry)
            os.rmdir(name, dir_fd=holding)
            os.close(entry)
    os.rmdir("holding", dir_fd=top)
    return blocks * 512


if __name__ == "__main__":
    clean(*sys.argv[1:])
