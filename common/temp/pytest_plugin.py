"""The pytest plugin: directories for tests, kept if the test fails, and leak checks.

pytest loads it wherever tempkeep is installed, so everything that a run without its fixtures does
not need is imported late. PYTEST_DONT_REWRITE: it has no assertions.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from .dir_factory import TempDirFactory
    from .leaks import Left, Watch
    from .store.sweep.runs import Run

_KEEP_TEMPS = "PYTEST_KEEP_TEMPS"
_RUN_ID = "tempkeep_run"
"""The key under which pytest-xdist workers get the id of their run."""


class TempLeakWarning(pytest.PytestWarning):
    """A test left a directory behind, in its project's root or the system's temporary directory.

    A warning filter that ignores it also applies to `--temp-leaks=error`.
    """


class _Scratch(NamedTuple):
    """The entry of one test, or of `temp_dir_factory`."""

    root: str
    relative: str

    @property
    def path(self) -> Path:
        return Path(self.root, self.relative)


_scratch: pytest.StashKey[_Scratch] = pytest.StashKey()
_shared: pytest.StashKey[_Scratch] = pytest.StashKey()
_run: pytest.StashKey[Run] = pytest.StashKey()
_run_id: pytest.StashKey[str] = pytest.StashKey()
_keeps_all: pytest.StashKey[bool] = pytest.StashKey()
_roots: pytest.StashKey[dict[Path, str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("tempkeep", "scratch directories")
    group.addoption(
        "--keep-temps",
        action="store_true",
        help=f"keep the directories of all tests, not only of failed ones (like {_KEEP_TEMPS}=1)",
    )
    group.addoption(
        "--temp-leaks",
        choices=("warn", "error"),
        help="report tests that leave directories behind in .tmp or in the system's temporary "
        "directory, as a warning or as an error",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Set up what the options ask for."""
    config.addinivalue_line(
        "markers", "temp_dirs(count=None, names=None): which directories temp_dirs gives"
    )
    if config.getoption("keep_temps"):
        before = os.environ.get(_KEEP_TEMPS)
        os.environ[_KEEP_TEMPS] = "1"  # for pytest_temp_dirs() and for processes that tests start
        config.add_cleanup(lambda: _set_environment(before))
    _lease_basetemp(config)
    config.stash[_keeps_all] = os.environ.get(_KEEP_TEMPS) == "1"
    if config.getoption("temp_leaks"):
        import _pytest

        from .leaks import Watch

        alone = not hasattr(config, "workerinput")
        watch = Watch(ignored=os.path.dirname(_pytest.__file__), alone=alone)
        config.add_cleanup(watch.close)
        config.pluginmanager.register(_LeakCheck(config, watch), "tempkeep-leaks")


def _lease_basetemp(config: pytest.Config) -> None:
    """If `tmp_path` is inside an entry, lease that entry during the run."""
    given = config.getoption("basetemp", None)
    temporary = os.environ.get("PYTEST_DEBUG_TEMPROOT") or tempfile.gettempdir()
    for path in (os.path.abspath(given or temporary), os.path.realpath(given or temporary)):
        if _is_scratch(path if given is None else os.path.dirname(path)):
            break
    else:
        return
    from .errors import TempError
    from .store.root.containing_entry import lease_around

    if given is None:
        # The name that pytest uses. If the root holds all temporary files, it is itself an entry.
        import getpass

        try:
            path = os.path.join(path, f"pytest-of-{getpass.getuser()}")
        except (ImportError, OSError, KeyError):
            path = os.path.join(path, "pytest-of-unknown")
    try:
        end = lease_around(path)
    except TempError as error:
        warning = pytest.PytestWarning(f"a clean may remove {path}: {error}")
        config.issue_config_time_warning(warning, stacklevel=2)
        return
    if end is not None:
        config.add_cleanup(end)


def _is_scratch(directory: str) -> bool:
    """Return whether `directory` is in a root of this program or is one, by a cheap check."""
    return any(
        above.name == ".tmp" or (above / ".tempkeep").is_dir()
        for above in (Path(directory), *Path(directory).parents)
    )


