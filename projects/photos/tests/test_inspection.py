from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from photos.inspection import inspect_photos
from PIL import ExifTags, Image

Draw = Callable[..., Path]


def pairs(*photos: Path) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in inspect_photos(photos).near_duplicates]


def test_the_report_says_how_a_photo_is_stored(draw: Draw) -> None:
    [report] = inspect_photos([draw("a.tif", mode="CMYK")]).reports
    assert (report.format, report.mode) == ("TIFF", "CMYK")


def test_the_report_has_the_size_as_seen(draw: Draw) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    [report] = inspect_photos([draw("a.jpg", exif=exif)]).reports
    assert (report.width, report.height) == (40, 60)


def test_the_mean_colour_is_that_of_all_pixels(draw: Draw) -> None:
    [report] = inspect_photos([draw()]).reports
    assert report.mean_colour == "#808080"


def test_the_mean_colour_of_what_is_transparent_is_white(folder: Path) -> None:
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(folder / "a.png")
    [report] = inspect_photos([folder / "a.png"]).reports
    assert report.mean_colour == "#ffffff"


def test_the_histogram_counts_each_pixel_once_in_each_colour(real: dict[str, Path]) -> None:
    [report] = inspect_photos([real["chelsea.png"]]).reports
    assert {sum(bins) for bins in report.histogram.values()} == {report.width * report.height}


def test_the_histogram_goes_from_dark_to_light(draw: Draw) -> None:
    [report] = inspect_photos([draw()]).reports
    assert report.histogram["red"] == (1200, *[0] * 14, 1200)


def test_a_smaller_grey_and_compressed_copy_is_a_near_duplicate(
    real: dict[str, Path], folder: Path
) -> None:
    with Image.open(real["chelsea.png"]) as image:
        image.convert("L").resize((120, 80)).save(folder / "copy.jpg", quality=30)
    assert pairs(real["chelsea.png"], folder / "copy.jpg") == [("chelsea.png", "copy.jpg")]


def test_a_mirrored_copy_is_no_near_duplicate(real: dict[str, Path], folder: Path) -> None:
    with Image.open(real["chelsea.png"]) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "mirrored.png")
    assert pairs(real["chelsea.png"], folder / "mirrored.png") == []


def test_of_the_real_photos_the_two_pairs_that_look_alike_are_found(real: dict[str, Path]) -> None:
    assert pairs(*real.values()) == [
        ("chessboard_GRAY.png", "chessboard_RGB.png"),
        ("motorcycle_left.png", "motorcycle_right.png"),
    ]


def test_photos_without_structure_are_no_near_duplicates(folder: Path) -> None:
    for colour in ("red", "blue"):
        Image.new("RGB", (60, 40), colour).save(folder / f"{colour}.png")
    assert pairs(folder / "red.png", folder / "blue.png") == []


def test_the_debug_entry_remains_with_a_file_for_each_photo(
    real: dict[str, Path], project: Path
) -> None:
    inspect_photos(real.values())
    [entry] = (project / ".tmp/debug").iterdir()
    expected = {f"{name}.json" for name in real} | {"near_duplicates.json"}
    assert {path.name for path in entry.iterdir()} == expected


def test_the_file_of_a_photo_says_what_the_report_says(draw: Draw) -> None:
    inspection = inspect_photos([draw()])
    written = json.loads((inspection.entry / "drawn.png.json").read_text())
    assert written["schema_version"] == 1
    assert (written["photo"], written["dhash"]) == ("drawn.png", inspection.reports[0].dhash)


def test_a_broken_photo_is_listed_with_the_reason(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(b"no photo")
    entry = inspect_photos([folder / "a.jpg"]).entry
    assert json.loads((entry / "near_duplicates.json").read_text())["skipped"] == [
        {"photo": "a.jpg", "reason": "not a picture in a format that can be read"}
    ]
