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

log = logging.getLogger(__name__)


async def in_a_coroutine():
    with tempfile.TemporaryDirectory() as d:
        await asyncio.sleep(0)
        return os.path.isdir(d)


def test_coroutine():
    assert asyncio.run(in_a_coroutine())


class Worker:
    kind = "worker"

    def run(self):
        with tempfile.TemporaryDirectory() as self_dir:
            return os.path.isdir(self_dir)

    @staticmethod
    def static():
        with tempfile.TemporaryDirectory() as d:
            return os.path.exists(d)

    @classmethod
    def of_class(cls):
        with tempfile.TemporaryDirectory() as d:
            return cls.kind, os.path.exists(d)

    @property
    def prop(self):
        with Scratch() as d:
            return os.path.exists(d)


def test_methods():
    worker = Worker()
    assert worker.run() and worker.static() and worker.prop
    assert worker.of_class() == ("worker", True)


def test_nested_function():
    with tempfile.TemporaryDirectory() as d:

        def inner():
            return os.path.isdir(d)

        assert inner()


def test_lambda_and_comprehension():
    with tempfile.TemporaryDirectory() as d:
        made = [os.path.join(d, name) for name in "ab"]
        exists = lambda: os.path.exists(d)  # noqa: E731
        assert exists() and len(made) == 2


def test_bound_again():
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        (d / "x").touch()
        assert d.exists()


def test_twice_the_same_name():
    with tempfile.TemporaryDirectory() as d:
        first = os.path.realpath(d)
    with tempfile.TemporaryDirectory() as d:
        assert os.path.realpath(d) != first


def test_loop_with_else():
    for number in range(2):
        with tempfile.TemporaryDirectory() as d:
            if not os.listdir(d):
                continue
    else:
        assert number == 1


def test_return_in_the_middle():
    def work():
        with tempfile.TemporaryDirectory() as d:
            if os.path.isdir(d):
                return True
            return False

    assert work()


def test_with_others():
    with open(os.devnull) as null, tempfile.TemporaryDirectory() as d, contextlib.suppress(KeyError):
        assert null.read() == "" and os.listdir(d) == []


def test_in_parentheses():
    with (
        tempfile.TemporaryDirectory() as a,
        tempfile.TemporaryDirectory() as b,
    ):
        assert os.path.isdir(a) and os.path.isdir(b)


def test_local_import():
    import tempfile as local

    with local.TemporaryDirectory() as d:
        assert os.access(d, os.W_OK)


def test_formats():
    with tempfile.TemporaryDirectory() as d:
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
    with tempfile.TemporaryDirectory() as d:
        Path(d, "x.py").touch()
        assert glob.glob("*.py", root_dir=d) == ["x.py"]
        assert len(glob.glob(os.path.join(d, "*.py"))) == 1


def test_unpacked():
    with tempfile.TemporaryDirectory() as d:
        archive = zipfile.ZipFile(os.path.join(d, "x.zip"), "w")
        archive.writestr("x", "x")
        archive.close()
        shutil.unpack_archive(os.path.join(d, "x.zip"), d)
        assert os.path.exists(os.path.join(d, "x"))


def test_changed_to():
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as d:
        os.chdir(d)
        try:
            assert os.path.samefile(os.getcwd(), d)
        finally:
            os.chdir(before)


def test_context_of_chdir():
    with tempfile.TemporaryDirectory() as d:
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
    with tempfile.TemporaryDirectory() as d:
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
    with tempfile.TemporaryDirectory() as d:
        assert d and (d if d else None) is not None


def test_match():
    with tempfile.TemporaryDirectory() as d:
        match os.path.isdir(d):
            case True:
                found = True
        assert found


def test_walrus():
    with tempfile.TemporaryDirectory() as d:
        assert (path := os.path.join(d, "x")) and not os.path.exists(path)


def test_global_name():
    global kept_path
    with tempfile.TemporaryDirectory() as kept_path:
        assert os.path.isdir(kept_path)


def test_deleted_name():
    with tempfile.TemporaryDirectory() as d:
        assert os.path.isdir(d)
        del d


def test_pathlib_methods():
    with Scratch() as d:
        assert Path(d).samefile(d) and Path(d).exists()


def test_on_one_line():
    with Scratch() as d: assert os.path.isdir(d)  # noqa: E701


if True:
    with tempfile.TemporaryDirectory() as at_the_top:
        print(os.path.isdir(at_the_top))
