import os
import tempfile
import zipfile

from sheets.compat import in_scratch
from sheets.drafting import Drawer, draft
from sheets.packing import names_in, pack, unpacked_size
from sheets.workspaces import tiles_of


def test_a_pack_has_the_sheet_and_the_list(photos, folders):
    archive = pack(photos, str(folders[1] / "a.zip"))
    assert names_in(archive) == ["photos.txt", "sheet.png"]


def test_the_list_has_each_photo(photos, folders):
    with zipfile.ZipFile(pack(photos, str(folders[1] / "a.zip"))) as packed:
        assert packed.read("photos.txt").decode().split("\n")[:-1] == photos


def test_a_pack_is_as_large_as_what_lies_in_it(photos, folders):
    archive = pack(photos, str(folders[1] / "a.zip"))
    with zipfile.ZipFile(archive) as packed:
        assert unpacked_size(archive) == sum(item.file_size for item in packed.infolist())


def test_a_pack_is_written_also_where_its_folder_is_new(photos):
    with tempfile.TemporaryDirectory() as tmp:
        target = os.path.join(tmp, "new")
        os.mkdir(target)
        assert os.path.getsize(pack(photos, os.path.join(target, "a.zip"))) > 500


def test_a_draft_stays_in_its_drawer(photos, project):
    assert os.path.getsize(draft(photos, Drawer(str(project / "drawer")))) > 50


def test_tiles_are_counted_and_gone(photos, folders):
    assert tiles_of(photos, str(folders[1])) == 9
    assert os.listdir(folders[1]) == []


def test_scratch_is_gone_after():
    path = in_scratch(lambda d: os.path.isdir(d) and d)
    assert path and not os.path.exists(path)
