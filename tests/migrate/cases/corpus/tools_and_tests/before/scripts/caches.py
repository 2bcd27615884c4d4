"""Caches and logs in .tmp, made by hand in each way that there is."""

import os
import shutil
from pathlib import Path

BASE = Path(".tmp")
LOGS = os.path.join(".tmp", "logs")
SUFFIX = ".tmp"


def fixed():
    cache = Path(".tmp") / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    return cache.is_dir()


def numbered(number):
    out = BASE / f"run_{number}"
    out.mkdir(parents=True, exist_ok=True)
    return out.name


def by_os():
    os.makedirs(".tmp/by_os", exist_ok=True)
    os.makedirs(LOGS, exist_ok=True)
    return os.path.isdir(".tmp/by_os")


def plain():
    Path(".tmp").mkdir(exist_ok=True)
    Path(".tmp/plain").mkdir(exist_ok=True)
    return sorted(path.name for path in Path(".tmp").rglob("pl*"))


def written():
    with open(".tmp/log.txt", "w") as file:
        file.write("x")
    return Path(".tmp", "log.txt").read_text()


def in_turn():
    target = Path("out.txt")
    part = target.with_suffix(SUFFIX)
    part.write_text("x")
    part.replace(target)
    return target.name, target.unlink()


def clean():
    for name in ("build", ".tmp"):
        shutil.rmtree(name, ignore_errors=True)
    return os.path.exists(".tmp")


if __name__ == "__main__":
    print(fixed(), numbered(1), by_os(), plain(), written(), in_turn(), clean())