def _set_environment(before: str | None) -> None:
    if before is None:
        os.environ.pop(_KEEP_TEMPS, None)
    else:
        os.environ[_KEEP_TEMPS] = before


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist which run it is part of."""
    node.workerinput[_RUN_ID] = _id_of(node.config)


def _id_of(config: pytest.Config) -> str:
    told: str | None = getattr(config, "workerinput", {}).get(_RUN_ID)
    return config.stash.setdefault(_run_id, told or os.urandom(8).hex())


# -- directories ----------------------------------------------------------------------------------


@pytest.fixture
def temp_root(request: pytest.FixtureRequest) -> Path:
    """The test's own empty directory, `.tmp/test/<test name>_<epoch>` in the test's project.

    It is removed at once if the test passes. If the test fails, it is kept until three later pytest
    runs have kept directories, and the report says where. With `--keep-temps` it is always kept.
    """
    return _scratch_of(request).path


@pytest.fixture
def temp_dirs(request: pytest.FixtureRequest) -> list[Path]:
    """Empty sibling directories in `temp_root`: source and target, unless the test asks for others.

    Use a marker, `@pytest.mark.temp_dirs(3)` or `@pytest.mark.temp_dirs(names=["in", "out"])`,
    or indirect parametrization with a number, a list of names, or a dictionary of both. For
    fixtures of a class, a module or the session, use `temp_dir_factory`.
    """
    names = _names_asked_for(request)
    above = _scratch_of(request).path
    directories = [above / name for name in names]
    for directory in directories:
        try:
            directory.mkdir()
        except OSError as error:
            pytest.fail(f"cannot make {directory}: {error.strerror}", pytrace=False)
    return directories


def _names_asked_for(request: pytest.FixtureRequest) -> list[str]:
    from .errors import InvalidName

    marker = request.node.get_closest_marker("temp_dirs")
    arguments: tuple[Any, ...] = marker.args if marker is not None else ()
    named: Mapping[str, Any] = marker.kwargs if marker is not None else {}
    if hasattr(request, "param"):
        asked = request.param
        arguments = (asked,) if isinstance(asked, int) else ()
        named = asked if isinstance(asked, Mapping) else {} if arguments else {"names": asked}
    try:
        return _names(*arguments, **named)
    except (TypeError, InvalidName) as error:
        pytest.fail(f"temp_dirs: {error}", pytrace=False)


def _names(count: int | None = None, names: Sequence[str] | None = None) -> list[str]:
    from .contexts import sibling_names

    if isinstance(names, str):
        raise TypeError(f"expected a number or a list of names, got {names!r}")
    return sibling_names(count, names)


@pytest.fixture(scope="session")
def temp_dir_factory(request: pytest.FixtureRequest) -> TempDirFactory:
    """Makes directories for fixtures of any scope, in one entry of this run of pytest.

    It has `mktemp(basename, numbered=True)` and `getbasetemp()`, like `tmp_path_factory`. The entry
    is removed when the run ends, or kept if a test that uses it fails.
    """
    from .dir_factory import TempDirFactory

    config = request.config
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    made = config.stash[_shared] = _make(config, config.rootpath, f"session_{worker}")
    return TempDirFactory(made.path)


def _scratch_of(request: pytest.FixtureRequest) -> _Scratch:
    """The entry of the running test, made at first use."""
    item: pytest.Item = request.node
    if _scratch not in item.stash:
        item.stash[_scratch] = _make(request.config, item.path.parent, item.name)
    return item.stash[_scratch]


def _make(config: pytest.Config, directory: Path, name: str) -> _Scratch:
    """Make an entry in the root of `directory`; this run removes it unless it is kept."""
    from .contexts import label_of
    from .errors import TempError
    from .store.sweep.runs import Run

    try:
        root = _root_of(config, directory)
        if _run not in config.stash:
            config.stash[_run] = Run(_id_of(config))
        path = config.stash[_run].make(root, label_of(name), time.time())
    except TempError as error:
        pytest.fail(str(error), pytrace=False)
    return _Scratch(root, path[len(root) + 1 :])


def _root_of(config: pytest.Config, directory: Path) -> str:
    """Return the root of the project that contains `directory`, else of pytest's rootdir."""
    from .store.project.place import root_for

    roots = config.stash.setdefault(_roots, {})
    if directory not in roots:
        roots[directory] = root_for(directory, config.rootpath)
    return roots[directory]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Remove the entry of a passed test, after its other teardown."""
    result = yield
    if _scratch in item.stash:
        scratch = item.stash[_scratch]
        problem = item.config.stash[_run].drop(scratch.root, scratch.relative)
        if problem:
            _warn(item, pytest.PytestWarning(f"cannot remove {scratch.path}: {problem}"))
    return result


def _warn(item: pytest.Item, warning: pytest.PytestWarning) -> None:
    """Issue a warning; if warnings are errors, fail with only that message."""
    with suppress(pytest.PytestWarning):
        return item.warn(warning)
    pytest.fail(str(warning), pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the entry of a test that fails, and say where it is."""
    report = yield
    used = [item.stash.get(_scratch, None)]
    # The request also lists fixtures requested with `getfixturevalue`.
    if "temp_dir_factory" in getattr(getattr(item, "_request", None), "fixturenames", ()):
        used.append(item.config.stash.get(_shared, None))
    for scratch in filter(None, used):
        asked = report.when == "call" and item.config.stash[_keeps_all]
        if report.failed or asked:
            _keep(
                item, scratch, report, "its test failed" if report.failed else "asked to keep all"
            )
    if report.when == "teardown" and _scratch in item.stash:
        del item.stash[_scratch]
    return report


