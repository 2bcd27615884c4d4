from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from photos.thumbnails import make_thumbnails
from PIL import ExifTags, Image, ImageCms

from tests.each import each

Draw = Callable[..., Path]

STORED_TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


def thumbnail(photo: Path, longest_side: int = 30) -> Image.Image:
    """The only thumbnail of `photo`, read back."""
    [made] = make_thumbnails([photo], longest_side).made
    with Image.open(made) as image:
        image.load()
    return image


def corners(image: Image.Image) -> list[str]:
    names = {(1, 0, 0): "red", (0, 1, 0): "lime", (0, 0, 1): "blue", (1, 1, 1): "white"}
    data, stride = image.convert("RGB").tobytes(), image.width * 3
    last = len(data) - stride
    starts = (0, stride - 3, last, len(data) - 3)
    at = [tuple(round(part / 255) for part in data[start : start + 3]) for start in starts]
    return [names.get((red, green, blue), "other") for red, green, blue in at]


@each("suffix", ["jpg", "png", "webp", "tif"])
@each("orientation", STORED_TURNED)
def test_a_thumbnail_is_upright_whatever_the_orientation(
    draw: Draw, suffix: str, orientation: int
) -> None:
    turn = STORED_TURNED[orientation]
    image = thumbnail(draw(f"a.{suffix}", turn=turn, exif=oriented(orientation)))
    assert corners(image) == ["red", "lime", "blue", "white"]


def test_a_thumbnail_is_not_turned_a_second_time_by_who_reads_it(draw: Draw) -> None:
    image = thumbnail(draw(turn=STORED_TURNED[6], exif=oriented(6)))
    assert ExifTags.Base.Orientation not in image.getexif()


def test_a_photo_whose_exif_cannot_be_written_anew_is_upright_too(draw: Draw) -> None:
    exif = oriented(6)
    exif[ExifTags.Base.ImageWidth] = 7
    photo = draw("a.jpg", turn=STORED_TURNED[6], exif=exif)
    as_number, as_text = struct.pack(">HHI", 256, 4, 1), struct.pack(">HHI", 256, 2, 1)
    assert as_number in photo.read_bytes()
    photo.write_bytes(photo.read_bytes().replace(as_number, as_text))
    assert corners(thumbnail(photo)) == ["red", "lime", "blue", "white"]


@pytest.mark.parametrize(
    ("name", "size"),
    [("hubble_deep_field.jpg", (256, 223)), ("text.png", (256, 98)), ("cell.png", (213, 256))],
)
def test_a_thumbnail_has_the_aspect_ratio_of_the_photo(
    real: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    assert thumbnail(real[name], 256).size == size


def test_a_line_of_pixels_keeps_at_least_one(folder: Path) -> None:
    Image.new("RGB", (4000, 1)).save(folder / "line.png")
    assert thumbnail(folder / "line.png").size == (30, 1)


def test_a_small_photo_is_not_made_larger(draw: Draw) -> None:
    assert thumbnail(draw(), 256).size == (60, 40)


def test_a_large_jpeg_is_as_sharp_as_the_same_photo_as_png(
    real: dict[str, Path], folder: Path
) -> None:
    with Image.open(real["retina.jpg"]) as image:
        image.save(folder / "retina.png")
    pair = [thumbnail(real["retina.jpg"], 100), thumbnail(folder / "retina.png", 100)]
    [one, other] = [image.convert("L").tobytes() for image in pair]
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) < 32


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_a_photo_without_transparency_becomes_a_jpeg(draw: Draw, mode: str) -> None:
    assert thumbnail(draw("a.tif", mode=mode)).format == "JPEG"


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif"])
def test_transparency_is_kept(folder: Path, name: str) -> None:
    image = Image.new("RGBA", (60, 40), "red")
    image.paste((0, 0, 0, 0), (30, 0, 60, 40))
    image.save(folder / name)
    alpha = thumbnail(folder / name).getchannel("A")
    assert (alpha.getpixel((0, 0)), alpha.getpixel((29, 0))) == (255, 0)


