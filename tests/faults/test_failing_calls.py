"""`strace` makes each system call of a removal fail in turn: one failed step, no crash."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.temp.store.root.pinning import read_pin, write_pin
from tests.support import (
    LONG_AGO,
    Process,
    age,
    listing,
    make_entry,
    process,
    swept,
)

ERRORS = ("EACCES", "EBUSY", "ENOTEMPTY", "EIO", "ENOENT", "EROFS", "ESTALE", "EINTR")
MANY = 80

# One interpreter for all sweeps: each is a forked child, to which strace is attached once its
# first entry is gone. By then it has read `/proc`, which is never the same twice; what it does
# from then on is. It has no workers: when they would come in, and at which call, is the clock's.
SWEEPER = """
import ctypes, json, os, select, sys, time, traceback
from pathlib import Path
from common.temp.core.policy import Policy
from common.temp.core.units import HOUR
from common.temp.store.sweep import rechecks
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute

rechecks._CHECK_SECONDS = 1e9  # once, however long all else takes

def wait(outcome):
    if outcome.step == plan.steps[0]:
        print(os.getpid(), flush=True)
        # Which strace interrupts as it attaches, and may see begin again; so it is no read.
        select.select([0], [], [])
        os.read(0, 3)

root = Path(".tmp").absolute()
print("ready", flush=True)
while sys.stdin.readline():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    # Whoever is not root may trace only its children where Yama is strict, unless they agree.
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
    try:
        plan = prepare(root, Policy(max_age=HOUR), time.time(), workers=1)
        report = execute(plan, on_outcome=wait, workers=1)
        said = {
            "outcomes": {o.step.entry.path: (o.status, o.detail) for o in report.outcomes},
            "problems": [f"{p.path}: {p.what}" for p in report.problems],
        }
    except BaseException:
        said = {"stopped": traceback.format_exc()}
    print(json.dumps(said), flush=True)
    os._exit(0)
