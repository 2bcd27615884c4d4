"""What tests leave behind and which test made it, in real runs of pytest."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from common.temp import leaks
from tests.support import make_entry, process, run, runs

pytest_plugins = ["pytester"]

MAKE = "from common.temp import get_debug_temp_dir as make; make('left')"
"""What a process runs that leaves an entry in the project that it is started in."""

LEAVES = """
import os, shutil, subprocess, sys, tempfile
from pathlib import Path
from common.temp import TempManager, get_cache_temp_dir, get_debug_temp_dir, pytest_temp_dirs
from common.temp import temp_working_dir
import pytest
def test_it():
    BODY
HELD = []
"""


def leaves(
    tested: pytest.Pytester, body: str, *arguments: str, code: str = LEAVES, **outcomes: int
) -> str:
    """What a run says of a test that does that."""
    outcomes = outcomes or {"passed": 1, "errors": 1}
    result = runs(tested, code.replace("BODY", body), "--temp-leaks=error", *arguments, **outcomes)
    return result.stdout.str()


# -- what is named --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("get_debug_temp_dir('mine')", ".tmp/debug/mine_*, made at test_it.py:7 in test_it"),
        ("get_cache_temp_dir('a', 'own')", ".tmp/own/a_*, made at test_it.py:7 in test_it"),
        (
            "HELD.append(pytest_temp_dirs()); HELD[0].__enter__()",
            "/test/test_it_*, made at test_it.py:7 in test_it",
        ),
        ("os.makedirs('.tmp/old_1600000000/in')", ".tmp/old_1600000000, made at test_it.py:7 in"),
        ("os.mkdir('.tmp'); Path('.tmp/a.txt').write_text('')", ".tmp/a.txt, made at test_it.py:7"),
        ("os.mkdir('.tmp'); Path('.tmp/a.txt').touch()", ".tmp/a.txt, made at test_it.py:7 in"),
        ("Path('.tmp/a/b').mkdir(parents=True)", ".tmp/a, made at test_it.py:7 in test_it"),
        ("tempfile.mkdtemp(prefix='x')", "/system-temp/x*, made at test_it.py:7 in test_it"),
        (
            "os.mkdir(os.fsencode(tempfile.gettempdir()) + b'/x')",
            "/system-temp/x, made at test_it.py:7 in",
        ),
        (
            "shutil.copytree('.', tempfile.gettempdir() + '/x')",
            "/system-temp/x, made at test_it.py:7 in",
        ),
        (
            "os.mkdir('x'); shutil.move('x', tempfile.gettempdir() + '/x')",
            "/system-temp/x, made at test_it.py:7 in",
        ),
        (
            "HELD.append(TempManager.auto_cleanup_dir()); HELD[0].__enter__()",
            "/auto/temp_*, made at test_it.py:7 in",
        ),
    ],
)
def test_what_a_test_leaves_is_named_with_the_line_that_made_it(
    tested: pytest.Pytester, body: str, left: str
) -> None:
    said = leaves(tested, body)
    lines = [line for line in said.splitlines() if line.startswith(("left behind", "and /"))]
    assert len(lines) == 1
    pytest.LineMatcher(lines).fnmatch_lines([f"left behind /*{left}*"])


def test_the_line_is_that_of_the_code_which_asked_and_not_of_the_library(
    tested: pytest.Pytester,
) -> None:
    tested.makepyfile(loader="import tempfile\ndef load():\n    return tempfile.mkdtemp()\n")
    said = leaves(tested, "import loader; loader.load()")
    assert ", made at loader.py:3 in load" in said


@pytest.mark.parametrize("how", ["subprocess", "fork"])
def test_what_a_process_leaves_that_the_test_started_is_named_with_it(
    tested: pytest.Pytester, how: str
) -> None:
    body = {
        "subprocess": f'subprocess.run([sys.executable, "-c", {MAKE!r}], check=True)',
        "fork": f"if not os.fork(): {MAKE}; os._exit(0)\n    os.wait()",
    }
    said = leaves(tested, body[how])
    (line,) = [line for line in said.splitlines() if line.startswith("left behind")]
    pytest.LineMatcher([line]).fnmatch_lines(["*/.tmp/debug/left_*, made by pid [0-9]* (*"])


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("subprocess.run(['mkdir', '-p', '.tmp/debug/plain'], check=True)", ".tmp/debug/plain"),
        ("os.system('mkdir -p .tmp/old_1600000000')", ".tmp/old_1600000000"),
        (
            "if not os.fork(): os.makedirs('.tmp/old_1600000000'); os._exit(0)\n    os.wait()",
            ".tmp/old_1600000000",
        ),
        ("os.makedirs('.tmp'); subprocess.run(['touch', '.tmp/log.txt'])", ".tmp/log.txt"),
        (
            "os.system('true')\n    os.system('mkdir -p .tmp/old_1600000000')",
            ".tmp/old_1600000000",
        ),
    ],
)
def test_what_a_process_leaves_without_a_lease_is_named_with_the_line_that_started_it(
    tested: pytest.Pytester, body: str, left: str
) -> None:
    said = leaves(tested, body)
    lines = [line for line in said.splitlines() if line.startswith(("left behind", "and /"))]
    assert len(lines) == 1
    who = "made by a process that was started at test_it.py:7 in test_it"
    if "true" in body:
        who += " or at test_it.py:8 in test_it"
    pytest.LineMatcher(lines).fnmatch_lines([f"left behind /*{left}, {who}"])


def test_where_tests_run_side_by_side_nobody_is_blamed_for_what_has_no_lease(
    tested: pytest.Pytester,
) -> None:
    leaves(
        tested, "os.system('mkdir -p .tmp/old_1600000000')", "-p", "xdist.plugin", "-n1", passed=1
    )
    assert (tested.path / ".tmp" / "old_1600000000").is_dir()


def test_each_is_named_once_and_with_the_test_that_left_it(tested: pytest.Pytester) -> None:
    more = "\ndef test_other(): pass\ndef test_third(): tempfile.mkdtemp(prefix='z')\n"
    body = "for name in 'xy': tempfile.mkdtemp(prefix=name)"
    said = leaves(tested, body, code=LEAVES + more, passed=3, errors=2)
    pytest.LineMatcher(said.splitlines()).fnmatch_lines(
        [
            "*ERROR at teardown of test_it *",
            "left behind /*/system-temp/x*, made at test_it.py:7 in test_it",
            "and /*/system-temp/y*, made at test_it.py:7 in test_it",
            "*ERROR at teardown of test_third *",
            "left behind /*/system-temp/z*, made at test_it.py:11 in test_third",
            "*= short test summary *",
        ],
        consecutive=True,
    )


def test_the_workers_of_xdist_name_theirs(tested: pytest.Pytester) -> None:
    code = "import tempfile\nfrom common.temp import get_debug_temp_dir\n" + "".join(
        f"def test_{name}(): get_debug_temp_dir('{name}')\n" for name in "abcd"
    )
    tested.makepyfile(test_it=code)
    options = ["-n2", "--temp-leaks=error", "--tb=short"]
    done = run([sys.executable, "-m", "pytest", *options], cwd=tested.path)
    assert "4 passed, 4 errors" in done.stdout
    for name in "abcd":
        assert len(re.findall(rf"^left behind .*/debug/{name}_", done.stdout, re.MULTILINE)) == 1


def test_a_test_that_leaves_something_has_failed_and_so_its_own_directory_is_kept(
    tested: pytest.Pytester,
) -> None:
    code = LEAVES.replace("test_it()", "test_it(temp_root)")
    said = leaves(tested, "tempfile.mkdtemp()", code=code)
    assert "kept temporary directory" in said
    assert len(re.findall("^left behind ", said, re.MULTILINE)) == 1


# -- fixtures -------------------------------------------------------------------------------------

FIXTURE = """
import shutil, tempfile
import pytest
@pytest.fixture(scope="SCOPE")
def shared():
    path = tempfile.mkdtemp()
    yield path
    AFTER
