"""The pytest plugin's directories, in real runs of pytest: by `pytester`, and killed ones."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from textwrap import dedent

import pytest

from common.temp.pins import pin
from tests.support import (
    Process,
    immutable,
    listing,
    make_entry,
    make_project,
    mounted,
    plain_user,
    process,
    run,
    runs,
    scanned,
    tempkeep,
)

pytest_plugins = ["pytester"]

FAILS = "def test_fails(temp_root): (temp_root / 'file').write_text('x'); assert False\n"
PASSES = "def test_passes(temp_root): (temp_root / 'file').write_text('x')\n"


def kept(tested: pytest.Pytester, directory: str = ".") -> list[str]:
    """The labels of the entries of tests, sorted."""
    entries = tested.path / directory / ".tmp" / "test"
    return sorted(path.name.rpartition("_")[0] for path in entries.glob("*"))


# -- what a test gets -----------------------------------------------------------------------------


def test_a_test_has_an_entry_of_its_name_with_empty_siblings(tested: pytest.Pytester) -> None:
    code = """
    import re
    from pathlib import Path
    def test_copies(temp_dirs, temp_root):
        assert re.fullmatch(r"test_copies_[0-9]{10}", temp_root.name)
        assert temp_root.parent == Path.cwd() / ".tmp" / "test"
        assert temp_dirs == [temp_root / "source", temp_root / "target"]
        assert sorted(temp_root.rglob("*")) == temp_dirs
    """
    runs(tested, code, passed=1)


@pytest.mark.parametrize(
    ("asks", "names"),
    [
        ("mark.temp_dirs(0)", []),
        ("mark.temp_dirs(3)", ["source", "target", "working"]),
        ("mark.temp_dirs(count=1)", ["source"]),
        ("mark.temp_dirs(names=['in', 'out'])", ["in", "out"]),
        ("mark.parametrize('temp_dirs', [3], indirect=True)", ["source", "target", "working"]),
        ("mark.parametrize('temp_dirs', [('in', 'out')], indirect=True)", ["in", "out"]),
        ("mark.parametrize('temp_dirs', [{'count': 1}], indirect=True)", ["source"]),
        ("mark.parametrize('temp_dirs', [{'names': ['in']}], indirect=True)", ["in"]),
    ],
)
def test_a_test_says_how_many_or_which(
    tested: pytest.Pytester, asks: str, names: list[str]
) -> None:
    code = f"""
    import pytest
    @pytest.{asks}
    def test_copies(temp_dirs):
        assert [path.name for path in temp_dirs] == {names}
        assert all(path.is_dir() for path in temp_dirs)
    """
    runs(tested, code, "--strict-markers", passed=1)


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ("mark.temp_dirs(names=['a/b'])", "contains a path separator"),
        ("mark.temp_dirs(names=['a', 'a'])", "is given twice"),
        ("mark.temp_dirs(names='abc')", "expected a number or a list of names, got 'abc'"),
        ("mark.temp_dirs(nmaes=['a'])", "unexpected keyword argument 'nmaes'"),
        ("mark.parametrize('temp_dirs', ['abc'], indirect=True)", "list of names, got 'abc'"),
        ("mark.parametrize('temp_dirs', [2.5], indirect=True)", "not iterable"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_line_and_leaves_nothing(
    tested: pytest.Pytester, asks: str, said: str
) -> None:
    code = f"import pytest\n@pytest.{asks}\ndef test_copies(temp_dirs): pass\n"
    result = runs(tested, code, errors=1)
    result.stdout.fnmatch_lines([f"*temp_dirs: *{said}*"])
    assert "Traceback" not in result.stdout.str()
    assert not (tested.path / ".tmp").exists()


def test_names_of_tests_that_are_no_names_of_files_give_each_test_its_own(
    tested: pytest.Pytester,
) -> None:
    code = r"""
    import pytest
    ids = ["x" * 255, "é" * 200, "a/b", "..", "line\nbreak", "\x1b[31m", "a::b c", "\\", "*?<>|:"]
    @pytest.mark.parametrize("text", ids, ids=ids)
    def test_hostile(text, temp_dirs, temp_root):
        assert temp_root.name.startswith("test_hostile")
        assert len(temp_root.name.encode()) < 255 and temp_root.name.isprintable()
        assert temp_root.parent.name == "test"
        assert False
    """
    runs(tested, code, failed=9)
    assert len(kept(tested)) == 9


def test_a_test_that_is_called_what_windows_calls_a_device_has_an_entry(
    tested: pytest.Pytester,
) -> None:
    tested.makeini("[pytest]\npython_functions = *\n")
    runs(tested, "def con(temp_root): assert temp_root.name.startswith('test_')\n", passed=1)


def test_unittests_use_the_fixtures_by_a_fixture_of_their_class(tested: pytest.Pytester) -> None:
    code = """
    import unittest
    import pytest
    class TestCopies(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def make(self, temp_dirs):
            self.source, self.target = temp_dirs
        def test_passes(self):
            assert self.source.parent == self.target.parent
        def test_fails(self):
            self.fail("so it is kept")
    """
    runs(tested, code, passed=1, failed=1)
    assert kept(tested) == ["test_fails"]


def test_a_fixture_of_a_module_makes_its_own(tested: pytest.Pytester) -> None:
    code = """
    import pytest
    from common.temp import pytest_temp_dirs
    @pytest.fixture(scope="module")
    def shared():
        with pytest_temp_dirs(1) as (directory,):
            yield directory
    def test_one(shared, temp_root): (shared / "file").write_text("x")
    def test_two(shared, temp_root): assert (shared / "file").read_text() == "x"
    """
    runs(tested, code, passed=2)
    assert kept(tested) == []


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_the_way_in_which_tests_are_imported_does_not_matter(
    tested: pytest.Pytester, mode: str
) -> None:
    runs(tested, FAILS, f"--import-mode={mode}", failed=1)
    assert kept(tested) == ["test_fails"]


@pytest.mark.parametrize("other", ["tmpdir", "warnings", "capture", "logging", "xdist", "unittest"])
def test_it_needs_no_other_plugin(tested: pytest.Pytester, other: str) -> None:
    runs(tested, PASSES + FAILS, "-p", f"no:{other}", "--temp-leaks=error", passed=1, failed=1)
    assert kept(tested) == ["test_fails"]


def test_it_needs_no_terminal(tested: pytest.Pytester) -> None:
    tested.makepyfile(test_it=FAILS)
    assert tested.runpytest_inprocess("-p", "no:terminal").ret == 1
    assert kept(tested) == ["test_fails"]


def test_it_can_be_left_out(tested: pytest.Pytester) -> None:
    result = runs(tested, FAILS, "-p", "no:common.temp.pytest_plugin", errors=1)
    result.stdout.fnmatch_lines(["*fixture 'temp_root' not found*"])


@pytest.mark.parametrize("how", ["conftest", "option", "option alone"])
def test_it_can_be_asked_for_where_it_is_there_anyway(
    tested: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "conftest":
        tested.makeconftest("pytest_plugins = ['common.temp.pytest_plugin']\n")
    if how == "option alone":
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.delenv("PYTEST_ADDOPTS")
    options = ["-p", "common.temp.pytest_plugin"] if how != "conftest" else []
    runs(tested, FAILS, *options, failed=1)
    assert kept(tested) == ["test_fails"]


def test_the_directories_of_pytest_are_as_before(tested: pytest.Pytester) -> None:
    code = """
    def test_both(tmp_path, temp_root):
        (tmp_path / "file").write_text("x")
        assert ".tmp" not in tmp_path.parts
    """
    runs(tested, code, "--temp-leaks=error", "--basetemp=mine", passed=1)
    assert (tested.path / "mine" / "test_both0" / "file").exists()


@pytest.mark.parametrize(
    ("arguments", "entry"),
    [
        (("--basetemp=.tmp/test/x",), "test/x"),
        (("--basetemp=link/x/y", "-n1"), "x"),
        ((), None),
    ],
)
def test_pytest_in_scratch_is_in_use_while_it_runs(
    tested: pytest.Pytester, arguments: tuple[str, ...], entry: str | None
) -> None:
    root = tested.path / ".tmp"
    for made in ("test", "x"):
        (root / made).mkdir(parents=True)
    (tested.path / "link").symlink_to(".tmp")
    temporary = {}
    if entry is None:
        temporary["PYTEST_DEBUG_TEMPROOT"] = ".tmp"
        entry = f"pytest-of-{getpass.getuser()}"
    code = f"""
    from pathlib import Path
    from common.temp.core.policy import Policy
    from common.temp.store.sweep.prepare import prepare
    from common.temp.store.sweep.sweep import execute

    def test_it(tmp_path):
        assert Path({str(root)!r}) in tmp_path.resolve().parents
        (tmp_path / "file").write_text("x")
        plan = prepare(Path({str(root)!r}), Policy(max_age=0), 2e9)
        assert [kept.entry.path for kept in plan.kept] == [{entry!r}]
        assert [kept.reason.rule for kept in plan.kept] == ["in use"]
        assert [kept.entry.use.how for kept in plan.kept] == ["owner"]
    """
    test = str(tested.makepyfile(code))
    done = run([sys.executable, "-m", "pytest", *arguments, test], cwd=tested.path, **temporary)
    assert done.returncode == 0, done.stdout
    assert [one.path for one in scanned(root).values() if one.use is not None] == []


def test_pytest_elsewhere_has_no_lease(tested: pytest.Pytester) -> None:
    runs(tested, "def test_it(tmp_path): pass", "--basetemp=mine", passed=1)
    assert not (tested.path / ".tmp").exists()


# -- where it is ----------------------------------------------------------------------------------


def test_tests_of_a_project_in_a_monorepo_have_theirs_in_its_root(tested: pytest.Pytester) -> None:
    for name in ("tests", "projects/photos/tests"):
        tested.mkdir(name) if "/" not in name else (tested.path / name).mkdir(parents=True)
        (tested.path / name / f"test_{len(name)}.py").write_text(FAILS)
    (tested.path / "projects" / "photos" / "pyproject.toml").write_text("")
    tested.runpytest_inprocess("--import-mode=importlib").assert_outcomes(failed=2)
    assert kept(tested) == kept(tested, "projects/photos") == ["test_fails"]


def test_a_rootdir_elsewhere_does_not_matter(tested: pytest.Pytester, tmp_path: Path) -> None:
    runs(tested, FAILS, f"--rootdir={tmp_path}", failed=1)
    assert kept(tested) == ["test_fails"]
    assert not (tmp_path / ".tmp").exists()


def test_tests_of_no_project_have_theirs_in_the_rootdir(tested: pytest.Pytester) -> None:
    (tested.path / "pyproject.toml").unlink()
    (tested.path / "deep" / "deeper").mkdir(parents=True)
    (tested.path / "deep" / "deeper" / "test_it.py").write_text(FAILS)
    tested.runpytest_inprocess().assert_outcomes(failed=1)
    assert kept(tested) == ["test_fails"]


def test_a_project_that_cannot_be_written_to_fails_those_that_ask_and_says_why(
    tested: pytest.Pytester,
) -> None:
    tested.makepyfile(test_it=f"{PASSES}def test_other(): pass\n")
    tested.path.chmod(0o555)
    try:
        with plain_user():
            result = tested.runpytest_inprocess()
    finally:
        tested.path.chmod(0o755)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["cannot make */.tmp: Permission denied; change its permissions*"])
    assert "Traceback" not in result.stdout.str()


# -- what goes, what stays ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        PASSES,
        "def test(temp_root):\n    import pytest; pytest.skip('not here')\n",
        "import pytest\n@pytest.mark.xfail\ndef test(temp_root): assert False\n",
        "import shutil\ndef test(temp_root): shutil.rmtree(temp_root)\n",
        "import shutil\ndef test(temp_root): shutil.rmtree(temp_root.parents[1])\n",
        "def test(temp_root):\n    (temp_root / 'x').mkdir(mode=0o500); temp_root.chmod(0o500)\n",
    ],
    ids=["passes", "skips", "xfails", "removes its own", "removes the root", "is read-only"],
)
def test_the_entry_of_a_test_that_does_not_fail_goes_at_once(
    tested: pytest.Pytester, code: str
) -> None:
    look = """
    from pathlib import Path
    def test_zz_nothing_is_there(): assert not list(Path(".tmp").glob("test/*"))
    """
    tested.makepyfile(test_zz=look)
    tested.makepyfile(test_it=code)
    assert tested.runpytest_inprocess().ret == 0
    assert kept(tested) == []
    owners = tested.path / ".tmp" / ".tempkeep" / "owners"
    assert len(list(owners.glob("*"))) <= 1  # that of this process, which goes on


FAILURES = {
    "call": (FAILS, "failed"),
    "setup": (
        "import pytest\n@pytest.fixture\ndef late(temp_root): assert False\n"
        "def test_fails(late): pass\n",
        "errors",
    ),
    "teardown": (
        "import pytest\n@pytest.fixture\ndef early():\n    yield\n    assert False\n"
        "def test_fails(early, temp_root): pass\n",
        "errors",
    ),
    "strict xfail": (
        "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_fails(temp_root): pass\n",
        "failed",
    ),
    "no traceback": (
        "import pytest\ndef test_fails(temp_root): pytest.fail('so', pytrace=False)\n",
        "failed",
    ),
}


@pytest.mark.parametrize("way", FAILURES)
@pytest.mark.parametrize("options", [(), ("--tb=native", "--show-capture=no")], ids=["", "terse"])
def test_the_entry_of_a_test_that_fails_is_kept_and_the_report_says_where(
    tested: pytest.Pytester, way: str, options: tuple[str, ...]
) -> None:
    code, outcome = FAILURES[way]
    tested.makepyfile(test_it=code)
    result = tested.runpytest_inprocess(*options)
    assert result.parseoutcomes()[outcome] == 1
    assert kept(tested) == ["test_fails"]
    (path,) = (tested.path / ".tmp" / "test").iterdir()
    if way != "strict xfail" or not options:  # of which there is no more to show than its output
        assert str(path) in result.stdout.str()


def test_only_the_failed_ones_are_kept(tested: pytest.Pytester) -> None:
    runs(tested, PASSES + FAILS + PASSES.replace("passes", "passes_too"), passed=2, failed=1)
    assert kept(tested) == ["test_fails"]


def test_what_is_kept_is_in_use_until_the_run_ends_and_not_after(tested: pytest.Pytester) -> None:
    code = f"""
{FAILS}
from pathlib import Path
from common.temp import TempManager
def test_next(temp_root):
    assert TempManager.clean_persistent_temps() == 0
    assert temp_root.is_dir() and len(list(temp_root.parent.iterdir())) == 2
"""
    runs(tested, code, passed=1, failed=1)
    (entry,) = scanned(tested.path / ".tmp").values()
    assert entry.use is None
    assert entry.made_by is not None
    assert entry.made_by.endswith("which kept it: its test failed")


def test_temp_status_and_temp_explain_show_what_is_kept(
    tested: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(tested, FAILS, failed=1)
    capsys.readouterr()
    assert tempkeep("temp-status") == 0
    assert re.search(r"test_fails_[0-9]+ .*delete: no policy configured", capsys.readouterr().out)
    (path,) = (tested.path / ".tmp" / "test").iterdir()
    assert tempkeep("temp-explain", str(path)) == 0
    shown = capsys.readouterr().out
    assert "in use: by no process" in shown
    assert "which kept it: its test failed" in shown


@pytest.mark.parametrize("how", ["option", "variable"])
def test_all_can_be_kept(
    tested: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    code = f"""
{PASSES}
from common.temp import pytest_temp_dirs
def test_by_hand():
    with pytest_temp_dirs(): pass
"""
    if how == "variable":
        monkeypatch.setenv("PYTEST_KEEP_TEMPS", "1")
    result = runs(tested, code, "-rP", *(["--keep-temps"] if how == "option" else []), passed=2)
    assert kept(tested) == ["test_by_hand", "test_passes"]
    for path in (tested.path / ".tmp" / "test").iterdir():
        assert str(path) in result.stdout.str()
    assert os.environ.get("PYTEST_KEEP_TEMPS") == ("1" if how == "variable" else None)


def test_an_interrupted_run_leaves_nothing_of_the_test_at_work(tested: pytest.Pytester) -> None:
    tested.makepyfile(test_it=f"{FAILS}def test_stops(temp_root): raise KeyboardInterrupt\n")
    result = tested.runpytest_inprocess(no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert kept(tested) == ["test_fails"]


def test_what_cannot_be_removed_is_a_warning_and_goes_with_the_next_run(
    tested: pytest.Pytester,
) -> None:
    trial = tested.mkdir("for") / "trial"
    trial.write_text("")
    with immutable(trial):
        pass  # which skips this test where no file can be made so
    code = """
    import subprocess
    def test_sets(temp_root):
        (temp_root / "undeletable").write_text("x")
        subprocess.run(["chattr", "+i", temp_root / "undeletable"], check=True)
    """
    try:
        result = runs(tested, code, "-Wdefault", passed=1, warnings=1)
        result.stdout.fnmatch_lines(["*cannot remove */.tmp/test/test_sets_*not permitted*"])
        assert kept(tested) == ["test_sets"]
        runs(tested, PASSES, passed=1)
        assert kept(tested) == ["test_sets"]
    finally:
        for file in tested.path.rglob("undeletable"):
            subprocess.run(["chattr", "-i", file], check=True)
    runs(tested, PASSES, passed=1)
    assert kept(tested) == []


def test_what_cannot_be_kept_because_the_disk_is_full_is_said(
    tested: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
    def test_fills(temp_root):
        with open("filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    """
    with mounted(tested.path / "disk", "size=1m,nr_inodes=200") as disk:
        project = make_project(disk / "project")
        (project / "test_it.py").write_text(dedent(code))
        monkeypatch.chdir(project)
        result = tested.runpytest_inprocess("test_it.py")
        monkeypatch.chdir(tested.path)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["/*/test_fills_* cannot be kept: *No space left on device*"])
        assert kept(tested, "disk/project") == []


