import os
import shutil
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from sheets.joining import count_colours, make_contact_sheet, sheet_in


def test_a_sheet_is_nearly_a_square(photos, folders):
    _, target = folders
    with Image.open(make_contact_sheet(photos, target / "sheet.png", tile=20)) as sheet:
        assert sheet.size == (60, 60)


@pytest.mark.parametrize("count, size", [(1, (20, 20)), (2, (40, 20)), (5, (60, 40))])
def test_a_sheet_has_no_more_rows_than_it_needs(photos, folders, count, size):
    _, target = folders
    with Image.open(make_contact_sheet(photos[:count], target / "sheet.png", tile=20)) as sheet:
        assert sheet.size == size


def test_real_photos_make_a_sheet(real, folders):
    sheet = make_contact_sheet(real, folders[1] / "sheet.jpg", tile=50)
    assert count_colours(sheet) == 64


def test_without_photos_the_old_sheet_stays():
    with tempfile.TemporaryDirectory() as d:
        target = Path(d) / "target"
        target.mkdir()
        (target / "sheet.png").write_bytes(b"older")
        with pytest.raises(ValueError):
            make_contact_sheet([], target / "sheet.png")
        assert (target / "sheet.png").read_bytes() == b"older"


def test_a_sheet_of_a_copy_is_the_same_sheet(photos):
    with tempfile.TemporaryDirectory() as tmp:
        # both folders are there before anything is copied
        source = Path(tmp) / "source"
        source.mkdir()
        target = Path(tmp) / "target"
        target.mkdir()

        for photo in photos:
            shutil.copy(photo, source)
        one = make_contact_sheet(photos, target / "one.png")
        other = make_contact_sheet(sorted(source.iterdir()), target / "other.png")
        assert one.read_bytes() == other.read_bytes()


def test_a_folder_can_be_copied_to_where_there_is_none(photos, folders):
    with tempfile.TemporaryDirectory() as tmp:
        target = Path(tmp) / "copy"
        shutil.copytree(folders[0], target)  # which makes it
        assert len(os.listdir(target)) == len(photos)


def test_a_sheet_leaves_nothing_beside_it(photos, folders):
    sheet_in(str(folders[1]), photos)
    assert os.listdir(folders[1]) == ["sheet.png"]


def test_a_relative_output_is_where_one_stands(photos, project):
    make_contact_sheet(photos, Path("sheet.png"), tile=10)
    assert (project / "sheet.png").is_file()
