"""Programs forked by the warm interpreter behave as in a new interpreter."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.support import environment, inv, make_entry, process, run

CODES = {
    "what it is given": "print(sys.argv, os.getcwd(), os.environ['MORE'], __name__)",
    "stdin": "print(input().upper())",
    "exit code": "raise SystemExit(3)",
    "exit text": "sys.exit('no')",
    "exception": "def f():\n    raise ValueError('x')\nf()",
    "ctrl-c": "os.kill(os.getpid(), 2)",
    "killed": "os.kill(os.getpid(), 9)",
    "at the end": "import atexit; atexit.register(print, 'bye'); print('hi')",
    "a thread": "import threading; threading.Timer(0.01, print, ['late']).start()",
    "nothing that is not its own": "print(sorted(os.listdir('/proc/self/fd'))[:3])",
    "mode of files": "os.mkdir('made'); print(oct(os.stat('made').st_mode)); os.rmdir('made')",
    "what is buffered": "print('out', end=''); print('error', end='', file=sys.stderr)",
    "odd bytes": "print(ascii(sys.stdin.read())); print(sys.stdout.encoding, sys.stderr.errors)",
    "modules": "import common.temp; print(common.temp.__name__, sys.path[0])",
}


def cold(command: list[str], cwd: Path, stdin: str) -> subprocess.CompletedProcess[str]:
    """The same command in a new interpreter."""
    return subprocess.run(
        command, cwd=cwd, env=environment(MORE="more"), input=stdin, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_code_ends_and_prints_as_in_a_new_interpreter(project: Path, name: str) -> None:
    command = [sys.executable, "-c", f"import os, sys\n{CODES[name]}", "a", "-b"]
    warmly = run(command, cwd=project, stdin="line\n", MORE="more")
    coldly = cold(command, project, "line\n")
    assert (warmly.returncode, warmly.stdout) == (coldly.returncode, coldly.stdout)
    assert warmly.stderr.splitlines()[-1:] == coldly.stderr.splitlines()[-1:]


def test_a_command_does_as_in_a_new_interpreter(project: Path) -> None:
    make_entry(project / ".tmp", "debug/x_1696348800", age_hours=48)
    for words in (["temp-status"], ["temp-clean", "--bogus"], ["--list"], ["temp-check"]):
        command = [sys.executable, "-m", "invoke", *words]
        warmly, coldly = inv(*words, cwd=project), cold(command, project, "")
        # Others use the disk meanwhile.
        shown = [re.sub(r"[\d.]+ \w+ free", "free", one.stdout) for one in (warmly, coldly)]
        assert (warmly.returncode, shown[0]) == (coldly.returncode, shown[1]), words
        assert warmly.stderr == coldly.stderr, words


SCRIPT = "import os, sys; print(sys.argv, sys.path[0], __file__, __name__, input()); sys.exit(3)"
TEST = "import sys\ndef test_it(): assert 'common.temp' not in sys.modules\n"


def test_scripts_and_pytest_do_as_in_a_new_interpreter(project: Path) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "script.py").write_text(SCRIPT)
    (project / "test_it.py").write_text(TEST)
    for words in (["sub/script.py", "a", "-b"], ["-m", "pytest", "-q", "test_it.py"]):
        command = [sys.executable, *words]
        warmly, coldly = run(command, cwd=project, stdin="x\n"), cold(command, project, "x\n")
        shown = [re.sub(r"in [\d.]+s", "", one.stdout) for one in (warmly, coldly)]
        assert (warmly.returncode, shown[0]) == (coldly.returncode, shown[1]), words
        assert warmly.stderr == coldly.stderr, words


@pytest.mark.parametrize("more", [{}, {"PYTHONUTF8": "1"}], ids=["forked", "new"])
def test_what_a_shell_starts_instead_of_python_does_as_python(
    project: Path, more: dict[str, str]
) -> None:
    python = shlex.join(warm.python())
    code = (
        "import os, sys; print(sys.argv, input(), sys.flags.utf8_mode, flush=True)\n"
        "os.kill(os.getpid(), 15)"
    )
    script = f"cd sub; exec {python} -c {shlex.quote(code)} a -b"
    (project / "sub").mkdir()
    done = run(["sh", "-c", script], cwd=project, stdin="x\n", **more)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert done.stdout == f"['-c', 'a', '-b'] x {len(more)}\n"


def test_a_process_is_told_killed_and_waited_for(tmp_path: Path) -> None:
    with process(
        "print('ready', flush=True); print(input(), flush=True); input()", cwd=tmp_path
    ) as it:
        assert it.poll() is None
        assert it.stdin is not None
        assert it.stdout is not None
        it.stdin.write("word\n")
        it.stdin.flush()
        assert it.stdout.readline() == "word\n"
        with pytest.raises(subprocess.TimeoutExpired):
            it.wait(0.01)
        it.send_signal(signal.SIGTERM)
        assert it.wait(60) == -signal.SIGTERM
    assert it.poll() == -signal.SIGTERM


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="nothing is forked here")
def test_what_an_interpreter_reads_at_its_start_gets_a_new_one(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getppid(), sys.flags.utf8_mode)"
    parents = {
        name: run([sys.executable, "-c", code], cwd=tmp_path, **more).stdout.split()
        for name, more in {"same": {}, "other": {"PYTHONUTF8": "1"}}.items()
    }
    assert parents["other"] == [str(os.getpid()), "1"]
    assert parents["same"][0] != str(os.getpid())
    assert warm.PROGRAMS == ("invoke", "common.temp", "common.temp.pipeline")
