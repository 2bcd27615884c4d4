import pytest
from PIL import ExifTags, Image

from thumbs import making
from thumbs.making import get_temp_dir, make_thumbnails


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_a_thumbnail_has_the_aspect_ratio_of_the_photo(real):
    [made] = make_thumbnails([real], 90).files
    assert size_of(made) == (90, 60)


@pytest.mark.parametrize('mode, suffix', [('RGB', '.jpg'), ('L', '.jpg'), ('RGBA', '.png')])
def test_what_is_transparent_stays_so(draw, mode, suffix):
    [made] = make_thumbnails([draw(mode=mode)]).files
    assert made.name == 'drawn.png' + suffix


def test_a_small_photo_is_not_made_larger(draw):
    [made] = make_thumbnails([draw()]).files
    assert size_of(made) == (60, 40)


@pytest.mark.parametrize('orientation, size', [(1, (30, 20)), (6, (20, 30)), (8, (20, 30))])
def test_a_thumbnail_is_upright(draw, orientation, size):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    [made] = make_thumbnails([draw('a.jpg', exif=exif)], 30).files
    assert size_of(made) == size


def test_a_broken_photo_is_skipped(draw, tmp_path):
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no photo')
    made = make_thumbnails([broken, draw()])
    assert (made.skipped, len(made.files)) == ([broken], 1)


def test_thumbnails_lie_in_the_project(draw, project):
    made = make_thumbnails([draw()])
    assert project / '.tmp' in made.folder.resolve().parents


def test_what_the_helper_hands_out_is_there():
    assert get_temp_dir('mine').is_dir()
    assert making.get_temp_dir().name.startswith('temp_')
