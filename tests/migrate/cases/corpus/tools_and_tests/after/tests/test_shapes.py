"""The statement in each shape that code gives it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import glob
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory as Scratch

from common.temp import temp_working_dir

log = logging.getLogger(__name__)


async def in_a_coroutine():
    with temp_working_dir("in_a_coroutine") as d:
        await asyncio.sleep(0)
        return os.path.isdir(d)


def test_coroutine():
    assert asyncio.run(in_a_coroutine())


class Worker:
    kind = "worker"

    def run(self):
        with temp_working_dir("run") as self_dir:
            return os.path.isdir(self_dir)

    @staticmethod
    def static():
        with temp_working_dir("static") as d:
            return os.path.exists(d)

    @classmethod
    def of_class(cls):
        with temp_working_dir("of_class") as d:
            return cls.kind, os.path.exists(d)

    @property
    def prop(self):
        with temp_working_dir("prop") as d:
            return os.path.exists(d)


def test_methods():
    worker = Worker()
    assert worker.run() and worker.static() and worker.prop
    assert worker.of_class() == ("worker", True)


def test_nested_function():
    with temp_working_dir("nested_function") as d:

        def inner():
            return os.path.isdir(d)

        assert inner()


def test_lambda_and_comprehension():
    with temp_working_dir("lambda_and_comprehension") as d:
        made = [os.path.join(d, name) for name in "ab"]
        exists = lambda: os.path.exists(d)  # noqa: E731
        assert exists() and len(made) == 2


def test_bound_again():
    with temp_working_dir("bound_again") as d:
        d = Path(d)
        (d / "x").touch()
        assert d.exists()


def test_twice_the_same_name():
    with temp_working_dir("twice_the_same_name") as d:
        first = os.path.realpath(d)
    with temp_working_dir("twice_the_same_name") as d:
        assert os.path.realpath(d) != first


def test_loop_with_else():
    for number in range(2):
        with temp_working_dir("loop_with_else") as d:
            if not os.listdir(d):
                continue
    else:
        assert number == 1


def test_return_in_the_middle():
    def work():
        with temp_working_dir("work") as d:
            if os.path.isdir(d):
                return True
            return False

    assert work()


def test_with_others():
    with open(os.devnull) as null, temp_working_dir("with_others") as d, contextlib.suppress(KeyError):
        assert null.read() == "" and os.listdir(d) == []


def test_in_parentheses():
    with (
        temp_working_dir("in_parentheses") as a,
        temp_working_dir("in_parentheses") as b,
    ):
        assert os.path.isdir(a) and os.path.isdir(b)


def test_local_import():

    with temp_working_dir("local_import") as d:
        assert os.access(d, os.W_OK)


def test_formats():
    with temp_working_dir("formats") as d:
        texts = {f"in {d}", "in %s" % d, "in {}".format(d), "in {0}".format(d)}
        log.info("in %s", d)
        assert len(texts) == 1


def test_wide_format():
    with tempfile.TemporaryDirectory() as d:
        assert f"{d:>200}".endswith(str(d))


def test_repr():
    with tempfile.TemporaryDirectory() as d:
        assert f"{d!r}".startswith("'/")


def test_os_functions():
    with tempfile.TemporaryDirectory() as d:
        os.mkdir(os.path.join(d, "x"))
        assert [entry.name for entry in os.scandir(d)] == ["x"]
        assert os.stat(d).st_nlink >= 1
        assert next(os.walk(d))[1] == ["x"]
        assert os.path.commonpath([d, os.path.join(d, "x")]) == str(d)


def test_glob():
    with temp_working_dir("glob") as d:
        Path(d, "x.py").touch()
        assert glob.glob("*.py", root_dir=d) == ["x.py"]
        assert len(glob.glob(os.path.join(d, "*.py"))) == 1


def test_unpacked():
    with temp_working_dir("unpacked") as d:
        archive = zipfile.ZipFile(os.path.join(d, "x.zip"), "w")
        archive.writestr("x", "x")
        archive.close()
        shutil.unpack_archive(os.path.join(d, "x.zip"), d)
        assert os.path.exists(os.path.join(d, "x"))


def test_changed_to():
    before = os.getcwd()
    with temp_working_dir("changed_to") as d:
        os.chdir(d)
        try:
            assert os.path.samefile(os.getcwd(), d)
        finally:
            os.chdir(before)


def test_context_of_chdir():
    with temp_working_dir("context_of_chdir") as d:
        with contextlib.chdir(d):
            assert os.listdir() == []


def test_module_path():
    with tempfile.TemporaryDirectory() as d:
        sys.path.insert(0, d)
        try:
            Path(d, "made_up_module.py").write_text("X = 1\n")
            import made_up_module

            assert made_up_module.X == 1
        finally:
            sys.path.remove(d)


def test_popen():
    with temp_working_dir("popen") as d:
        with subprocess.Popen([sys.executable, "-c", "open('x', 'w')"], cwd=d) as process:
            process.wait()
        assert os.listdir(d) == ["x"]


def test_dictionary():
    with tempfile.TemporaryDirectory() as d:
        options = dict(cwd=d)
        assert options["cwd"] == d


def test_starred():
    with tempfile.TemporaryDirectory() as d:
        parts = [*d]
        assert parts[0] == os.sep


def test_method_of_text():
    with tempfile.TemporaryDirectory() as d:
        assert d.startswith(os.sep) and not d.endswith(os.sep)


def test_regular_expression():
    with tempfile.TemporaryDirectory() as d:
        assert re.match(r"/", d)


def test_in_text():
    with tempfile.TemporaryDirectory() as d:
        assert "tmp" in d or True


def test_partial():
    with tempfile.TemporaryDirectory() as d:
        join = functools.partial(os.path.join, d)
        assert os.path.dirname(join("x")) == str(d)


def test_typed():
    with tempfile.TemporaryDirectory() as d:
        path: str = d
        assert typing.cast(str, path) == d


def test_condition():
    with temp_working_dir("condition") as d:
        assert d and (d if d else None) is not None


def test_match():
    with temp_working_dir("match") as d:
        match os.path.isdir(d):
            case True:
                found = True
        assert found


def test_walrus():
    with temp_working_dir("walrus") as d:
        assert (path := os.path.join(d, "x")) and not os.path.exists(path)


def test_global_name():
    global kept_path
    with tempfile.TemporaryDirectory() as kept_path:
        assert os.path.isdir(kept_path)


def test_deleted_name():
    with temp_working_dir("deleted_name") as d:
        assert os.path.isdir(d)
        del d


def test_pathlib_methods():
    with Scratch() as d:
        assert Path(d).samefile(d) and Path(d).exists()


def test_on_one_line():
    with temp_working_dir("on_one_line") as d: assert os.path.isdir(d)  # noqa: E701


if True:
    with temp_working_dir("shapes") as at_the_top:
        print(os.path.isdir(at_the_top))
