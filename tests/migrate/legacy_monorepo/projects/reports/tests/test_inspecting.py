import json
import shutil
from pathlib import Path

from PIL import Image

from reports.clearing import clear
from reports.inspecting import dhash, keep_log, look_at, near_duplicates, report_on
from reports.naming import named


def test_a_report_says_how_large_a_photo_is(steps, folders):
    source, _ = folders
    steps.save(source / "a.png")
    assert look_at(source / "a.png")["size"] == [90, 80]


def test_there_is_a_report_on_each_photo(real):
    out = report_on(real)
    assert sorted(path.name for path in out.iterdir()) == [
        "alike.json",
        "chelsea.png.json",
        "coffee.png.json",
    ]


def test_what_is_different_is_not_alike(real):
    assert json.loads((report_on(real) / "alike.json").read_text()) == []


def test_a_smaller_copy_is_alike(real, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    copies = tmp_path / "copies"
    copies.mkdir()

    shutil.copy(real[0], source)
    with Image.open(real[0]) as image:
        image.resize((90, 60)).save(copies / "small.jpg")
    photos = [*source.iterdir(), *copies.iterdir()]
    assert [(a.name, b.name) for a, b in near_duplicates(photos)] == [("chelsea.png", "small.jpg")]


def test_a_copy_makes_its_own_folder(steps, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    target = tmp_path / "target"
    steps.save(source / "a.png")
    shutil.copytree(source, target)
    assert look_at(target / "a.png") == look_at(source / "a.png")


def test_a_mirrored_photo_has_another_hash(steps):
    assert dhash(steps) == 2**64 - 1
    assert dhash(steps.transpose(Image.FLIP_LEFT_RIGHT)) == 0


def test_reports_are_cleared_and_the_rest_stays(project):
    (project / ".tmp" / "reports").mkdir(parents=True)
    (project / ".tmp" / "older").mkdir()
    (project / ".tmp" / "mine").mkdir()
    assert clear()
    assert [path.name for path in (project / ".tmp").iterdir()] == ["mine"]


def test_without_scratch_there_is_nothing_to_clear():
    assert not clear()


def test_the_log_has_what_was_logged():
    assert keep_log("one").read_text().endswith("one\n")


def test_a_name_may_have_umlauts():
    assert named(Path("Köln.jpg"), 3) == "Köln (3) ähnlich.json"
