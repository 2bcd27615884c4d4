"""Fixtures of pytest, called here by hand."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def work():
    with tempfile.TemporaryDirectory() as d:
        yield Path(d)


@pytest.fixture(scope="session")
def shared():
    with tempfile.TemporaryDirectory() as d:
        yield Path(d)


@pytest.fixture
def dirs():
    with tempfile.TemporaryDirectory() as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        target.mkdir()
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
    with tempfile.TemporaryDirectory() as d:
        assert copying(Path(d)) == ["x"]


def test_names():
    with tempfile.TemporaryDirectory() as d:
        a = Path(d, "a")
        b = Path(d, "b")
        a.mkdir()
        b.mkdir()
        assert (a.name, b.name) == ("a", "b")


def test_parent_is_shared():
    with tempfile.TemporaryDirectory() as d:
        a = Path(d) / "a"
        b = Path(d) / "b"
        a.mkdir()
        b.mkdir()
        assert a.parent == b.parent
