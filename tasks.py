"""The monorepo's tasks: the shared ones, and a few for this repository."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from common.temp.tasks import *  # noqa: F403

REPOSITORY = Path(__file__).resolve().parent
COPIED = ("projects", "pyproject.toml", "tasks.py")
CLIENTS = {
    "photos": "makes thumbnails, a contact sheet and a report of photos that scikit-image ships",
    "impact": "samples what insurance plans do to visits to the doctor, chunk by chunk to disk",
    "captions": "serves WebVTT for WAV files; a client hangs up midway, and the server is killed",
    "pipeline": "makes runs of a script, tones and a table, two at a time, and has one killed",
    "replay_api": "serves flight logs: a directory for each job, also when the server is killed",
}
"""The clients under `projects/`, and what the task `demo` of each does."""

PHOTO_JOB = """
import sys
from common.temp import get_debug_temp_dir
path = get_debug_temp_dir("long-job")
(path / "partial.txt").write_text("half of the result")
print(path.name, flush=True)
sys.stdin.readline()
"""


@task(help={"args": "Arguments for pytest, as one text."})
def test(c: Context, args: str = "") -> None:
    """Run the tests."""
    with c.cd(str(REPOSITORY)):
        done = c.run(f"{shlex.quote(sys.executable)} -m pytest {args}", pty=True, warn=True)
    raise Exit(code=done.exited if done else 1)


@task
def demo(c: Context) -> None:
    """Run the example clients in a throw-away copy, and show the status, a dry run and a clean."""
    with tempfile.TemporaryDirectory(prefix="tempkeep-demo-") as directory:
        copy = Path(directory, "monorepo")
        copy.mkdir()
        Path(directory, "tmp").mkdir(mode=0o700)
        for name in COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                left_out = shutil.ignore_patterns("__pycache__", ".*", "var")
                shutil.copytree(source, copy / name, ignore=left_out)
            else:
                shutil.copy2(source, copy)
        # A temporary directory and settings of its own keep the user's out of it.
        kept = {key: text for key, text in os.environ.items() if not key.startswith("TEMPKEEP_")}
        own = Path(directory, "tmp")
        _show(copy, {**kept, "TMPDIR": str(own), "XDG_STATE_HOME": str(own / "state")})


def _show(copy: Path, environment: dict[str, str]) -> None:
    def inv(directory: Path, *arguments: str) -> None:
        shown = f"{directory.name}$ inv {shlex.join(arguments)}"
        print(shown, flush=True)
        command = [sys.executable, "-m", "invoke", *arguments]
        done = subprocess.run(command, cwd=directory, env=environment, check=False)
        if done.returncode:
            raise Exit(f"error: {shown} ended with {done.returncode}", code=done.returncode)

    _say("A copy of this monorepo, in which its clients work; each makes scratch of another kind.")
    for name, does in CLIENTS.items():
        _say(f"{name} {does}.")
        inv(copy / "projects" / name, "demo")
    _leave_something_old(copy)
    photos = copy / "projects" / "photos"
    job = subprocess.Popen(
        [sys.executable, "-c", PHOTO_JOB],
        cwd=photos,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert job.stdout is not None
        name = job.stdout.readline().strip()
        _say("Every scratch directory: how big, how old, who uses it, and what a clean would do.")
        inv(copy, "temp-status", "--all-projects")
        _say("Only what has not changed for a day would go: the old helper's directory.")
        inv(copy, "temp-clean", "--max-age-hours", "24", "--dry-run", "--all-projects")
        _say(f"Everything that nothing protects goes; {name} stays, for its process still runs.")
        inv(copy, "temp-clean", "--yes", "--all-projects")
    finally:
        job.kill()
        job.communicate()
    _say("That process was killed just now (SIGKILL): the same command cleans what it left.")
    inv(copy, "temp-clean", "--yes", "--all-projects")
    _say("Nothing is left. The copy is thrown away now; your own scratch was not touched.")


def _leave_something_old(copy: Path) -> None:
    """Make a directory as a script with the old helper would have left it three days ago."""
    old = copy / ".tmp" / f"demo_{int(time.time()) - 3 * 86_400}"
    old.mkdir(parents=True)
    (old / "result.txt").write_text("forgotten\n" * 1000)
    when = time.time() - 3 * 86_400
    for path in (old / "result.txt", old):
        os.utime(path, (when, when))


def _say(sentence: str) -> None:
    print(f"\n=== {sentence}\n", flush=True)
