"""The statements of the documents on `TempManager` and its helpers hold here."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import common.temp as temp
from common.temp import TempManager
from common.temp.errors import InvalidName, InvalidSettings
from common.temp.store.project.project import system_temp
from tests.documents.statement import Statement, parameters
from tests.each import each
from tests.support import age, long_ago, make_entry

# -- signatures -----------------------------------------------------------------------------------

SIGNATURES: dict[str, tuple[list[tuple[str, object]], str]] = {
    "TempManager.create_persistent_dir": ([("name_prefix", "temp"), ("category", None)], ""),
    "TempManager.create_persistent_file": (
        [("name_prefix", "temp"), ("suffix", ".tmp"), ("category", None)],
        "",
    ),
    "TempManager.auto_cleanup_dir": ([("name_prefix", "temp")], ""),
    "TempManager.auto_cleanup_file": ([("name_prefix", "temp"), ("suffix", ".tmp")], ""),
    "TempManager.list_persistent_temps": ([("category", None)], ""),
    "TempManager.clean_persistent_temps": ([("max_age_hours", None)], ""),
    "TempManager.get_project_temp_base": ([], ""),
    "get_debug_temp_dir": ([("name_prefix", "debug"), ("category", "debug")], ""),
    "get_cache_temp_dir": ([("name_prefix", "cache"), ("category", "cache")], ""),
    "temp_working_dir": ([("name_prefix", "work")], ""),
    "get_temp_dir": ([("name_prefix", "temp")], ""),
    "pytest_temp_dirs": (
        [("num_dirs", None), ("names", None)],
        "The number was 2 by default; now it is that of the names, and 2 without names: a number "
        "that nobody gave must not cut off names that somebody gave.",
    ),
}


@each("name", SIGNATURES)
def test_a_callable_takes_what_it_took(name: str) -> None:
    found: Any = temp
    for part in name.split("."):
        found = getattr(found, part)
    assert parameters(found) == SIGNATURES[name][0]


# -- statements -----------------------------------------------------------------------------------


def stamped(label: str) -> str:
    return rf"{label}_[0-9]{{10}}(-[0-9a-f]+)?"


def makes(path: Path, above: Path, pattern: str) -> bool:
    return path.is_absolute() and path.parent == above and bool(re.fullmatch(pattern, path.name))


def gone_after(make: Callable[[], Any], base: Path) -> bool:
    """Whether it is in `base` inside the block, and gone after it and after an error."""
    with make() as path:
        assert path.exists()
        assert path.is_relative_to(base)
    with pytest.raises(ZeroDivisionError), make() as other:
        raise ZeroDivisionError
    return not path.exists() and not other.exists()


def names_of(*arguments: Any, **named: Any) -> list[str]:
    with temp.pytest_temp_dirs(*arguments, **named) as directories:
        assert all(path.is_dir() for path in directories)
        assert len({path.parent for path in directories}) <= 1
        return [path.name for path in directories]


def lists_by_category(project: Path) -> bool:
    cached = TempManager.create_persistent_dir("a", "cache")
    debug = TempManager.create_persistent_dir("b", "debug")
    listed = TempManager.list_persistent_temps
    return listed(category="cache") == [cached] and listed() == [cached, debug]


def cleaned_by_age(project: Path) -> bool:
    old = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=25)
    new = make_entry(project / ".tmp", "debug/new_1696348800", age_hours=23)
    return TempManager.clean_persistent_temps(max_age_hours=24) == 1 and (
        (old.exists(), new.exists()) == (False, True)
    )


def cleaned_all(project: Path) -> bool:
    made = [TempManager.create_persistent_dir() for _ in range(3)]
    return TempManager.clean_persistent_temps() == 3 and not any(path.exists() for path in made)


def own_old_entry_stays(project: Path) -> bool:
    with long_ago():
        path = TempManager.create_persistent_dir()
    age(path, 100)
    return TempManager.clean_persistent_temps(24) == 0 and path.is_dir()


def refuses_hours(project: Path) -> bool:
    entry = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=25)
    unread: list[Any] = ["24", "soon", -1, float("nan")]
    for hours in unread:
        with pytest.raises(InvalidSettings):
            TempManager.clean_persistent_temps(hours)
    return issubclass(InvalidSettings, ValueError) and entry.is_dir()


@contextmanager
def first_of(context: Any) -> Iterator[Path]:
    with context as directories:
        yield directories[0]


def decorated(project: Path) -> bool:
    seen: list[tuple[int, list[str]]] = []
    base = system_temp()

    @temp.pytest_temp_dirs(2, ["in", "out"])
    def run(given: int) -> None:
        seen.append((given, sorted(path.name for path in base.glob("*/test/*/*"))))

    run(1)
    run(given=2)
    return seen == [(1, ["in", "out"]), (2, ["in", "out"])]


def decorated_until_the_end(project: Path) -> bool:
    base = system_temp()

    @temp.pytest_temp_dirs(2)
    async def run() -> int:
        await asyncio.sleep(0)
        return len([*base.glob("*/test/*/*")])

    @temp.pytest_temp_dirs(1)
    def fixture() -> Iterator[int]:
        yield len([*base.glob("*/test/*/*")])

    assert inspect.iscoroutinefunction(run)
    assert inspect.isgeneratorfunction(fixture)
    return (asyncio.run(run()), [*fixture()], [*base.glob("*/test/*/*")]) == (2, [1], [])


def entered_twice(project: Path) -> bool:
    siblings = temp.pytest_temp_dirs(1)
    with siblings as (first,):
        with pytest.raises(RuntimeError, match="in use"), siblings:
            pass
        assert first.is_dir()
    with siblings as (second,):
        return second.is_dir() and not first.exists()


def refuses_what_is_no_number(project: Path) -> bool:
    wrong: list[Any] = ["2", 2.0, ["a", "b"], print]
    for number in wrong:
        with pytest.raises(TypeError, match="num_dirs: expected how many"):
            temp.pytest_temp_dirs(number)
    with pytest.raises(TypeError, match="names: expected a list"):
        temp.pytest_temp_dirs(names="source")
    return True


class Purpose(str, Enum):  # noqa: UP042 - its `str()` is not its text
    DEBUG = "debug"


def named_by_an_enum(project: Path) -> bool:
    path = TempManager.create_persistent_file(Purpose.DEBUG, ".txt", Purpose.DEBUG)
    return makes(path.parent, project / ".tmp" / "debug", stamped("debug"))


def refuses_what_is_no_name(project: Path) -> bool:
    number: Any = 7
    for options in ({"name_prefix": number}, {"category": number}, {"suffix": number}):
        with pytest.raises(InvalidName, match=r"7 is not a string"):
            TempManager.create_persistent_file(**options)
    return not (project / ".tmp").exists()


@contextmanager
def keeping() -> Iterator[None]:
    os.environ["PYTEST_KEEP_TEMPS"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTEST_KEEP_TEMPS"]


def kept(project: Path) -> bool:
    with keeping(), temp.pytest_temp_dirs() as (source, _):
        pass
    return source.is_dir() and source.is_relative_to(project / ".tmp" / "test")


def from_below(project: Path) -> bool:
    (project / "src" / "deep").mkdir(parents=True)
    os.chdir(project / "src" / "deep")
    try:
        return TempManager.get_project_temp_base() == project / ".tmp"
    finally:
        os.chdir(project)


def legacy(project: Path) -> bool:
    with pytest.warns(FutureWarning, match="get_debug_temp_dir"):
        path = temp.get_temp_dir("demo")
    return makes(path, project / ".tmp" / "uncategorized", stamped("demo"))


MANAGER = [
    Statement("PERSISTENT_BASE is .tmp", lambda _: TempManager.PERSISTENT_BASE == ".tmp"),
    Statement(
        "AUTO_CLEANUP_BASE is the system's temporary directory, which exists",
        lambda _: system_temp() == TempManager.AUTO_CLEANUP_BASE and system_temp().is_dir(),
    ),
    Statement(
        "get_project_temp_base() is .tmp, and it exists",
        lambda project: (
            TempManager.get_project_temp_base() == project / ".tmp" and (project / ".tmp").is_dir()
        ),
    ),
    Statement(
        "the base belongs to where the program runs",
        from_below,
        "It is that of the project, also from a directory inside: each working directory having "
        "a .tmp of its own is how scratch gets lost.",
    ),
    Statement(
        "a persistent directory is .tmp/<category>/<name>_<epoch>",
        lambda project: makes(
            TempManager.create_persistent_dir("thumbs", "cache"),
            project / ".tmp" / "cache",
            stamped("thumbs"),
        ),
    ),
    Statement(
        "without a category it is .tmp/<name>_<epoch>",
        lambda project: makes(
            TempManager.create_persistent_dir("thumbs"),
            project / ".tmp" / "uncategorized",
            stamped("thumbs"),
        ),
        "It is in `uncategorized`, so that a directory in .tmp is always a category.",
    ),
    Statement(
        "two directories of one name in one second are the same",
        lambda _: len({TempManager.create_persistent_dir("x") for _ in range(5)}) == 5,
        "They are not: two programs that share one overwrite each other.",
    ),
    Statement(
        "paths are relative to the working directory",
        lambda _: TempManager.create_persistent_dir().is_absolute(),
        "They are absolute: they mean the same after os.chdir().",
    ),
    Statement(
        "a persistent file is empty and is called <name>_<epoch><suffix>",
        lambda _: (
            (path := TempManager.create_persistent_file("log", ".txt", "debug")).read_bytes() == b""
            and bool(re.fullmatch(stamped("log") + r"\.txt", path.name))
        ),
    ),
    Statement(
        "it is .tmp/<category>/<name>_<epoch><suffix>",
        lambda project: (
            TempManager.create_persistent_file("log", ".txt", "debug").parent.parent
            == project / ".tmp" / "debug"
        ),
        "It is alone in an entry of its own, which has an owner, an age and a size.",
    ),
    Statement("a name and a category may be of an enum of texts", named_by_an_enum),
    Statement("what is no text raises, and nothing is made", refuses_what_is_no_name),
    Statement(
        "an auto-cleanup directory is gone after its block, also after an error",
        lambda _: gone_after(TempManager.auto_cleanup_dir, system_temp()),
    ),
    Statement(
        "an auto-cleanup file is too, and has the suffix",
        lambda _: gone_after(lambda: TempManager.auto_cleanup_file("x", ".csv"), system_temp()),
    ),
    Statement(
        "list_persistent_temps() lists what is there, by category if one is given",
        lists_by_category,
    ),
    Statement(
        "it is empty where nothing was made, and makes nothing",
        lambda project: (
            TempManager.list_persistent_temps() == [] and not (project / ".tmp").exists()
        ),
    ),
    Statement("clean_persistent_temps(hours) cleans what is older", cleaned_by_age),
    Statement("without hours it cleans all, and returns how many went", cleaned_all),
    Statement(
        "what is older goes",
        own_old_entry_stays,
        "Not while a process uses it: by age, a process keeps its own entries too.",
    ),
    Statement(
        "hours that are no number raise",
        refuses_hours,
    ),
]

HELPERS = [
    Statement(
        "get_debug_temp_dir() makes .tmp/debug/debug_<epoch>",
        lambda project: makes(
            temp.get_debug_temp_dir(), project / ".tmp" / "debug", stamped("debug")
        ),
    ),
    Statement(
        "get_cache_temp_dir(name) makes .tmp/cache/<name>_<epoch>",
        lambda project: makes(
            temp.get_cache_temp_dir("wheels"), project / ".tmp" / "cache", stamped("wheels")
        ),
    ),
    Statement(
        "temp_working_dir() is gone after its block, also after an error",
        lambda _: gone_after(temp.temp_working_dir, system_temp()),
    ),
    Statement(
        "the working directory of the process stays",
        lambda project: temp.temp_working_dir().__enter__() and Path.cwd() == project,
    ),
    Statement(
        "get_temp_dir(name) makes .tmp/<name>_<epoch>",
        legacy,
        "It is in `uncategorized`, and warns: the name says neither what for nor how long.",
    ),
    Statement(
        "pytest_temp_dirs() gives source and target",
        lambda _: names_of() == ["source", "target"],
    ),
    Statement(
        "of 7, the names are source, target, working, output, backup, temp_5, temp_6",
        lambda _: (
            names_of(7) == ["source", "target", "working", "output", "backup", "temp_5", "temp_6"]
        ),
    ),
    Statement(
        "with names, they have these, and temp_<i> when there are not enough",
        lambda _: names_of(3, ["a", "b"]) == ["a", "b", "temp_2"],
    ),
    Statement("the number counts, not the names", lambda _: names_of(1, ["a", "b"]) == ["a"]),
    Statement(
        "without a number there are as many as names",
        lambda _: names_of(names=["a", "b", "c"]) == ["a", "b", "c"],
    ),
    Statement("it decorates a function, which is called with its arguments", decorated),
    Statement("of a coroutine or a generator, they last until it ends", decorated_until_the_end),
    Statement("one is entered once at a time, and may be entered again", entered_twice),
    Statement("a number that is none, or names that are a text, raise", refuses_what_is_no_number),
    Statement(
        "they are in .tmp/test and gone after the block",
        lambda project: (
            gone_after(lambda: first_of(temp.pytest_temp_dirs()), system_temp())
            and not (project / ".tmp").exists()
        ),
        "They are in the system's temporary directory, so that tests run in a read-only project.",
    ),
    Statement("with PYTEST_KEEP_TEMPS=1 they are in .tmp/test, and stay", kept),
]


@pytest.mark.parametrize("statement", [*MANAGER, *HELPERS], ids=lambda one: one.says)
def test_a_statement_holds(project: Path, statement: Statement) -> None:
    assert statement.holds(project)


# -- examples -------------------------------------------------------------------------------------

EXAMPLES = {
    "a debug directory": (
        "from common.temp import get_debug_temp_dir\n"
        "debug_dir = get_debug_temp_dir('photo_analysis')\n"
        "(debug_dir / 'results.json').write_text('{}')\n"
    ),
    "a cache": (
        "from common.temp import get_cache_temp_dir\n"
        "cache = get_cache_temp_dir('thumbnails')\n"
        "(cache / 'a.png').write_bytes(b'')\n"
    ),
    "a working directory": (
        "from common.temp import temp_working_dir\n"
        "with temp_working_dir('resize') as work:\n"
        "    (work / 'step1.txt').write_text('x')\n"
        "assert not work.exists()\n"
    ),
    "persistent and not": (
        "from common.temp import TempManager\n"
        "path = TempManager.create_persistent_dir('analysis', category='debug')\n"
        "log = TempManager.create_persistent_file('log', suffix='.txt')\n"
        "log.write_text('started')\n"
        "with TempManager.auto_cleanup_file('upload', suffix='.csv') as upload:\n"
        "    upload.write_text('a,b')\n"
        "for one in TempManager.list_persistent_temps():\n"
        "    assert one.exists()\n"
        "assert TempManager.clean_persistent_temps(max_age_hours=24) == 0\n"
        "assert (TempManager.get_project_temp_base() / 'debug').is_dir()\n"
    ),
    "tests": (
        "from common.temp import pytest_temp_dirs\n"
        "def test_copy():\n"
        "    with pytest_temp_dirs(2, ['source', 'target']) as (source, target):\n"
        "        (source / 'a').write_text('x')\n"
        "        assert not (target / 'a').exists()\n"
        "test_copy()\n"
    ),
    "a decorator": (
        "from common.temp import pytest_temp_dirs\n"
        "@pytest_temp_dirs(1)\n"
        "def test_it(name='x'):\n"
        "    return name\n"
        "assert test_it() == 'x' and test_it('y') == 'y'\n"
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_stands(project: Path, name: str) -> None:
    exec(compile(EXAMPLES[name], name, "exec"), {"__name__": "example"})