# -- for a whole run ------------------------------------------------------------------------------

SHARED = """
import pytest

@pytest.fixture(scope="session")
def data(temp_dir_factory):
    path = temp_dir_factory.mktemp("data")
    (path / "file").write_text("x")
    return path

def test_numbers(data, temp_dir_factory):
    base = temp_dir_factory.getbasetemp()
    assert base.parent.parts[-2:] == (".tmp", "test")
    assert data == base / "data0"
    (base / "data1").mkdir()
    assert temp_dir_factory.mktemp("data") == base / "data2"
    assert temp_dir_factory.mktemp("data", numbered=False) == base / "data"
    with pytest.raises(FileExistsError):
        temp_dir_factory.mktemp("data", False)
    with pytest.raises(ValueError, match="contains a path separator"):
        temp_dir_factory.mktemp("../up")
    assert temp_dir_factory.mktemp("a" * 235).is_dir()

def test_later(request):
    assert (request.getfixturevalue("data") / "file").read_text() == "x"
    {ends}
"""


def test_what_fixtures_of_a_run_share_goes_with_it_unless_a_test_that_uses_it_fails(
    tested: pytest.Pytester,
) -> None:
    strict = "--temp-leaks=error"
    runs(tested, SHARED.format(ends="pass") + FAILS, strict, passed=2, failed=1)
    assert kept(tested) == ["test_fails"]
    result = runs(tested, SHARED.format(ends="assert False"), strict, passed=1, failed=1)
    (path,) = (tested.path / ".tmp" / "test").glob("session_*")
    assert (path / "data0" / "file").read_text() == "x"
    result.stdout.fnmatch_lines(["*kept temporary directory*", str(path)])
    runs(tested, SHARED.format(ends="pass"), "--keep-temps", passed=2)
    assert kept(tested) == ["session", "session", "test_fails"]