"""

OWNER = f"""{LONG_AGO}
from common.temp import TempManager
print(TempManager.create_persistent_dir("run", "work"), flush=True)
input()
"""

ENTRIES = ("cache/tree", "cache/link", "cache/file")
"""What goes after the entry of the dead owner, by age."""


class Call(NamedTuple):
    """The `number`th call of that `name` since strace was attached."""

    name: str
    number: int


class Traced(NamedTuple):
    """What a traced sweep said, and the lines of the trace."""

    said: dict[str, Any]
    lines: list[str]


class Scene:
    """A root with the same entries before each sweep, two that must stay, and a canary outside."""

    def __init__(
        self, project: Path, sweeper: Process, dead: Path, owner_file: Path, live: Path
    ) -> None:
        self.root = project / ".tmp"
        self.sweeper = sweeper
        self.log = project / "strace.log"
        self.owner_file = owner_file, owner_file.read_bytes()
        self.dead = dead.relative_to(self.root).as_posix()
        self.gone = {self.dead, *ENTRIES}
        self.pinned = "debug/pinned"
        self.kept = {live.relative_to(self.root).as_posix(), self.pinned}
        self.canary = make_entry(project, "canary", files=3)
        self.outside = self.look_outside()

    def look_outside(self) -> list[tuple[str, int, int]]:
        paths = [self.canary, *sorted(self.canary.iterdir())]
        return [(path.name, path.lstat().st_mode, path.lstat().st_mtime_ns) for path in paths]

    def fill(self) -> None:
        """Make the entries that go, whatever the sweep before left of them."""
        for path in (*self.root.glob("cache/*"), self.root / self.dead):
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path)
        for kept in self.kept:
            (self.root / kept).mkdir(parents=True, exist_ok=True)
            (self.root / kept / "precious").write_text("p")
            age(self.root / kept, 99)
        write_pin(self.root, self.pinned, "precious")
        path, content = self.owner_file
        path.write_bytes(content)
        make_entry(self.root, self.dead, age_hours=90)
        tree = make_entry(self.root, "cache/tree")
        make_entry(tree, "sub/deeper")
        (tree / "sub" / "link").symlink_to(self.canary)
        (tree / "closed").mkdir()
        (self.root / "cache" / "link").symlink_to(self.canary)
        (self.root / "cache" / "file").write_text("f")
        age(tree, 12)
        age(self.root / "cache" / "link", 12)
        os.utime(tree / "sub" / "link", (0, 0), follow_symlinks=False)
        age(self.root / "cache" / "file", 11)
        (tree / "closed").chmod(0)

    def sweep(self, *options: str) -> Traced:
        """A sweep under strace with `options`; skips where that may not trace."""
        self.fill()
        assert self.sweeper.stdin is not None
        assert self.sweeper.stdout is not None
        self.log.unlink(missing_ok=True)
        self._tell("go")
        pid = self.sweeper.stdout.readline().strip()
        if not pid.isdigit():
            raise AssertionError(f"not even planned: {pid}")
        command = ["strace", "-f", "-y", "-s", "4096", "-o", str(self.log), *options, "-p", pid]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            heard = tracer.stderr.readline()
            self._tell("go")
            said = json.loads(self.sweeper.stdout.readline())
        if "attached" not in heard:
            pytest.skip(f"cannot trace: {heard.strip()}")
        return Traced(said, self.log.read_text(errors="replace").splitlines())

    def _tell(self, line: str) -> None:
        assert self.sweeper.stdin is not None
        self.sweeper.stdin.write(f"{line}\n")
        self.sweeper.stdin.flush()

    def check_told(self, statuses: dict[str, str]) -> None:
        """What is done is gone, and what is not done is in its place or held, never both."""
        held = os.listdir(self.root / ".tempkeep" / "holding")
        there = {path for path in statuses if os.path.lexists(self.root / path)}
        not_done = {path for path, status in statuses.items() if status != "done"}
        assert there <= not_done
        assert len(there) + len(held) <= len(not_done)

    def check_clean(self) -> None:
        """The next sweep ends well, and what was to stay is there: what the one before had only
        moved aside is put back first, and goes with the one after. The third finds nothing to do.
        """
        for _ in range(3):
            report = swept(self.root)
            assert not report.failed
            if not (report.outcomes or report.finished):
                break
        assert (report.outcomes, report.finished) == ((), 0)
        assert {verdict.entry.path for verdict in report.plan.kept} == self.kept
        assert listing(self.root / ".tempkeep" / "holding") == []
        assert not list(self.root.glob(".tempkeep-held-*"))
        assert all((self.root / kept / "precious").read_text() == "p" for kept in self.kept)
        assert read_pin(self.root, self.pinned) == "precious"
        assert self.look_outside() == self.outside


@pytest.fixture
def scene(project: Path) -> Iterator[Scene]:
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    with process(OWNER, cwd=project) as dead:
        pass
    (owner_file,) = (project / ".tmp" / ".tempkeep" / "owners").iterdir()
    with process(OWNER, cwd=project) as alive, process(SWEEPER, cwd=project) as sweeper:
        yield Scene(project, sweeper, Path(dead.first_line), owner_file, Path(alive.first_line))


def removal_of(lines: Sequence[str], root: Path) -> Iterator[tuple[Call, str]]:
    """The calls of the removal among all that were traced: what concerns the root or mounts."""
    counted: Counter[str] = Counter()
    for line in lines:
        match = re.match(r"\d+ +(\w+)\(", line)
        if match is None:
            continue
        name = match[1]
        counted[name] += 1
        if str(root) in line or "mountinfo" in line:
            yield Call(name, counted[name]), line


def in_turn(calls: Sequence[Call]) -> list[tuple[Call, str]]:
    """The first call of each kind, and every sixth one after it, each with the next error; of looks
    and closings, of which there are a hundred, as many as meet each error.

    All of them with all errors take an hour: see the test that is marked `slow`.
    """
    all_of, met = Counter(call.name for call in calls), Counter[str]()
    chosen = []
    for call in calls:
        many = all_of[call.name] > MANY
        turn, rest = divmod(met[call.name], all_of[call.name] // len(ERRORS) if many else 6)
        if rest == 0:
            chosen.append((call, ERRORS[turn % len(ERRORS)]))
        met[call.name] += 1
    return chosen


def with_every_error(calls: Sequence[Call]) -> list[tuple[Call, str]]:
    return [(call, error) for call in calls for error in ERRORS]


def inject(scene: Scene, call: Call, error: str, at: str = "") -> str:
    """The status of the entry in whose removal `call` failed with `error`; "" if the call was
    another one this time, or not `at` that path, and what is wrong if something is.
    """
    said, lines = scene.sweep(
        *("-e", f"trace={call.name}"),
        *("-e", f"inject={call.name}:error={error}:when={call.number}"),
    )
    where = [line for _, line in removal_of(lines, scene.root) if "(INJECTED)" in line]
    if not where or at not in where[0]:
        swept(scene.root)
        swept(scene.root)  # what was put back first
        return ""
    ends = said.get("outcomes", {})
    statuses = {path: status for path, (status, _) in ends.items()}
    not_done = [(status, detail) for status, detail in ends.values() if status != "done"]
    try:
        assert "stopped" not in said
        assert statuses.keys() == scene.gone
        assert len(not_done) <= 1
        for status, detail in not_done:
            if status == "skipped" and "that cannot be checked" not in detail:
                assert (error, detail) == ("ENOENT", "is gone already")
            else:
                reason = os.strerror(getattr(errno, error))
                assert reason in detail or "is being written to" in detail
        # Where the filesystem says that a thing is not there, it is rightly taken for gone.
        if error != "ENOENT":
            scene.check_told(statuses)
        if error != "ENOENT" or scene.pinned not in where[0]:
            scene.check_clean()
    except AssertionError as problem:
        return f"{call.name} #{call.number} {error}: {where}\n{said}\n{problem}"
    return not_done[0][0] if not_done else "done"


def fail_in_turn(
    scene: Scene, choose: Callable[[Sequence[Call]], list[tuple[Call, str]]]
) -> tuple[list[Call], Counter[str]]:
    """The calls of a removal, and how often which end came of it that one failed."""
    said, lines = scene.sweep()
    assert {status for status, _ in said["outcomes"].values()} == {"done"}, said
    calls = [call for call, _ in removal_of(lines, scene.root)]
    kinds = {call.name for call in calls}
    assert {"openat", "unlinkat", "flock", "getdents64", "close"} <= kinds
    assert any(kind.startswith("rename") for kind in kinds)
    ends = Counter(inject(scene, call, error) for call, error in choose(calls))
    wrong = [end for end in ends if end not in ("", "done", "skipped", "failed")]
    assert not wrong, "\n\n".join(wrong)
    assert ends[""] <= sum(ends.values()) // 4, ends
    return calls, ends


def tell(what: str, calls: Sequence[Call], ends: Counter[str]) -> str:
    return (
        f"4. {what}: {sum(ends.values()) - ends['']} injections ({len(calls)} calls of "
        f"{len({call.name for call in calls})} kinds, {len(ERRORS)} errors), "
        f"{ends['failed']} failed with path and reason, {ends['done']} done all the same, "
        f"{ends['skipped']} skipped; 0 sweeps stopped"
    )


def test_a_call_of_the_removal_that_fails_is_one_outcome_and_the_sweep_goes_on(
    scene: Scene, figure: Callable[[str], None]
) -> None:
    calls, ends = fail_in_turn(scene, in_turn)
    assert ends["failed"]
    figure(tell("each call of a removal made to fail in turn", calls, ends))


def test_a_pin_outlives_a_failing_look_at_the_entry_that_it_keeps(scene: Scene) -> None:
    _, lines = scene.sweep()
    looks = [call for call, line in removal_of(lines, scene.root) if scene.pinned in line]
    assert looks
    chosen = with_every_error(looks)
    for _ in range(3):  # on a busy machine, a sweep makes its calls in another order
        ends = Counter(inject(scene, look, error, scene.pinned) for look, error in chosen)
        assert ends.keys() <= {"done", ""}, "\n\n".join(ends)
        if ends["done"]:
            return
    pytest.fail("no look at the entry has failed")


@pytest.mark.slow
def test_every_call_of_the_removal_may_fail_with_every_error(
    scene: Scene, figure: Callable[[str], None]
) -> None:
    calls, ends = fail_in_turn(scene, with_every_error)
    figure(tell("each call of a removal made to fail with each error", calls, ends))
