"""Fixtures of pytest, called here by hand."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from common.temp import pytest_temp_dirs, temp_working_dir


@pytest.fixture
def work():
    with temp_working_dir("work") as d:
        yield Path(d)


@pytest.fixture(scope="session")
def shared():
    with tempfile.TemporaryDirectory() as d:
        yield Path(d)


@pytest.fixture
def dirs():
    with pytest_temp_dirs(2, ["source", "target"]) as (source, target):
        yield source, target


@pytest.fixture
def removed():
    d = tempfile.mkdtemp()
    yield d
    shutil.rmtree(d)


def copying(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "x").touch()
    target = tmp_path / "target"
    target.mkdir()
    return os.listdir(source)


def test_by_hand():
    with temp_working_dir("by_hand") as d:
        assert copying(Path(d)) == ["x"]


def test_names():
    with pytest_temp_dirs(2, ["a", "b"]) as (a, b):
        assert (a.name, b.name) == ("a", "b")


def test_parent_is_shared():
    with pytest_temp_dirs(2, ["a", "b"]) as (a, b):
        assert a.parent == b.parent