def test_each_worker_of_xdist_shares_its_own(tested: pytest.Pytester) -> None:
    code = """
    import pytest
    @pytest.mark.parametrize("fails", [False, True])
    def test_it(temp_dir_factory, worker_id, fails):
        made = temp_dir_factory.mktemp("data")
        assert made.parent.name.startswith(f"session_{worker_id}_")
        assert not fails
    """
    runs(tested, code, "-p", "xdist.plugin", "-n1", "--temp-leaks=error", passed=1, failed=1)
    assert kept(tested) == ["session_gw0"]


# -- runs -----------------------------------------------------------------------------------------


def fails(name: str) -> str:
    """A test of that name that fails."""
    return FAILS.replace("test_fails", f"test_{name}")


def test_the_newest_three_runs_that_kept_some_stay(tested: pytest.Pytester) -> None:
    for name in "abcde":
        runs(tested, fails(name) + fails(f"{name}_too"), failed=2)
        runs(tested, PASSES, passed=1)
    assert kept(tested) == ["test_c", "test_c_too", "test_d", "test_d_too", "test_e", "test_e_too"]


def test_a_run_that_was_cleaned_is_none_of_the_three(tested: pytest.Pytester) -> None:
    for name in "abc":
        runs(tested, fails(name), failed=1)
    assert tempkeep("temp-clean", "--yes", "--name", "test_b") == 0
    runs(tested, fails("d"), failed=1)
    assert kept(tested) == ["test_a", "test_c", "test_d"]


