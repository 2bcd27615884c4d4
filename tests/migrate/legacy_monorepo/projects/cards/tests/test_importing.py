import os
import shutil
import tempfile
import unittest
from pathlib import Path

import pytest
from PIL import Image

from cards.importing import check, day_of, free_name, import_card, preview, unpack_card
from cards.sessions import Session


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.jpg"))


def test_each_day_has_its_folder(card, library):
    assert import_card(card, library) == 4
    assert names(library) == [
        "2023-07-14/1.jpg",
        "2023-07-14/2.jpg",
        "2023-07-15/3.jpg",
        "undated/4.jpg",
    ]


def test_a_card_that_cannot_be_read_leaves_the_library_alone(card, library):
    (card / "5.jpg").write_bytes(b"pulled out")
    with pytest.raises(Exception):
        import_card(card, library)
    assert os.listdir(library) == []


def test_a_second_card_adds_to_the_first(card, library):
    import_card(card, library)
    (card / "1.jpg").rename(card / "6.jpg")
    import_card(card, library)
    assert len(names(library)) == 5


@pytest.mark.parametrize("name, day", [("1.jpg", "2023-07-14"), ("4.jpg", "undated")])
def test_the_day_is_that_of_the_photo(card, name, day):
    assert day_of(card / name) == day


def test_a_good_copy_reads_as_the_photo_does(card):
    assert check(card / "1.jpg")


def test_an_archive_is_a_card_too(card, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "card"), "zip", card)
    folder = unpack_card(archive)
    try:
        assert len(os.listdir(folder)) == 4
    finally:
        shutil.rmtree(folder)


def test_a_preview_is_small(card):
    path = preview(card / "1.jpg")
    with Image.open(path) as image:
        assert image.size == (16, 8)
    os.remove(path)


def test_a_free_name_is_free(library):
    assert not os.path.exists(os.path.join(library, free_name(library)))


def test_what_a_session_keeps_is_in_the_library(card, library):
    session = Session()
    session.read(card / "1.jpg")
    session.keep(library)
    session.close()
    assert names(library) == ["1.jpg"]


class OldTests(unittest.TestCase):
    """From before there was pytest."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.photo = os.path.join(self.folder, "a.jpg")
        Image.new("RGB", (8, 8)).save(self.photo)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_a_photo_without_a_day_is_undated(self):
        self.assertEqual(day_of(self.photo), "undated")

    def test_a_copy_is_checked(self):
        self.assertTrue(check(self.photo))