def test_the_transparent_colour_of_a_grey_photo_is_kept(folder: Path) -> None:
    Image.new("L", (60, 40), 7).save(folder / "a.png", transparency=7)
    assert thumbnail(folder / "a.png").getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("a.tif", "I;16B")]
)
def test_the_middle_grey_of_16_bits_is_middle_grey(folder: Path, name: str, mode: str) -> None:
    grey = (32768).to_bytes(2, "big" if mode.endswith("B") else "little")
    Image.frombytes(mode, (60, 40), grey * 2400).save(folder / name)
    assert thumbnail(folder / name).getpixel((5, 5)) == pytest.approx(127, abs=1)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_wider_numbers_are_stretched_from_black_to_white(folder: Path, mode: str) -> None:
    image = Image.new(mode, (60, 40), -5)
    image.paste(90_000, (30, 0, 60, 40))
    image.save(folder / "a.tif")
    assert thumbnail(folder / "a.tif").getextrema() == (0, 255)


def test_the_colour_profile_is_kept(draw: Draw) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert thumbnail(draw("a.jpg", icc_profile=profile)).info["icc_profile"] == profile


def test_a_profile_of_inks_is_not_put_on_rgb(draw: Draw) -> None:
    photo = draw("a.jpg", mode="CMYK", icc_profile=b"for inks")
    assert "icc_profile" not in thumbnail(photo).info


def test_where_the_photo_was_taken_is_not_kept(draw: Draw) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    assert not thumbnail(draw("a.jpg", exif=exif)).getexif()


def test_a_photo_cut_short_is_skipped_with_the_reason(real: dict[str, Path], folder: Path) -> None:
    cut = folder / "cut.jpg"
    cut.write_bytes(real["rocket.jpg"].read_bytes()[:50_000])
    [skipped] = make_thumbnails([cut]).skipped
    assert (skipped.photo, skipped.reason[:35]) == (cut, "cannot be read: image file is trunc")


def test_a_broken_photo_does_not_keep_the_others_from_theirs(draw: Draw, folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    made = make_thumbnails([draw("a.png"), folder / "broken.jpg", draw("b.png")]).made
    assert [path.name for path in made] == ["a.png.jpg", "b.png.jpg"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp"])
def test_no_damage_to_a_photo_ends_the_run(draw: Draw, folder: Path, suffix: str) -> None:
    good = draw(f"good.{suffix}").read_bytes()
    chance = random.Random(suffix)
    for number in range(60):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(good))] = chance.randrange(256)
        end = len(good) if number % 2 else chance.randrange(len(good))
        (folder / f"{number}.{suffix}").write_bytes(damaged[:end])
    result = make_thumbnails(sorted(folder.iterdir()))
    assert len(result.made) + len(result.skipped) == 61


def test_a_decompression_bomb_is_skipped(draw: Draw) -> None:
    photo = draw("bomb.png")
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + photo.read_bytes()[24:29]
    sealed = header + struct.pack(">I", zlib.crc32(header))
    photo.write_bytes(photo.read_bytes()[:12] + sealed + photo.read_bytes()[33:])
    [skipped] = make_thumbnails([photo]).skipped
    assert "decompression bomb" in skipped.reason


def test_a_program_that_is_called_a_photo_is_not_run(folder: Path) -> None:
    (folder / "a.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    [skipped] = make_thumbnails([folder / "a.jpg"]).skipped
    assert skipped.reason == "not a picture in a format that can be read"


def test_of_two_photos_of_one_name_the_second_is_skipped(draw: Draw, real: dict[str, Path]) -> None:
    [skipped] = make_thumbnails([real["cell.png"], draw("cell.png")]).skipped
    assert skipped.reason == "another photo has this name"


def test_a_photo_whose_name_leaves_no_room_is_skipped(draw: Draw) -> None:
    [skipped] = make_thumbnails([draw("a" * 250 + ".png")]).skipped
    assert skipped.reason == "its name is too long to add to"


def test_each_run_has_a_cache_entry_of_its_own(draw: Draw, project: Path) -> None:
    entries = {make_thumbnails([draw()]).entry for _ in range(3)}
    assert entries == set((project / ".tmp/cache").iterdir())


def test_each_real_photo_gets_a_thumbnail(real: dict[str, Path]) -> None:
    made = make_thumbnails(real.values()).made
    assert [path.stem for path in made] == list(real)


def test_the_photos_are_left_alone(draw: Draw, folder: Path) -> None:
    photo = draw("a.jpg", exif=oriented(6))
    before = (photo.read_bytes(), photo.stat().st_mtime_ns)
    make_thumbnails([photo])
    assert (photo.read_bytes(), photo.stat().st_mtime_ns) == before
    assert list(folder.iterdir()) == [photo]
