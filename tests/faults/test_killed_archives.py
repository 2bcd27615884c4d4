"""Killed archiving and restoring: after the next sweep, an entry is whole in exactly one place."""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.policy import Policy
from common.temp.store.archive.local import LocalArchive
from common.temp.store.archive.restore import finish_killed, restore
from common.temp.store.shelf.belongs import Place, place_of
from common.temp.store.shelf.dropping import drop
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.shelf.manifest import MANIFEST
from common.temp.store.system.archive_formats import ArchiveFormat
from common.temp.store.trees.contents import digest
from tests.faults.test_killed_sweeps import reap, subreaper
from tests.store.trees import seen
from tests.support import EVERYTHING, age, in_holding, stored, swept

CALM = 3
NOTHING = Policy()
STEPS = frozenset(
    {
        "open", "os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "os.symlink",
        "os.chmod", "os.chown", "os.utime", "os.truncate", "os.setxattr", "ctypes.dlsym",
        "subprocess.Popen", "fcntl.flock",
    }
)  # fmt: skip
"""What Python tells before it does it, of all that changes something on a disk."""


class Case:
    """An entry, and the archive that it goes to, on the same filesystem or on another."""

    def __init__(self, root: Path, archive: Path, form: ArchiveFormat) -> None:
        self.root = root
        self.archive = archive
        self.form = form
        self.path = root / "debug" / "run_1696348800"
        self.whole = ""

    def build(self, files: int, size: int) -> None:
        """Make the entry anew."""
        (self.path / "deep" / "er").mkdir(parents=True)
        for number in range(files):
            (self.path / "deep" / f"file{number}").write_bytes(os.urandom(size))
        os.link(self.path / "deep" / "file0", self.path / "other name")
        (self.path / "link").symlink_to("deep")
        (self.path / "deep" / "er" / "last").write_text("last")
        (self.path / "deep" / "er").chmod(0o500)
        age(self.path, 24)
        self.whole = seen(self.path)

    def archive_it(self) -> None:
        report = swept(
            self.root, EVERYTHING, disposal="archive", archive=self.archive,
            archive_format=self.form, workers=1,
        )  # fmt: skip
        assert [outcome.status for outcome in report.outcomes] == ["done"], report.outcomes

    def restore_it(self) -> None:
        (found,) = list_shelf(self.archive, self.root)
        restore(LocalArchive(self.archive), found, self.place())

    def place(self) -> Place:
        (found,) = list_shelf(self.archive, self.root)
        return place_of(found, self.root.parent)

    def where(self) -> str:
        """After the next sweep: in which of the two places it is whole."""
        report = swept(self.root, NOTHING, archive=self.archive)
        assert report.problems == ()
        assert in_holding(self.root) == []
        assert not self.archive.exists() or in_holding(self.archive) == []
        found = list_shelf(self.archive, self.root)
        assert len(stored(self.archive)) == len(found) <= 1
        assert len(list(self.archive.glob(f"*{MANIFEST}"))) == len(found)
        places = []
        if os.path.lexists(self.path):
            assert seen(self.path) == self.whole
            assert os.listdir(self.path.parent) == [self.path.name]
            places.append("root")
        for archived in found:
            assert archived.manifest is not None
            archive = LocalArchive(self.archive)
            contents = archive.contents(archived, contents=archived.manifest.has_contents)
            assert archived.manifest.fits(digest(contents))
            assert digest(archive.contents(archived)).hexdigest == self.whole
            places.append("archive")
        (place,) = places
        return place

    def build_again(self, files: int, size: int) -> None:
        """Make it anew if it is in the archive; from the root it can be archived once more."""
        for archived in list_shelf(self.archive, self.root):
            assert drop(self.archive, archived).failures == []
        if not os.path.lexists(self.path):
            self.build(files, size)


