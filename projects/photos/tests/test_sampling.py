from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from photos.errors import PhotosError
from photos.sampling import make_contact_sheet, shuffled
from PIL import Image

Draw = Callable[..., Path]


def broken(folder: Path, name: str) -> Path:
    (folder / name).write_bytes(b"no photo")
    return folder / name


def test_one_seed_always_gives_the_same_sheet(real: dict[str, Path], output: Path) -> None:
    photos = list(real.values())
    one = make_contact_sheet(photos, output / "one.png", count=4, seed=7)
    other = make_contact_sheet(photos[::-1], output / "other.png", count=4, seed=7)
    assert one.path.read_bytes() == other.path.read_bytes()


def test_another_seed_gives_other_photos(real: dict[str, Path], output: Path) -> None:
    photos = list(real.values())
    sheets = [make_contact_sheet(photos, output / "a.jpg", count=4, seed=seed) for seed in (1, -1)]
    assert sheets[0].photos != sheets[1].photos


def test_one_more_photo_leaves_the_order_of_the_others(real: dict[str, Path]) -> None:
    more = shuffled([*real.values(), Path("new.png")], seed=3)
    assert [photo for photo in more if photo.name != "new.png"] == shuffled(real.values(), seed=3)


@pytest.mark.parametrize(("count", "size"), [(1, (50, 50)), (3, (100, 100)), (5, (150, 100))])
def test_the_sheet_is_as_near_to_a_square_as_it_goes(
    real: dict[str, Path], output: Path, count: int, size: tuple[int, int]
) -> None:
    sheet = make_contact_sheet(list(real.values()), output / "a.jpg", count, tile=50)
    with Image.open(sheet.path) as image:
        assert image.size == size


def test_with_fewer_photos_than_asked_for_all_are_on_the_sheet(draw: Draw, output: Path) -> None:
    photos = (draw("a.png"), draw("b.png"))
    assert make_contact_sheet(photos, output / "sheet.jpg", count=9).photos == photos


def test_a_photo_is_in_the_middle_of_its_tile_on_white(draw: Draw, output: Path) -> None:
    sheet = make_contact_sheet([draw()], output / "sheet.png", tile=80)
    with Image.open(sheet.path) as image:
        column = [image.getpixel((15, y)) for y in (19, 20, 59, 60)]
    assert column == [(255,) * 3, (255, 0, 0), (0, 0, 255), (255,) * 3]


def test_a_broken_photo_gives_way_to_the_next(draw: Draw, folder: Path, output: Path) -> None:
    photos = [draw("a.png"), draw("b.png"), *(broken(folder, f"{n}.jpg") for n in range(20))]
    assert len(make_contact_sheet(photos, output / "sheet.jpg", count=2).photos) == 2


def working_directories(project: Path) -> list[Path]:
    return list((project.parent / "system-temp").glob("tempkeep-*/work/*"))


def test_the_working_directory_is_gone_after(draw: Draw, output: Path, project: Path) -> None:
    make_contact_sheet([draw()], output / "sheet.jpg")
    assert working_directories(project) == []
    assert os.listdir(project) == ["pyproject.toml"]


def test_the_working_directory_is_gone_also_after_an_error(
    folder: Path, output: Path, project: Path
) -> None:
    with pytest.raises(PhotosError, match="none of the 1 photos can be read"):
        make_contact_sheet([broken(folder, "a.jpg")], output / "sheet.jpg")
    assert working_directories(project) == []


def test_an_error_leaves_the_sheet_that_was_there(folder: Path, output: Path) -> None:
    (output / "sheet.jpg").write_bytes(b"older")
    with pytest.raises(PhotosError):
        make_contact_sheet([broken(folder, "a.jpg")], output / "sheet.jpg")
    assert (output / "sheet.jpg").read_bytes() == b"older"


def test_a_finished_sheet_replaces_the_one_that_was_there(draw: Draw, output: Path) -> None:
    (output / "sheet.jpg").write_bytes(b"older")
    make_contact_sheet([draw()], output / "sheet.jpg")
    assert [path.read_bytes()[:2] for path in output.iterdir()] == [b"\xff\xd8"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sheet.gif", "must end in .jpeg, .jpg, .png"),
        ("folder.jpg", "is a directory; name a file"),
        ("missing/sheet.jpg", "missing is not a directory; make it first"),
        ("../photos/drawn.png", "is one of the photos; name another file"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(
    draw: Draw, output: Path, name: str, said: str
) -> None:
    (output / "folder.jpg").mkdir()
    with pytest.raises(PhotosError, match=said):
        make_contact_sheet([draw()], output / name)


def test_a_sheet_that_memory_may_not_hold_is_refused(draw: Draw, output: Path) -> None:
    with pytest.raises(PhotosError, match="would be 12000 pixels wide, more than 10000"):
        make_contact_sheet([draw("a.png"), draw("b.png")], output / "sheet.jpg", tile=6000)
