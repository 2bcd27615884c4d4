"""Makes some of a tree's entries: a program, so that one tree can be made on all processors.

    grow.py CATEGORY FIRST END STEP FILES NESTED WHEN

A separate process and not a fork, since a signal during a fork can be lost.
"""

import os
import sys

NESTED = ("", *(f"d{a}" for a in range(8)), *(f"d{a}/d{b}" for a in range(8) for b in range(9)))
"""The directories of an entry: itself, 8 in it, and 9 in each of these, which makes 81."""

LARGEST = 4096
CONTENT = b"x" * LARGEST
FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY


def grow(entry: str, files: int, directories: tuple[str, ...], when: float) -> None:
    """An entry of so many files, 100 bytes to 4 KB, spread over all `directories`."""
    for index, directory in enumerate(directories):
        path = os.path.join(entry, directory)
        os.mkdir(path)
        descriptor = os.open(path, os.O_RDONLY)
        for number in range(index, files, len(directories)):
            file = os.open(f"file{number}.txt", FLAGS, dir_fd=descriptor)
            os.write(file, CONTENT[: 100 + number * 7919 % (LARGEST - 99)])
            os.utime(file, (when, when))
            os.close(file)
        os.close(descriptor)
    for directory in reversed(directories):
        os.utime(os.path.join(entry, directory), (when, when))


if __name__ == "__main__":
    first, end, step, files, nested = map(int, sys.argv[2:7])
    for number in range(first, end, step):
        entry = f"{sys.argv[1]}/demo_{1_696_348_800 + number}"
        grow(entry, files, NESTED if nested else ("",), float(sys.argv[7]))