def test_a_run_that_ends_later_is_newer(tested: pytest.Pytester) -> None:
    with session(tested, fails("a") + WAITS) as first:
        for name in "bcd":
            runs(tested, fails(name), failed=1)
        first.communicate("go on\n")
    assert kept(tested) == ["test_a", "test_c", "test_d"]


def test_old_runs_take_nothing_along_that_others_made(tested: pytest.Pytester) -> None:
    by_hand = """
    import os
    from common.temp import TempManager, get_debug_temp_dir, pytest_temp_dirs
    def test_a(monkeypatch):
        monkeypatch.setenv("PYTEST_KEEP_TEMPS", "1")
        with pytest_temp_dirs(): pass
        TempManager.create_persistent_dir("test_a", "test")
        get_debug_temp_dir("test_a")
    """
    runs(tested, by_hand, passed=1)
    make_entry(tested.path / ".tmp", "test/test_a_1600000000")
    before = listing(tested.path / ".tmp" / "test") + listing(tested.path / ".tmp" / "debug")
    for name in "abcd":
        runs(tested, fails(name), failed=1)
    after = listing(tested.path / ".tmp" / "test") + listing(tested.path / ".tmp" / "debug")
    assert set(before) <= set(after)
    assert kept(tested) == ["test_a"] * 3 + ["test_b", "test_c", "test_d"]


