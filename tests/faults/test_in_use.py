"""Whatever is in use stays, however it is used and whatever cleans."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from common.temp.errors import TempError
from common.temp.manager import TempManager
from common.temp.pipeline import cleanup_after_pipeline_run
from tests.support import age, environment, inv, listing, make_project, tempkeep

PATIENCE = 30.0
"""Seconds in which a process must have begun its work."""

OWNED = """
import os, subprocess, sys, time
from pathlib import Path
from common.temp import TempManager
entry = TempManager.create_persistent_dir("w", "debug")
(entry / "data").write_text("x")
def ready():
    (Path.cwd() / "places" / sys.argv[1]).write_text(str(entry))
"""
PLAIN = """
import os, socket, subprocess, sys, time
from pathlib import Path
entry = Path.cwd() / ".tmp" / "debug" / f"{sys.argv[1]}_1600000000"
entry.mkdir(parents=True)
(entry / "data").write_text("x")
def ready():
    (project / "places" / sys.argv[1]).write_text(str(entry))
project = Path.cwd()
os.chdir("/")
"""
WAIT = "\ntime.sleep(600)\n"


class Kind(NamedTuple):
    """A way to work in an entry; `proc` is one that only `/proc` can tell of."""

    code: str
    proc: bool = False


KINDS = {
    "owner": Kind(OWNED + "ready()" + WAIT),
    "forked child that outlives its parent": Kind(
        OWNED + "if os.fork(): os._exit(0)\nready()" + WAIT
    ),
    "daemon that closed all it had open": Kind(
        OWNED
        + "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        + "os.closerange(0, 1024)\nready()\nos.chdir('/')"
        + WAIT
    ),
    "program that the owner became": Kind(
        OWNED + "ready()\nos.chdir('/')\nos.execv('/bin/sleep', ['sleep', '600'])"
    ),
    "owner whose descriptors were closed": Kind(
        OWNED + "os.closerange(3, 1024)\nready()\nos.chdir('/')" + WAIT
    ),
    "process that stands in it": Kind(PLAIN + "os.chdir(entry)\nready()" + WAIT, proc=True),
    "process with an open file": Kind(
        PLAIN + "file = open(entry / 'data')\nready()" + WAIT, proc=True
    ),
    "process with an open directory": Kind(
        PLAIN + "there = os.open(entry, os.O_RDONLY)\nready()" + WAIT, proc=True
    ),
    "process with a deleted open file": Kind(
        PLAIN + "file = open(entry / 'gone', 'w')\nos.unlink(entry / 'gone')\nready()" + WAIT,
        proc=True,
    ),
    "program that lies in it": Kind(
        PLAIN
        + "import shutil\nshutil.copy('/bin/sleep', entry / 'tool')\n"
        + "subprocess.Popen([entry / 'tool', '600'])\ntime.sleep(0.3)\nready()",
        proc=True,
    ),
    "process with a mapped file": Kind(
        PLAIN
        + "import mmap\nopen(entry / 'map', 'wb').write(b'x' * 4096)\n"
        + "number = os.open(entry / 'map', os.O_RDWR)\nlibc = __import__('ctypes').CDLL(None)\n"
        + "libc.mmap.restype = __import__('ctypes').c_void_p\n"
        + "libc.mmap(None, 4096, 3, 1, number, 0)\nos.close(number)\nready()"
        + WAIT,
        proc=True,
    ),
    "process that listens at a socket": Kind(
        PLAIN
        + "server = socket.socket(socket.AF_UNIX)\nserver.bind(str(entry / 's'))\n"
        + "server.listen()\nready()"
        + WAIT,
        proc=True,
    ),
    "shell that holds a lock": Kind(
        PLAIN
        + "import fcntl\nnumber = os.open(entry, os.O_RDONLY)\n"
        + "fcntl.flock(number, fcntl.LOCK_SH)\nready()"
        + WAIT
    ),
    "job in an inner root": Kind(
        "import os, sys, time\nfrom pathlib import Path\nfrom common.temp import StorageRoot\n"
        "storage = StorageRoot(Path('.tmp/work/service/jobs'))\njob = storage.allocate_job('one')\n"
        "(job.root / 'data').write_text('x')\n"
        "(Path.cwd() / 'places' / sys.argv[1]).write_text(str(job.root.absolute()))\n"
        "os.chdir('/')" + WAIT
    ),
    "run of a pipeline in an inner root": Kind(
        "import os, sys, time\nfrom pathlib import Path\nfrom common.temp import start_run\n"
        "os.makedirs('.tmp/work/artifacts')\nrun = Path(start_run('.tmp/work/artifacts'))\n"
        "(run / 'data').write_text('x')\n"
        "(Path.cwd() / 'places' / sys.argv[1]).write_text(str(run.absolute()))\n"
        "os.chdir('/')" + WAIT
    ),
    "entry of a project that was cloned into one": Kind(
        "import os, sys, time\nfrom pathlib import Path\nplace = Path.cwd() / 'places'\n"
        "inner = Path('.tmp/work/clone_1600000000')\ninner.mkdir(parents=True)\n"
        "(inner / 'pyproject.toml').write_text('')\nos.chdir(inner)\n"
        "from common.temp import get_debug_temp_dir\nentry = get_debug_temp_dir('x')\n"
        "(entry / 'data').write_text('x')\n(place / sys.argv[1]).write_text(str(entry))\n"
        "os.chdir('/')" + WAIT
    ),
}

CLEANS: dict[str, Callable[[], object]] = {
    "--everything": lambda: tempkeep("temp-clean", "--everything", "--yes"),
    "--max-age-hours 0": lambda: tempkeep("temp-clean", "--max-age-hours", "0"),
    "--undoable": lambda: tempkeep("temp-clean", "--everything", "--yes", "--undoable"),
    "archive": lambda: tempkeep("temp-clean", "--strategy", "archive", "--yes"),
    "--background": lambda: (
        inv("temp-clean", "--everything", "--yes", "--background", cwd=Path.cwd()).returncode
    ),
    "--scheduled": lambda: tempkeep("temp-clean", "--scheduled", "--strategy", "aggressive"),
    "--all-projects": lambda: tempkeep("temp-clean", "--all-projects", "--yes"),
    "clean": lambda: tempkeep("clean"),
    "TempManager": lambda: TempManager.clean_persistent_temps(0),
    "pipeline": lambda: cleanup_after_pipeline_run(".tmp"),
}


@contextmanager
def at_work(project: Path, kinds: dict[str, Kind]) -> Iterator[dict[str, Path]]:
    """One process of each kind at work in `project`; where each works."""
    places = project / "places"
    places.mkdir()
    started = []
    try:
        for kind, (code, _) in kinds.items():
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", code, kind],
                    cwd=project,
                    env=environment(),
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                )
            )
        end = time.monotonic() + PATIENCE
        while len(list(places.iterdir())) < len(kinds):
            assert time.monotonic() < end, kinds.keys() - {path.name for path in places.iterdir()}
            time.sleep(0.05)
        yield {path.name: Path(path.read_text()) for path in places.iterdir()}
    finally:
        for one in started:
            with suppress(OSError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        # Daemons have left the session that they were started in.
        subprocess.run(["pkill", "-KILL", "-f", str(places)], check=False)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_nothing_goes_that_anybody_works_in_whatever_cleans(
    base: Path,
    figure: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make_project(base / "project")
    monkeypatch.chdir(project)
    with at_work(project, KINDS) as places:
        for place in places.values():
            age(place, 9999)
        before = {kind: listing(place) for kind, place in places.items()}
        for name, clean in CLEANS.items():
            dead = project / ".tmp" / "debug" / "dead_1600000000"
            dead.mkdir()
            age(dead, 9999)
            with suppress(TempError):
                clean()
            told = capsys.readouterr()
            for kind, place in places.items():
                assert place.exists(), f"{kind}: {name}: {told.out}{told.err}"
                assert listing(place) == before[kind], f"{kind}: {name}"
            assert name in ("clean", "pipeline") or not dead.exists(), (
                f"{name}: {told.out}{told.err}"
            )
            shutil.rmtree(dead, ignore_errors=True)
    figure(f"in use: {len(KINDS)} ways to work in an entry, {len(CLEANS)} ways to clean: all whole")
