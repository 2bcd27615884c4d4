"""A file is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.temp.errors import StorageError
from common.temp.store.system.writing import replacing, write_whole


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with nothing else in it."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_a_file_is_replaced_whole_and_nothing_else_is_left(place: Path) -> None:
    path = place / "plan.json"
    path.write_text("old")
    write_whole(path, "new \udc80\n")
    assert path.read_text() == "new \\udc80\n"
    assert os.listdir(place) == ["plan.json"]


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(place: Path) -> None:
    (place / "victim").write_text("mine")
    (place / "plan.json").symlink_to("victim")
    write_whole(place / "plan.json", "new")
    assert (place / "victim").read_text() == "mine"
    assert not (place / "plan.json").is_symlink()


def _written_half(path: Path, error: BaseException) -> None:
    with replacing(path) as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()])
def test_what_ends_the_writing_leaves_the_old_file_and_no_other(
    place: Path, error: BaseException
) -> None:
    path = place / "plan.json"
    path.write_text("old")
    with pytest.raises(type(error)):
        _written_half(path, error)
    assert path.read_text() == "old"
    assert os.listdir(place) == ["plan.json"]


def test_what_lies_where_it_is_to_be_written_first_is_left_alone(place: Path) -> None:
    fresh = place / "theirs"
    fresh.write_text("theirs")
    with pytest.raises(FileExistsError), replacing(place / "plan.json", str(fresh)):
        pass
    assert fresh.read_text() == "theirs"


def test_a_directory_in_its_place_is_an_error_with_what_to_do(place: Path) -> None:
    (place / "plan.json").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*plan.json: .*choose another file"):
        write_whole(place / "plan.json", "new")
    assert os.listdir(place) == ["plan.json"]
