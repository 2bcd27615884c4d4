#!/usr/bin/env python3
"""Uploads that are unpacked, checked and put away."""

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path


def unpack():
    target = tempfile.mkdtemp()
    Path(target, "x").touch()
    return sorted(os.listdir(target)), shutil.rmtree(target)


def check():
    target = tempfile.mkdtemp(prefix="upload-")
    try:
        return os.path.basename(target).startswith("upload-")
    finally:
        shutil.rmtree(target)


def keep():
    target = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    return os.path.isdir(target)


def part():
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("x")
    os.unlink(file.name)
    return True


def plain_part():
    with tempfile.NamedTemporaryFile("w") as file:
        return os.path.exists(file.name)


def handle():
    descriptor, name = tempfile.mkstemp()
    os.close(descriptor)
    os.unlink(name)
    return True


def stacked():
    with ExitStack() as stack:
        target = stack.enter_context(tempfile.TemporaryDirectory())
        return os.path.isdir(target)


def lasting():
    holder = tempfile.TemporaryDirectory()
    held = os.path.isdir(holder.name)
    holder.cleanup()
    return held


def made(factory=tempfile.mkdtemp):
    path = factory()
    os.rmdir(path)
    return True


def directory():
    return tempfile.TemporaryDirectory()


def by_name():
    path = getattr(tempfile, "mkdtemp")()
    os.rmdir(path)
    return True


def copied():
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(__file__, work)
        return os.listdir(work) == [os.path.basename(__file__)]


def yielded():
    with tempfile.TemporaryDirectory() as work:
        yield os.path.isdir(work)


def returned():
    with tempfile.TemporaryDirectory() as work:
        return work


def waited():
    with tempfile.TemporaryDirectory() as work:  # tempkeep: keep TK004 the scanner wants this name
        return os.path.isdir(work)


def main():
    for function in (unpack, check, keep, part, plain_part, handle, stacked, lasting, made):
        print(function.__name__, function())
    with directory() as work:
        print(os.path.isdir(work))
    print(by_name(), copied(), list(yielded()), os.path.isabs(returned()), waited())


if __name__ == "__main__":
    main()