def forked(work: Callable[[], None]) -> int:
    """The pid of a child that does `work`, in a process group of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    with suppress(OSError):  # whoever comes first
        os.setpgid(child, child)
    return child


def killed_before(step: int, work: Callable[[], None]) -> bool:
    """Whether `work`, in a child, was killed before that step, or had come to its end by then."""

    def watched() -> None:
        count = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event in STEPS and (event != "open" or _writes(arguments)):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()

    status = reap(forked(watched)).status
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if isinstance(arguments[2], int) else 0
    return bool(flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR))


MOVED = pytest.param("dir", False, id="moved")
COPIED = pytest.param("dir", True, id="copied")
PACKED = pytest.param("tar.gz", False, id="packed")
ELSEWHERE = pytest.param("tar.zst", True, id="packed elsewhere")
CASE = ("form", "across")


@pytest.fixture
def case(base: Path, tmp_path: Path, form: ArchiveFormat, across: bool) -> Case:
    """In memory, with the archive beside it or on a disk."""
    above = tmp_path if across else base
    if across and tmp_path.stat().st_dev == base.stat().st_dev:
        pytest.skip("needs /dev/shm as a second filesystem")
    return Case(base / "project" / ".tmp", above / "archive", form)


@pytest.mark.parametrize(CASE, [MOVED, COPIED, PACKED])
def test_an_archiving_that_is_killed_before_any_step_leaves_it_whole_in_one_place(
    case: Case, figure: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    places: Counter[str] = Counter()
    step = 0
    with subreaper():
        while True:
            step += 1
            case.build_again(files=2, size=2000)
            was_killed = killed_before(step, case.archive_it)
            place = case.where()
            if not was_killed:
                break
            places[place] += 1
    assert place == "archive"
    name = request.node.callspec.id
    assert places["root"] > 0
    assert places["archive"] > 0 or name == "moved", "which is its last step"
    figure(
        f"9. SIGKILL before each of the {step - 1} steps of an archiving ({name}): whole in one "
        f"place each time ({places['root']} times the root, {places['archive']} the archive)"
    )


@pytest.mark.parametrize(CASE, [MOVED, ELSEWHERE])
def test_a_restoring_that_is_killed_before_any_step_leaves_it_whole_in_one_place(
    case: Case, figure: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    places: Counter[str] = Counter()
    step = 0
    case.build(files=2, size=2000)
    with subreaper():
        case.archive_it()
        while True:
            step += 1
            was_killed = killed_before(step, case.restore_it)
            finish_killed(LocalArchive(case.archive), case.root)
            place = case.where()
            if place == "root":
                case.archive_it()
            if not was_killed:
                break
            places[place] += 1
    assert place == "root"
    assert places["archive"] > 0
    name = request.node.callspec.id
    figure(
        f"9. SIGKILL before each of the {step - 1} steps of a restoring ({name}): whole in one "
        f"place each time ({places['root']} times the root, {places['archive']} the archive)"
    )


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize(CASE, [COPIED, PACKED])
def test_an_archiving_that_is_killed_at_any_time_leaves_it_whole_in_one_place(
    case: Case, figure: Callable[[str], None], request: pytest.FixtureRequest, kills: int
) -> None:
    chance = random.Random(9)
    places: Counter[str] = Counter()
    took: list[float] = []
    killed = 0
    with subreaper():
        for number in range(CALM + kills):
            case.build_again(files=40, size=20_000)
            started = time.monotonic()
            main = forked(case.archive_it)
            if number >= CALM:
                time.sleep(chance.uniform(0, statistics.median(took)))
                # Its `tar` and `zstd` as well, or they find out by themselves.
                (os.killpg if number % 2 else os.kill)(main, signal.SIGKILL)
            ended = reap(main)
            if os.WIFSIGNALED(ended.status):
                killed += 1
            else:
                assert ended.status == 0
                took.append(ended.at - started)
            places[case.where()] += 1
    assert killed, "the kills came too late"
    name = request.node.callspec.id
    figure(
        f"9. SIGKILL at {kills} random instants of an archiving ({name}), {killed} before its end: "
        f"whole in one place each time ({places['root']} times the root, {places['archive']} the "
        "archive)"
    )