class TestIt:
    def test_one(self, shared): pass
    def test_two(self, shared): pass
def test_three(): pass
"""


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
def test_what_a_fixture_removes_when_it_ends_is_no_leak(
    tested: pytest.Pytester, scope: str
) -> None:
    code = FIXTURE.replace("SCOPE", scope).replace("AFTER", "shutil.rmtree(path)")
    leaves(tested, "", code=code, passed=3)


@pytest.mark.parametrize(
    ("scope", "last", "times"),
    [("class", "test_two", 1), ("module", "test_three", 1), ("session", "test_three", 1)],
)
def test_what_a_fixture_leaves_is_named_with_it_when_it_has_ended(
    tested: pytest.Pytester, scope: str, last: str, times: int
) -> None:
    code = FIXTURE.replace("SCOPE", scope).replace("AFTER", "pass")
    said = leaves(tested, "", code=code, passed=3, errors=times)
    assert f"ERROR at teardown of {last} " in said.replace("TestIt.", "")
    assert f", made at test_it.py:5 in shared for the fixture 'shared' ({scope})" in said


def test_what_the_fixture_of_a_test_leaves_is_the_test_s(tested: pytest.Pytester) -> None:
    code = FIXTURE.replace("SCOPE", "function").replace("AFTER", "pass")
    said = leaves(tested, "", code=code, passed=3, errors=2)
    line = "^left behind .*, made at test_it.py:5 in shared$"
    assert len(re.findall(line, said, re.MULTILINE)) == 2


def test_what_a_fixture_s_process_makes_is_no_leak_while_the_fixture_lives(
    tested: pytest.Pytester,
) -> None:
    code = f"""
