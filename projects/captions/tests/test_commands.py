from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.each import each
from tests.support import run_in
from tests.warm import in_environment

CAPTIONS = Path(__file__).resolve().parents[1]
OWN = {"build", "demo", "serve"}
SHARED = {"clean", "temp-clean", "temp-explain", "temp-pin", "temp-status", "temp-unpin"}


def run(
    *command: str | Path, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PYTHONPATH": path, **more}
    server = None if "PYTHONPATH" in more else in_environment(sys.executable, env, "captions")
    given = [sys.executable, *map(str, command)]
    return run_in(env, given, cwd=cwd or Path.cwd(), server=server)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A throw-away copy of this project."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "tests", "var")
    return Path(shutil.copytree(CAPTIONS, tmp_path / "copy", ignore=ignored))


@each(
    ("arguments", "environment", "said"),
    [
        (["--port=x"], {}, "argument --port: 'x' is not a whole number from 0 to 65535"),
        (["--port=65536"], {}, "argument --port: '65536' is not a whole number from 0"),
        (["--sport=1"], {}, "unrecognized arguments: --sport=1"),
        ([], {"CAPTIONS_MAX_UPLOAD_MB": "big"}, "CAPTIONS_MAX_UPLOAD_MB: expected a number"),
        ([], {"CAPTIONS_MAX_UPLOAD_MB": "0"}, "CAPTIONS_MAX_UPLOAD_MB: expected a number above 0"),
        ([], {"CAPTIONS_PATIENCE_SECONDS": "nan"}, "CAPTIONS_PATIENCE_SECONDS: expected a number"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_and_makes_nothing(
    arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    ran = run("-m", "captions", *arguments, cwd=tmp_path, **environment)
    [line] = ran.stderr.splitlines()
    assert (ran.returncode, line[: len("captions: " + said)]) == (2, f"captions: {said}")
    assert os.listdir(tmp_path) == []


def test_a_storage_that_cannot_be_one_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("-m", "captions", "--port=0", "--storage=file", cwd=tmp_path)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    (tmp_path / "pyproject.toml").touch()
    ran = run("-m", "captions", "--port=0", "--storage=.", cwd=tmp_path)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (3, 1)


def test_a_port_that_is_taken_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run("-m", "captions", f"--port={port}", cwd=tmp_path)
    said = f"captions: 127.0.0.1:{port}: Address already in use\n"
    assert (ran.returncode, ran.stderr) == (1, said)


def test_the_tasks_are_the_shared_ones_and_those_of_the_project() -> None:
    listed = run("-m", "invoke", "--list", cwd=CAPTIONS).stdout.splitlines()
    names = {line.split()[0] for line in listed if line[:2] == "  " and line[2:3].strip()}
    assert names >= OWN | SHARED


def test_the_demo_shows_it_all_and_leaves_nothing(copy: Path) -> None:
    ran = run("-m", "invoke", "demo", cwd=copy)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("[speech]") == 3
    assert "leaves nothing" not in ran.stdout
    assert ran.stdout.endswith("it has cleaned up: nothing.\n")
    assert os.listdir(copy / "var" / "uploads") == [".tempkeep"]
    listed = run("-m", "invoke", "temp-status", cwd=copy).stdout
    assert "copy/var/uploads" in listed


def test_without_espeak_the_demo_hears_tones(copy: Path) -> None:
    blocked = copy / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import ctypes.util, sys\n"
        "ctypes.util.find_library = lambda name: None\n"
        "sys.modules['espeakng_loader'] = None\n"
    )
    path = os.pathsep.join([str(blocked), *filter(None, sys.path)])
    code = "import sys; from captions.sounds import speech; print(speech(['a word'])[1])"
    ran = run("-c", code, cwd=copy, PYTHONPATH=path)
    assert ran.stdout.startswith("tones, for want of eSpeak NG"), ran.stderr


def test_a_demo_that_fails_ends_with_1(copy: Path) -> None:
    (copy / "var").write_text("in the way")
    ran = run("-m", "invoke", "demo", cwd=copy)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