@pytest.mark.parametrize("how", ["pinned", "excluded", "worked in"])
def test_what_is_protected_stays_whatever_its_run(tested: pytest.Pytester, how: str) -> None:
    runs(tested, fails("a"), failed=1)
    (path,) = (tested.path / ".tmp" / "test").iterdir()
    with process("print(1); input()", cwd=path if how == "worked in" else tested.path):
        if how == "pinned":
            pin(path, "mine")
        elif how == "excluded":
            tested.makepyprojecttoml("[tool.tempkeep]\nexclude = ['test_a_*']\n")
        for name in "bcd":
            runs(tested, fails(name), failed=1)
        assert kept(tested) == ["test_a", "test_b", "test_c", "test_d"]


def test_settings_that_cannot_be_read_leave_all_as_it_is(tested: pytest.Pytester) -> None:
    tested.makepyprojecttoml("[tool.tempkeep]\nmax_age = 'old'\n")
    for name in "abcd":
        runs(tested, fails(name), failed=1)
    assert kept(tested) == ["test_a", "test_b", "test_c", "test_d"]


# -- processes ------------------------------------------------------------------------------------

WAITS = """
def test_waits(temp_dirs):
    (temp_dirs[0] / "file").write_text("x")
    print("at work", flush=True)
    input()
"""


