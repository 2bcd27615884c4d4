"""The tasks of this project: the shared ones, and its own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from common.temp.tasks import *  # noqa: F403 - __all__ there has the tasks and nothing else

PROJECT = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT / "src"))  # the package need not be installed


@task(help={"host": "Address to listen on (127.0.0.1).", "port": "Port; 0 is any that is free."})
def serve(c: Context, host: str = "127.0.0.1", port: str = "8000") -> None:
    """Serve until Ctrl-C, with the jobs in var/jobs."""
    from replay_api.__main__ import main

    os.chdir(PROJECT)
    code = main(["--host", host, "--port", port])
    if code:
        raise Exit(code=code)


@task
def demo(c: Context) -> None:
    """Replay a real route: upload, look, fetch; kill the server, and see what is left."""
    from replay_api.client import Client, serving
    from replay_api.errors import ReplayError
    from replay_api.samples import write_upload

    os.chdir(PROJECT)
    with tempfile.TemporaryDirectory(prefix="replay-api-demo-") as directory:
        try:
            uploaded = write_upload(Path(directory))
        except ReplayError as error:
            raise Exit(f"error: {error}", code=2) from None
        environment = {name: text for name, text in os.environ.items() if "REPLAY_API" not in name}
        with serving(PROJECT, environment) as server:
            client = Client(server.url)
            _say("A server is up. A flight along a real race route is uploaded, with a video.")
            _check(client.upload(uploaded, "race").status == 202)
            done = client.wait("race")
            _check(done["state"] == "done")
            _say("While its results wait to be fetched, its directory is in use by the server.")
            _status()
            for name, place in sorted(done["results"].items()):
                body = client.ask("GET", place).body
                print(f"fetched {name}: {len(body)} bytes")
                if name == "report.json":
                    report = json.loads(body)
            print(
                f"{report['samples']} samples, {report['distance_m'] / 1000:.1f} km in "
                f"{report['duration_s'] / 60:.0f} min: {report['energy_wh']:.1f} Wh, "
                f"{report['co2e_g']:.1f} g CO2e"
            )
            _until_there_are(0)
            _say("All results were fetched, so the directory is gone. Twenty more are uploaded …")
            for number in range(20):
                _check(client.upload(uploaded, f"flight-{number}").status == 202)
            server.kill()
            server.wait()
        _say(f"… and the server is killed (SIGKILL): {len(_jobs())} directories are left.")
        _check(len(_jobs()) == 20)
        with serving(PROJECT, environment):
            _until_there_are(0)
            _say("The next one recovered them when it started: none is left.")


@task
def build(c: Context) -> None:
    """Build the wheel into dist/."""
    with c.cd(PROJECT):
        c.run(f"{shlex.quote(sys.executable)} -m pip wheel --no-deps --wheel-dir dist .")


def _status() -> None:
    print("replay_api$ inv temp-status", flush=True)
    subprocess.run([sys.executable, "-m", "invoke", "temp-status"], cwd=PROJECT, check=True)


def _jobs() -> list[str]:
    """The directories of the jobs."""
    return sorted(path.name for path in (PROJECT / "var" / "jobs").iterdir() if path.name[0] != ".")


def _until_there_are(count: int) -> None:
    """Wait until there are that many jobs."""
    end = time.monotonic() + 30
    while len(_jobs()) != count:
        _check(time.monotonic() < end)
        time.sleep(0.01)


def _say(sentence: str) -> None:
    print(f"\n{sentence}", flush=True)


def _check(is_so: bool) -> None:
    """Exit with code 1 if something is not as described."""
    if not is_so:
        raise Exit("error: the demonstration did not go as it should", code=1)
