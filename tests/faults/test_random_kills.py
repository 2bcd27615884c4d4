"""SIGKILL at any instant of each way to clean and to undo: each entry is whole in one place."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import age, in_holding, make_project, stored, tempkeep

LABELS = ("one", "two", "three")
ALL_OLD = ("--max-age-hours", "1", "--yes")
NOTHING = ("temp-clean", "--max-age-hours", "999999", "--yes")
"""A sweep that takes no entry by itself, but finishes what was begun."""


class Way(NamedTuple):
    """A command that is killed, and where what it takes may lie."""

    command: tuple[str, ...]
    settings: str = ""
    first: tuple[str, ...] = ()
    """What is done before, and not killed."""
    deletes: bool = False


ARCHIVING = ("temp-clean", "--strategy", "archive", *ALL_OLD[-1:])
TAR = 'archive_format = "tar.gz"'
OTHER = 'archive_location = "{other}"'
UNDOABLE = ("temp-clean", *ALL_OLD, "--undoable")
WAYS = {
    "delete": Way(("temp-clean", *ALL_OLD), deletes=True),
    "set aside": Way(UNDOABLE),
    "undo": Way(("temp-restore", "--name", "two_1600000000"), first=UNDOABLE),
    "archive": Way(ARCHIVING),
    "archive as tar": Way(ARCHIVING, TAR),
    "archive elsewhere": Way(ARCHIVING, OTHER),
    "archive as tar elsewhere": Way(ARCHIVING, f"{TAR}\n{OTHER}"),
    "restore": Way(("temp-restore", "--name", "two_1600000000"), first=ARCHIVING),
    "restore from tar": Way(("temp-restore", "--name", "two_1600000000"), TAR, ARCHIVING),
    "restore from elsewhere": Way(
        ("temp-restore", "--name", "two_1600000000"), f"{TAR}\n{OTHER}", ARCHIVING
    ),
}


def digest(top: Path) -> str:
    """The names and contents of all that lies in `top`."""
    sums = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        sums.update(f"{path.relative_to(top)} {path.is_dir()}\n".encode())
        if path.is_file():
            sums.update(path.read_bytes())
    return sums.hexdigest()


def digest_of_tar(path: Path, base: Path) -> str:
    """The same of the only directory in a tar."""
    there = base / "unpacked"
    try:
        with tarfile.open(path) as tar:
            tar.extractall(there, filter="data")
        tops = list(there.iterdir())
        return digest(tops[0] if len(tops) == 1 and tops[0].is_dir() else there)
    finally:
        shutil.rmtree(there, ignore_errors=True)


def furnish(project: Path, chance: random.Random) -> dict[str, str]:
    """Make three old entries; what is in each, by label."""
    made = {}
    for label in LABELS:
        entry = project / ".tmp" / "debug" / f"{label}_1600000000"
        for number in range(chance.choice((1, 5, 60))):
            place = entry / "/".join(f"d{chance.randrange(3)}" for _ in range(chance.randrange(3)))
            place.mkdir(parents=True, exist_ok=True)
            (place / f"f{number}").write_bytes(chance.randbytes(chance.choice((0, 10, 20_000))))
        age(entry, 9999)
        made[label] = digest(entry)
    return made


def places(project: Path, archive: Path, label: str) -> list[Path]:
    """Where something that is called so lies."""
    found = list((project / ".tmp").glob(f"*/{label}_*"))
    for place in (archive, project / ".tmp" / ".tempkeep" / "undo"):
        found += [place / name for name in stored(place) if label in name]
    return found


def started(command: tuple[str, ...], project: Path) -> int:
    """The id of a forked process that runs `command` in `project`, and prints into its log."""
    child = os.fork()
    if child:
        with suppress(OSError):  # it has done so itself
            os.setpgid(child, child)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(project)
        with open(project.parent / "log", "a", buffering=1) as output:
            sys.stdout = sys.stderr = output
            code = tempkeep(*command)
    finally:
        os._exit(code)


def ran(command: tuple[str, ...], project: Path) -> int:
    """The exit code of `command`, run to its end."""
    return os.waitstatus_to_exitcode(os.waitpid(started(command, project), 0)[1])


def killed(command: tuple[str, ...], project: Path, after: float) -> bool:
    """Whether `command` still ran when it and its workers were killed `after` so many seconds."""
    child = started(command, project)
    end = time.monotonic() + after
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def campaign(base: Path, tmp_path: Path, rounds: int, seed: int) -> str:
    """What was counted in so many rounds, each of which must leave every entry whole.

    What is archived elsewhere goes to `tmp_path`: another filesystem, where `base` is in memory.
    """
    chance = random.Random(seed)
    log, counts = base / "log", Counter[str]()
    project = make_project(base / "project")
    other = tmp_path / "elsewhere"
    longest = dict.fromkeys(WAYS, 0.3)
    for number in range(rounds):
        name = tuple(WAYS)[number % len(WAYS)]
        way = WAYS[name]
        for left in (project / ".tmp", project / ".tmp-archive", other):
            shutil.rmtree(left, ignore_errors=True)
        settings = way.settings.format(other=other)
        (project / "pyproject.toml").write_text(f"[tool.tempkeep]\n{settings}\n")
        archive = other if "other" in way.settings else project / ".tmp-archive"
        made = furnish(project, chance)
        log.write_text(f"round {number}, {name}\n")
        assert not way.first or ran(way.first, project) == 0, log.read_text()
        began = time.monotonic()
        if killed(way.command, project, chance.uniform(0, longest[name])):
            counts["killed midway"] += 1
        else:
            longest[name] = max(0.01, time.monotonic() - began)
        while chance.random() < 0.3:  # and who finishes it is killed as well
            counts["killed again"] += killed(NOTHING, project, chance.uniform(0, 0.05))
        assert ran(NOTHING, project) == 0, log.read_text()
        assert in_holding(project / ".tmp") == [], log.read_text()
        for label, content in made.items():
            found = places(project, archive, label)
            if way.deletes and not found:
                counts["deleted"] += 1
                continue
            assert len(found) == 1, (found, log.read_text())
            is_tar = found[0].is_file()
            there = digest_of_tar(found[0], base) if is_tar else digest(found[0])
            assert there == content, (found, log.read_text())
            counts["whole in one place"] += 1
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    return f"{rounds} rounds of {len(WAYS)} ways to clean and to undo: {told}"


def test_an_entry_is_whole_in_one_place_after_a_kill_at_any_instant(
    base: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    figure(f"random kills: {campaign(base, tmp_path, 12, seed=1)}")


@pytest.mark.slow
def test_an_entry_is_whole_in_one_place_after_many_kills_at_any_instant(
    base: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    seed = int(time.time())
    figure(f"random kills, seed {seed}: {campaign(base, tmp_path, 600, seed)}")
