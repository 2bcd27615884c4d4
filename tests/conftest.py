"""Gives every test its own project and its own system temporary directory."""

from __future__ import annotations

import gc
import itertools
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from common.temp.store.archive.bucket import RETRIES
from common.temp.store.project import place
from common.temp.store.root import new_names
from tests import warm
from tests.buckets import KEYS, Place, Server, serving
from tests.forked_coverage import Forks, forks_if_measured
from tests.installing import Builder, host_with_common, make_venv, only_once
from tests.support import REPOSITORY, end_leases, make_project

FIGURE = "figure"

_numbers = itertools.count()
"""Numbers for the names of test directories."""

_unused: list[Path] = []
"""A system temporary directory that a test without `tmp_path` left unused, for the next one."""

# Deadlines would depend on the machine. `--hypothesis-profile=thorough` searches for longer.
settings.register_profile("quick", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("quick")

# Tests start hundreds of processes, and each would compile the whole package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Set before the clients' tests import NumPy, whose threads would already run when tests fork.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

warm.wait_for_no_disk()
os.environ.setdefault("GIT_TEST_FSYNC", "false")  # neither does git wait

# Tests interrupt the processes they start, which would inherit ignored signals if pytest itself
# was started in the background of a script.
for _signal, _handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    _number = getattr(signal, _signal, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three workers for two processors, since tests wait a lot, at most four; none for a single
    file.
    """
    paths = [argument.partition("::")[0] for argument in config.args]
    if len(paths) == 1 and paths[0].endswith(".py"):
        return 0
    available = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return min(4, len(available) + len(available) // 2)


def pytest_collection_finish() -> None:
    """Freeze all objects made by collection, so that neither the garbage collector nor forked
    children touch them.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """A function to call with one line of counts, which is printed at the end of the run."""

    def note(line: str) -> None:
        # User properties of a report also come through from the workers of pytest-xdist.
        request.node.user_properties.append((FIGURE, line))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fault injections counted."""
    lines = {
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, value in report.user_properties
        if name == FIGURE
    }
    if lines:
        terminalreporter.section("faults injected")
        for line in sorted(map(str, lines)):
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def measured_forks(tmp_path_factory: pytest.TempPathFactory) -> Forks | None:
    """The forks of this process, if coverage is measured."""
    return forks_if_measured(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session", autouse=True)
def warm_interpreter() -> Iterator[None]:
    """Starts the warm interpreter before any test counts descriptors."""
    warm.start()
    yield
    warm.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks S3, one for all tests of this process."""
    for module, package in (("moto", "moto"), ("flask_cors", "flask-cors"), ("obstore", "obstore")):
        if find_spec(module) is None:
            pytest.skip(f"{package} is not installed")
    with serving(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def bucket(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A new bucket, with the settings of a client in the environment.

    Only child processes may use it: obstore starts threads, after which a process cannot fork
    safely.
    """
    for module in ("obstore.store", "obstore.exceptions", "concurrent.futures.thread"):
        import_module(module)  # once, for all children; this does not start threads yet
    place = Place(s3_server, f"b{os.urandom(6).hex()}")
    s3_server.ask("PUT", place.bucket)
    for name, text in {**KEYS, "AWS_ENDPOINT_URL": s3_server.url}.items():
        monkeypatch.setenv(name, text)
    return place


@pytest.fixture
def configured(project: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The bucket, set as the archive of the project; failed requests are retried at once."""
    with open(project / "pyproject.toml", "a") as file:
        file.write(f'[tool.tempkeep]\narchive = true\narchive_location = "{bucket.location}"\n')
    monkeypatch.setitem(RETRIES, "max_retries", 2)
    monkeypatch.setitem(RETRIES, "backoff", {"init_backoff": timedelta(milliseconds=1)})
    return bucket


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the test alone, like pytest's, but without its symlink for each test."""
    name = re.sub(r"\W", "_", request.node.name)[:20]  # leaves room for socket paths
    directory = tmp_path_factory.getbasetemp() / f"{name}-{next(_numbers)}"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture(autouse=True)
def own_system_temp(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    measured_forks: Forks | None,
) -> Iterator[Path]:
    """A private directory in place of the system's temporary one, so that tests only see theirs."""
    has_directory = "tmp_path" in request.fixturenames
    if has_directory:
        directory: Path = request.getfixturevalue("tmp_path") / "system-temp"
        directory.mkdir(mode=0o700)
    elif _unused:
        directory = _unused.pop()
    else:
        directory = tmp_path_factory.getbasetemp() / f"none-{next(_numbers)}" / "system-temp"
        directory.parent.mkdir(mode=0o700)
        directory.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    # Hide the state of the user who runs the tests, and of other tests.
    monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
    monkeypatch.setattr(place, "_home_of_user", lambda: "")
    monkeypatch.setattr(place, "_has_warned", False)
    monkeypatch.setattr(new_names, "_newest", 0)
    place._roots.clear()
    yield directory
    # As at the end of a process; otherwise the owner file of every test would stay open.
    end_leases()
    if measured_forks is not None:
        measured_forks.collect()
    if not has_directory and _is_unused(directory):
        _unused.append(directory)


def _is_unused(directory: Path) -> bool:
    """Whether a test has left `directory` unchanged."""
    try:
        return directory.lstat().st_mode == 0o40700 and not os.listdir(directory)
    except OSError:
        return False


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"


@pytest.fixture(scope="session")
def builder(shared: Path) -> Builder:
    """Builds and installs with hatchling."""
    return Builder(shared)


@pytest.fixture(scope="session")
def wheel(builder: Builder) -> Path:
    """The wheel of this repository: one for the whole run."""
    return builder.build(REPOSITORY)


@pytest.fixture(scope="session")
def venv_of(shared: Path, builder: Builder, wheel: Path) -> Callable[[str, str], Path]:
    """A function that returns the virtual environment of a kind, made at first use."""

    def find(kind: str, python: str) -> Path:
        venv = shared / f"{kind}{'' if python == sys.executable else ' other'}".replace(" ", "-")
        with only_once(venv) as is_missing:
            if is_missing:
                make_venv(venv, python)
                host = str(host_with_common(shared / "host"))
                installed = {
                    "bare": [],
                    "wheel": [str(wheel)],
                    "editable": ["-e", str(REPOSITORY)],
                    "common wheel": [str(wheel), host],
                    "common editable": [str(wheel), "-e", host],
                }[kind]
                if installed:
                    builder.install(venv, *installed)
        return venv

    return find


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is the working directory."""
    directory = make_project(tmp_path / "project")
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def root(project: Path) -> Path:
    """The root of that project, which does not exist yet."""
    return project / ".tmp"


@pytest.fixture
def tested(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A separate project to run pytest in, which loads the plugin as a new process would."""
    # Loading it again also measures it: this run loaded it before coverage began.
    for name in ("common.temp", "tempkeep"):
        monkeypatch.delitem(sys.modules, f"{name}.pytest_plugin", raising=False)
    monkeypatch.delenv("PYTEST_KEEP_TEMPS", raising=False)
    monkeypatch.delenv(
        "HOME"
    )  # pytester sets it to this directory, and the home directory is never a project
    # Modules loaded for a run are unloaded after it, and searching for plugins takes a while.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p _tempkeep_pytest -p no:cacheprovider")
    pytester.makepyprojecttoml("")
    return pytester
