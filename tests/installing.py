"""Real installs for tests: one wheel for a whole run, and environments that are cheap to make."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests import warm
from tests.support import environment, run_in

NEEDED = ("invoke", "tabulate", "send2trash", "pytest")
_SCRIPT = """#!{python}
import sys
from {module} import {attr}
sys.exit({attr}())
"""


@contextmanager
def only_once(directory: Path) -> Iterator[bool]:
    """Whether `directory` is still to be made; workers of pytest-xdist wait for whoever does it."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{directory}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not directory.exists()


def clean_environment(**more: str) -> dict[str, str]:
    """The environment of a command that finds the package only where it is installed."""
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "GIT_DIR", "GIT_WORK_TREE")
    return {name: text for name, text in environment().items() if name not in left_out} | more


def pip(*arguments: str, cwd: Path, **more: str) -> None:
    """Run pip; the test skips where no package registry can be reached."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "No matching distribution found for hatchling" in done.stderr:
        pytest.skip("needs a package registry to build with hatchling")
    assert done.returncode == 0, done.stderr


def _fetch(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, env=clean_environment(), capture_output=True, check=False)


class Builder:
    """Builds with hatchling, which is fetched once."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared
        self._hatchling = shared / "hatchling"
        with only_once(self._hatchling) as is_missing:
            if is_missing:
                into = ("install", "--quiet", "--target", str(self._hatchling), "hatchling")
                if not UV or _fetch(UV, "pip", *into, "--python", sys.executable).returncode:
                    pip(*into, cwd=shared)  # which may know of another registry

    def build(self, source: Path) -> Path:
        """The wheel of the project in `source`."""
        out = self._shared / f"wheel of {source.name}"
        with only_once(out) as is_missing:
            if is_missing and UV:
                options = ("--wheel", "--python", sys.executable, "--out-dir", str(out))
                self._uv("build", *options, str(source))
            elif is_missing:
                self._pip("wheel", "-q", "--no-deps", "--wheel-dir", str(out), str(source))
        (found,) = out.glob("*.whl")
        return found

    def install(self, venv: Path, *what: str) -> None:
        """Install it in an environment, without what it needs."""
        python = str(venv / "bin" / "python")
        if UV:
            self._uv("pip", "install", "--no-deps", "--python", python, *what)
        else:
            self._pip("--python", python, "install", "-q", "--no-deps", *what)

    def _pip(self, *arguments: str) -> None:
        command = next(index for index, one in enumerate(arguments) if one in ("wheel", "install"))
        given = [*arguments[: command + 1], "--no-build-isolation", *arguments[command + 1 :]]
        pip(*given, cwd=self._shared, PYTHONPATH=str(self._hatchling))

    def _uv(self, *arguments: str) -> None:
        """As pip, in a tenth of the time."""
        options = ("--quiet", "--offline", "--no-config", "--no-build-isolation")
        done = subprocess.run(
            [UV, *arguments, *options],
            cwd=self._shared,
            env=clean_environment(PYTHONPATH=str(self._hatchling)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def _uv() -> str:
    """The program uv; "" where there is none."""
    beside = os.path.dirname(sys.executable)
    return shutil.which("uv", path=os.pathsep.join([beside, os.environ.get("PATH", "")])) or ""


UV = _uv()


def make_venv(directory: Path, python: str = sys.executable) -> Path:
    """An environment that has what the package and its tests in a host need, and `inv`, `pytest`.

    Those are links to what runs this test: nothing is fetched, and other versions of Python run
    them as well.
    """
    subprocess.run([python, "-m", "venv", "--without-pip", directory], check=True)
    site = site_packages(directory)
    link_needed(site, NEEDED)
    for name in ("invoke", "pytest"):
        for point in distribution(name).entry_points.select(group="console_scripts"):
            made = directory / "bin" / point.name
            attr = point.attr.partition(".")[0]
            code = _SCRIPT.format(
                python=directory / "bin" / "python", module=point.module, attr=attr
            )
            made.write_text(code.replace(f"exit({attr}()", f"exit({point.attr}()"))
            made.chmod(0o755)
    return directory


def run_of(
    venv: Path, program: str, *arguments: str, cwd: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment, in a fork of an interpreter that has loaded pytest and
    invoke, and nothing of ours; in a new one with a `PYTHONPATH`, or options for Python itself.
    """
    python = str(venv / "bin" / "python")
    env = clean_environment(**more)
    found = str(venv / "bin" / program)
    if "PYTHONPATH" in more or (found == python and arguments[0] not in ("-c", "-m")):
        return run_in(env, [found, *arguments], cwd=cwd)
    command = [python, *arguments] if found == python else [python, found, *arguments]
    server = warm.in_environment(python, env)
    return run_in(env, command if server else [found, *arguments], cwd=cwd, server=server)


def site_packages(venv: Path) -> Path:
    (found,) = (venv / "lib").glob("python*/site-packages")
    return found


def link_needed(site: Path, names: tuple[str, ...]) -> None:
    """Links in `site` to those distributions, and to what they need."""
    site.mkdir(parents=True, exist_ok=True)
    wanted = list(names)
    done = set()
    while wanted:
        name = wanted.pop()
        if name in done:
            continue
        done.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:  # another system's, or another version's
            continue
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            target = Path(str(found.locate_file(top))).resolve()
            if top != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(target)
        for line in found.requires or ():
            if "extra ==" not in line:
                wanted += re.findall(r"^[\w.-]+", line)


def other_python() -> str:
    """The newest CPython that is supported, installed, and not this one; "" if there is none."""
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    for minor in range(19, 10, -1):
        if minor == sys.version_info[1]:
            continue
        versions = sorted(Path(root, "versions").glob(f"3.{minor}.*"), reverse=True)
        for path in (*(str(one / "bin" / "python") for one in versions), f"python3.{minor}"):
            found = shutil.which(path)
            if found and _runs(found, minor):
                return found
    return ""


def _runs(python: str, minor: int) -> bool:
    code = f"import sys, venv, ssl; sys.exit(sys.version_info[1] != {minor})"
    return not subprocess.run([python, "-c", code], capture_output=True, check=False).returncode


def host_with_common(directory: Path) -> Path:
    """A project whose `common` can be installed."""
    package = directory / "src" / "common"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "text.py").write_text("SHOUT = 'HOST'\n")
    (directory / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'host'\nversion = '1'\n"
        "[tool.hatch.build]\ndev-mode-dirs = ['src']\n"
        "[tool.hatch.build.targets.wheel]\npackages = ['src/common']\n"
    )
    return directory
