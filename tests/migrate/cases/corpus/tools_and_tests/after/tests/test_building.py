"""A build system that copies its project, builds in other directories, and installs."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from common.temp import pytest_temp_dirs, temp_working_dir

PROJECT = os.path.dirname(os.path.abspath(__file__))


def test_copy_of_the_project():
    with temp_working_dir("copy_of_the_project") as d:
        shutil.copytree(PROJECT, os.path.join(d, "copy"))
        assert not os.path.exists(os.path.join(d, "copy", "copy"))


def test_copy_into_it():
    with temp_working_dir("copy_into_it") as d:
        shutil.copytree(PROJECT, d, dirs_exist_ok=True)
        assert filecmp.cmp(__file__, os.path.join(d, os.path.basename(__file__)))


def test_copy_of_where_we_are():
    with temp_working_dir("copy_of_where_we_are") as d:
        shutil.copytree(".", Path(d) / "copy")
        assert (Path(d) / "copy").is_dir()


def test_archive():
    with temp_working_dir("archive") as d:
        name = shutil.make_archive(os.path.join(d, "all"), "tar", PROJECT)
        with tarfile.open(name) as archive:
            assert not any("all.tar" in member for member in archive.getnames())


def test_nothing_new_where_we_are():
    before = sorted(os.listdir("."))
    with temp_working_dir("nothing_new_where_we_are") as d:
        inside = sorted(os.listdir("."))
        assert os.path.isdir(d)
    assert before == inside == sorted(os.listdir("."))


def test_source_and_build():
    with pytest_temp_dirs(2, ["source", "build"]) as (source, build):
        (source / "x.c").write_text("int x;")
        shutil.copy(source / "x.c", build)
        assert (build / "x.c").read_text() == "int x;"


def test_three():
    with pytest_temp_dirs(3, ["s", "b", "p"]) as (source, build, prefix):
        assert [p.is_dir() for p in (source, build, prefix)] == [True] * 3


def test_target_must_be_missing():
    with temp_working_dir("target_must_be_missing") as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        shutil.copytree(source, target)
        assert target.exists()


def test_one_child():
    with temp_working_dir("one_child") as d:
        build = Path(d) / "build"
        build.mkdir()
        assert build.name == "build"


def test_a_program():
    with temp_working_dir("a_program") as d:
        script = os.path.join(d, "x.py")
        with open(script, "w") as file:
            file.write("import os; print(os.getcwd() == os.path.dirname(os.path.abspath(__file__)))")
        said = subprocess.check_output([sys.executable, script], cwd=d, text=True)
        assert said.strip() == "True"


def test_a_program_with_it_as_argument():
    with tempfile.TemporaryDirectory() as d:
        command = [sys.executable, "-c", "import sys, os; print(os.path.isdir(sys.argv[1]))", d]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "True\n"


def test_in_the_environment():
    with tempfile.TemporaryDirectory() as d:
        os.environ["BUILD"] = d
        assert os.environ.pop("BUILD") == str(d)


def test_written_as_json():
    with tempfile.TemporaryDirectory() as d:
        assert json.loads(json.dumps({"build": d}))["build"] == str(d)


def test_zip():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "x.zip")
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(__file__, "x.py")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(d)
        assert sorted(os.listdir(d)) == ["x.py", "x.zip"]


def test_read_only_files_go_too():
    with temp_working_dir("read_only_files_go_too") as d:
        inner = os.path.join(d, "inner")
        os.mkdir(inner)
        os.chmod(inner, 0o500)
    assert not os.path.exists(d)


def test_it_may_be_gone_already():
    with temp_working_dir("it_may_be_gone_already") as d:
        os.rmdir(d)
    assert not os.path.exists(d)


def test_an_error_passes_through():
    try:
        with temp_working_dir("an_error_passes_through") as d:
            raise KeyError(os.path.exists(d))
    except KeyError as error:
        assert error.args == (True,)
    assert not os.path.exists(d)


def test_moved_into():
    with temp_working_dir("moved_into") as d, temp_working_dir("moved_into") as other:
        Path(d, "x").touch()
        shutil.move(os.path.join(d, "x"), other)
        assert os.listdir(other) == ["x"]


def test_chosen():
    with temp_working_dir("chosen") as d:
        for name in ("a", "b"):
            path = Path(d).joinpath(name)
            path.write_text(name)
        assert max(Path(d).iterdir()).name == "b"


def build_in(directory):
    return os.path.join(directory, "out")


def test_passed_on():
    with tempfile.TemporaryDirectory() as d:
        assert build_in(d) == str(d) + "/out"