def session(tested: pytest.Pytester, code: str, *arguments: str) -> AbstractContextManager[Process]:
    """A run of pytest in a process of its own, whose test has said something."""
    path = tested.makepyfile(test_session=code)
    options = ["-s", "-p", "no:terminal", *arguments, str(path)]
    return process(f"import pytest; pytest.main({options!r})", cwd=tested.path)


def test_the_next_run_removes_what_a_killed_one_was_at_work_in(tested: pytest.Pytester) -> None:
    with session(tested, fails("a") + WAITS) as killed:
        assert kept(tested) == ["test_a", "test_waits"]
        assert tempkeep("temp-clean", "--yes") == 0
        runs(tested, PASSES, passed=1)
        assert kept(tested) == ["test_a", "test_waits"]
        killed.kill()
        killed.wait()
        assert {entry.use for entry in scanned(tested.path / ".tmp").values()} == {None}
        runs(tested, PASSES, passed=1)
    assert kept(tested) == ["test_a"]


def test_three_killed_and_five_good_runs_leave_nothing(tested: pytest.Pytester) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(session(tested, WAITS))
    assert kept(tested) == ["test_waits"] * 3
    for _ in range(5):
        runs(tested, PASSES, passed=1)
    assert kept(tested) == []
    owners = tested.path / ".tmp" / ".tempkeep" / "owners"
    assert len(list(owners.iterdir())) == 1  # that of this process, which goes on