def _keep(item: pytest.Item, scratch: _Scratch, report: pytest.TestReport, why: str) -> None:
    from .errors import TempError

    said = str(scratch.path)
    try:
        item.config.stash[_run].keep(scratch.root, scratch.relative, why)
    except TempError as error:
        said = f"{scratch.path} cannot be kept: {error}"
    section = ("kept temporary directory", said)
    # Part of the failure itself, so that `--show-capture=no` does not hide it.
    add: Callable[..., None] | None = getattr(report.longrepr, "addsection", None)
    if add is not None:
        add(*section)
    else:
        report.sections.append(section)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """End this run's leases, and remove kept entries of all but the newest runs."""
    try:
        return (yield)
    finally:
        run = session.config.stash.get(_run, None)
        if run is not None:
            run.end(time.time())


# -- leaks ----------------------------------------------------------------------------------------


class _LeakCheck:
    """Reports directories that tests leave behind; registered if `--temp-leaks` is given.

    Directories made by a fixture of wider scope are checked when that fixture ends.
    """

    def __init__(self, config: pytest.Config, watch: Watch) -> None:
        from .errors import TempError
        from .store.project.place import root_for

        self._watch = watch
        self._is_error = config.getoption("temp_leaks") == "error"
        self._keeps_all = config.stash[_keeps_all]
        directory = config.invocation_params.dir
        try:
            self._root = root_for(directory, directory)
        except TempError as error:
            raise pytest.UsageError(str(error)) from error
        self._living: set[pytest.FixtureDef[Any]] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        # As in PYTEST_CURRENT_TEST, which child processes inherit.
        test = item.nodeid.replace("\0", "(null)")
        self._watch.begin(test, {self._root, _root_of(item.config, item.path.parent)})
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        before = self._watch.paths()
        self._living.add(fixturedef)
        try:
            return (yield)
        finally:
            self._watch.made_for(fixturedef, before)

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self._living.discard(fixturedef)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            result = yield
        except BaseException:
            self._watch.end(self._living)  # a failed teardown has already been reported
            raise
        left = [left for left in self._watch.end(self._living) if not self._is_kept(left)]
        if left:
            self._complain(item, f"left behind {_spelled(left, item.config)}")
        return result

    def _is_kept(self, left: Left) -> bool:
        return self._keeps_all and Path(left.path).parent.name == "test"

    def _complain(self, item: pytest.Item, text: str) -> None:
        with warnings.catch_warnings(record=self._is_error) as shown:
            _warn(item, TempLeakWarning(text))
        if shown:
            pytest.fail(text, pytrace=False)


def _spelled(found: Sequence[Left], config: pytest.Config) -> str:
    """Return a line for each, with the code's path relative to pytest's rootdir."""
    from .report.text import plain

    lines = []
    for path, maker, fixture in found:
        where = maker.replace(f"at {config.rootpath}{os.sep}", "at ")
        whose = f" for the fixture {fixture.argname!r} ({fixture.scope})" if fixture else ""
        lines.append(plain(f"{path}, made {where}{whose}"))
    return "\nand ".join(lines)