import shutil, subprocess, sys
import pytest
@pytest.fixture(scope="module")
def served():
    subprocess.run([sys.executable, "-c", {MAKE!r}], check=True)
    yield
    shutil.rmtree(".tmp/debug")
def test_one(served): pass
def test_two(served): pass
"""
    leaves(tested, "", code=code, passed=2)


def test_the_fixture_inside_another_is_the_one_that_is_named(tested: pytest.Pytester) -> None:
    code = """
import tempfile
import pytest
@pytest.fixture(scope="session")
def inner(): return tempfile.mkdtemp()
@pytest.fixture(scope="module")
def outer(inner): return inner
def test_one(outer): pass
"""
    said = leaves(tested, "", code=code)
    assert "for the fixture 'inner' (session)" in said
    assert "'outer'" not in said


def test_set_ups_of_modules_and_classes_count_as_fixtures(tested: pytest.Pytester) -> None:
    code = """
import shutil, tempfile, unittest
def setup_module(module): module.path = tempfile.mkdtemp()
def teardown_module(module): shutil.rmtree(module.path)
class TestIt(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.path = tempfile.mkdtemp()
    @classmethod
    def tearDownClass(cls): shutil.rmtree(cls.path)
    def test_one(self): pass
    def test_two(self): pass
"""
    leaves(tested, "", code=code, passed=2)


# -- what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "os.rmdir(tempfile.mkdtemp())",
        "with tempfile.TemporaryDirectory(): pass",
        "with temp_working_dir(), pytest_temp_dirs(), TempManager.auto_cleanup_dir(): pass",
        "os.makedirs(tempfile.gettempdir(), exist_ok=True)",
        "os.makedirs('.tmp/debug/before_1600000000', exist_ok=True)",
        "os.mkdir('.tmp/debug/before_1600000000/more')",
        "os.makedirs('build/deep')",
        "tempfile.mkstemp()",
        "with pytest.raises(OSError): os.mkdir(tempfile.gettempdir() + '/no/way')",
        "os.mkdir('x', dir_fd=os.open('.', os.O_RDONLY))",
        "os.makedirs('.tmp/.tempkeep/x')",
        "os.system('mkdir -p .tmp/old_1600000000; rmdir .tmp/old_1600000000')",
        "open(tempfile.gettempdir() + '/file', 'w').close()",
        "open('.tmp/debug/before_1600000000/more', 'w').close()",
    ],
)
def test_what_is_gone_or_was_there_or_lies_elsewhere_is_no_leak(
    tested: pytest.Pytester, body: str
) -> None:
    make_entry(tested.path / ".tmp", "debug/before_1600000000")
    leaves(tested, body, passed=1)


def test_the_directories_that_pytest_makes_are_no_leak(
    tested: pytest.Pytester, own_system_temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytester has it elsewhere otherwise.
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(own_system_temp))
    code = """
    def test_it(tmp_path, tmp_path_factory, temp_root, temp_dirs, pytester):
        tmp_path_factory.mktemp("more")
    def test_fails(temp_root): assert False
    """
    leaves(tested, "", "-p", "pytester", code=code, passed=1, failed=1)
    assert any(own_system_temp.glob("pytest-of-*"))


def test_what_another_process_makes_meanwhile_is_no_leak(tested: pytest.Pytester) -> None:
    code = f"import sys; print(1, flush=True); sys.stdin.readline(); {MAKE}; print(2); input()"
    with process(code, cwd=tested.path) as other:
        # It is told to go on by a child of the test, and so through a pipe that is open there.
        assert other.stdin is not None
        assert other.stdout is not None
        body = (
            f"os.write({other.stdin.fileno()}, b'\\n'); os.read({other.stdout.fileno()}, 9)\n"
            "    assert list(Path('.tmp/debug').iterdir())"
        )
        leaves(tested, body, passed=1)


def test_what_an_earlier_run_left_is_no_leak_of_this_one(tested: pytest.Pytester) -> None:
    body = f'os.path.exists(".tmp") or subprocess.run([sys.executable, "-c", {MAKE!r}])'
    leaves(tested, body)
    leaves(tested, body, passed=1)


def test_what_is_kept_because_all_is_kept_is_no_leak(tested: pytest.Pytester) -> None:
    leaves(tested, "with pytest_temp_dirs(): pass", "--keep-temps", passed=1)
    assert len(list((tested.path / ".tmp" / "test").iterdir())) == 1


def test_what_a_teardown_leaves_that_failed_is_no_further_error(tested: pytest.Pytester) -> None:
    code = """
import tempfile
import pytest
@pytest.fixture
def broken():
    path = tempfile.mkdtemp()
    yield
    raise ValueError("broken")
def test_it(broken): pass
def test_next(): pass
"""
    assert "left behind" not in leaves(tested, "", code=code, passed=2, errors=1)


# -- how it is said -------------------------------------------------------------------------------


def test_a_warning_lets_the_test_pass(tested: pytest.Pytester) -> None:
    code = LEAVES.replace("BODY", "tempfile.mkdtemp()")
    result = runs(tested, code, "--temp-leaks=warn", "-Wdefault", passed=1, warnings=1)
    result.stdout.fnmatch_lines(["test_it.py::test_it", "*TempLeakWarning: left behind /*"])


def test_a_warning_is_an_error_where_warnings_are(tested: pytest.Pytester) -> None:
    code = LEAVES.replace("BODY", "tempfile.mkdtemp()")
    result = runs(tested, code, "--temp-leaks=warn", "-Werror", passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_it*", "left behind /*"])
    assert "pytest_plugin.py" not in result.stdout.str()


@pytest.mark.parametrize("filters", ["-Wdefault", "-Wonce", "-Werror", "-Walways"])
def test_an_error_is_one_whatever_is_done_with_warnings(
    tested: pytest.Pytester, filters: str
) -> None:
    said = leaves(tested, "tempfile.mkdtemp()", filters)
    assert "pytest_plugin.py" not in said


def test_a_filter_that_ignores_the_warning_lets_a_test_leave_what_it_will(
    tested: pytest.Pytester,
) -> None:
    ignore = "ignore::common.temp.pytest_plugin.TempLeakWarning"
    code = LEAVES.replace("def test_it", f"@pytest.mark.filterwarnings({ignore!r})\ndef test_it")
    leaves(tested, "tempfile.mkdtemp()", code=code, passed=1)


def test_nobody_listens_unless_asked(tested: pytest.Pytester) -> None:
    path = tested.makepyfile(test_it=LEAVES.replace("BODY", "tempfile.mkdtemp()"))
    code = f"import pytest, sys; pytest.main([{str(path)!r}]); print(sorted(sys.modules))"
    done = run([sys.executable, "-c", code], cwd=tested.path)
    assert "1 passed" in done.stdout
    assert "left behind" not in done.stdout
    assert "'common.temp.leaks'" not in done.stdout


def test_nobody_listens_when_the_run_is_over(tested: pytest.Pytester) -> None:
    leaves(tested, "tempfile.mkdtemp()")
    assert leaks._watches == []


def test_a_value_that_is_none_of_the_two_is_refused(tested: pytest.Pytester) -> None:
    result = tested.runpytest_inprocess("--temp-leaks=all")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "invalid choice: 'all'" in result.stderr.str()


def test_a_directory_is_made_whatever_happens_to_the_one_who_listens(tmp_path: Path) -> None:
    watch = leaks.Watch(ignored="/nowhere")
    try:
        watch.begin("test", set())
        watch._temporary = None  # type: ignore[assignment]
        os.mkdir(tmp_path / "made")
    finally:
        watch.close()
    assert (tmp_path / "made").is_dir()


def test_the_name_of_what_was_left_does_not_act_on_the_terminal(tested: pytest.Pytester) -> None:
    said = leaves(tested, 'tempfile.mkdtemp("\\x1b[31m\\u202e")')
    assert "\\x1b[31m\\u202e, made " in said
    assert not {"\x1b", "\u202e"} & set(said)