def test_runs_at_the_same_time_leave_each_other_alone(tested: pytest.Pytester) -> None:
    with session(tested, WAITS) as first, session(tested, WAITS) as second:
        for name in "abcd":
            runs(tested, fails(name), failed=1)
        assert kept(tested)[-2:] == ["test_waits", "test_waits"]
        for one in (first, second):
            one.communicate("\n")
            assert one.returncode == 0
    assert kept(tested) == ["test_b", "test_c", "test_d"]


def test_in_a_process_that_goes_on_each_run_is_one_of_its_own(tested: pytest.Pytester) -> None:
    path = tested.makepyfile(test_it=FAILS)
    main = ["-p", "no:terminal", str(path)]
    code = f"import pytest\nfor _ in range(5): pytest.main({main!r})\nprint('done')\ninput()"
    with process(code, cwd=tested.path) as going_on:
        assert going_on.first_line == "done"
        entries = scanned(tested.path / ".tmp")
        assert len(entries) == 3
        assert {entry.use for entry in entries.values()} == {None}


def test_a_forked_child_removes_nothing_of_its_parents(tested: pytest.Pytester) -> None:
    code = """
    import os, pytest
    def test_forks(temp_root):
        (temp_root / "file").write_text("x")
        child = os.fork()
        if child == 0:
            pytest.fail("and so goes on to the end of the run, as the parent does")
        assert os.waitpid(child, 0)[1] == 256
        assert (temp_root / "file").read_text() == "x"
    def test_next(temp_root):
        assert len(list(temp_root.parent.glob("test_forks_*"))) == (os.getpid() != PARENT)
    """.replace("PARENT", "int(os.environ['PARENT'])")
    path = tested.makepyfile(test_it=code)
    main = ["-q", str(path)]
    done = run(
        [sys.executable, "-c", "import os, pytest, sys; os.environ['PARENT'] = str(os.getpid()); "
         f"sys.exit(pytest.main({main!r}))"],
        cwd=tested.path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "1 failed, 1 passed" in done.stdout  # the child's
    assert "2 passed" in done.stdout
    assert kept(tested) == []


def test_a_child_that_ends_in_a_test_takes_nothing_along(tested: pytest.Pytester) -> None:
    code = """
    import os
    def test_forks(temp_root):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        assert temp_root.is_dir()
    """
    runs(tested, code, passed=1)
    assert kept(tested) == []


def test_what_the_workers_of_xdist_keep_is_one_run(tested: pytest.Pytester) -> None:
    tested.makepyfile(test_it="".join(fails(name) for name in "abcd") + PASSES)
    done = run([sys.executable, "-m", "pytest", "-n2"], cwd=tested.path)
    assert "4 failed, 1 passed" in done.stdout
    for path in (tested.path / ".tmp" / "test").iterdir():
        assert str(path) in done.stdout
    assert {entry.use for entry in scanned(tested.path / ".tmp").values()} == {None}
    for name in "ef":
        runs(tested, fails(name), failed=1)
    assert kept(tested) == [f"test_{name}" for name in "abcdef"]
    runs(tested, fails("g"), failed=1)
    assert kept(tested) == [f"test_{name}" for name in "efg"]


def test_a_worker_of_xdist_that_is_killed_takes_nothing_along(tested: pytest.Pytester) -> None:
    code = """
    import os, signal
    def test_dies(temp_root): os.kill(os.getpid(), signal.SIGKILL)
    """
    tested.makepyfile(test_it=FAILS, test_zz=code)
    done = run([sys.executable, "-m", "pytest", "-n1"], cwd=tested.path)
    assert "2 failed" in done.stdout
    assert kept(tested) == ["test_dies", "test_fails"]
    (tested.path / "test_zz.py").unlink()
    runs(tested, PASSES, passed=1)
    assert kept(tested) == ["test_fails"]


# -- those who do not use it ----------------------------------------------------------------------


@pytest.mark.parametrize("module", ["common.temp", "common.temp.tasks"])
def test_a_process_that_has_imported_the_package_before_is_not_warned(
    tested: pytest.Pytester, module: str
) -> None:
    tested.makepyfile(test_it=PASSES)
    code = f"import {module}, pytest, sys; sys.exit(pytest.main(['-q', '-W', 'error']))"
    done = run([sys.executable, "-c", code], cwd=tested.path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_loads_nothing_that_is_not_used(tested: pytest.Pytester) -> None:
    tested.makepyfile(test_it="def test(): pass\n")
    code = (
        "import pytest, sys\npytest.main(['-q'])\n"
        "print(sorted(name for name in sys.modules if name.startswith('tempkeep.')))"
    )
    done = run([sys.executable, "-c", code], cwd=tested.path)
    assert done.stdout.splitlines()[-1] == "['tempkeep._one_copy', 'tempkeep.pytest_plugin']"
    assert not (tested.path / ".tmp").exists()


def test_help_and_markers_say_what_there_is(tested: pytest.Pytester) -> None:
    for asked, said in (
        ("--help", ["--keep-temps", "--temp-leaks="]),
        ("--markers", ["@pytest.mark.temp_dirs(count=None, names=None)"]),
        ("--fixtures", ["temp_root --", "temp_dirs --"]),
    ):
        shown = tested.runpytest_inprocess(asked).stdout.str()
        assert all(text in shown for text in said)
