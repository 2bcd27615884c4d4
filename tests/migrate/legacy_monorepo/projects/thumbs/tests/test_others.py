import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from thumbs.making import get_temp_dir
from thumbs.mirrors import mirror
from thumbs.swatches import swatches
from thumbs.warming import forget_nothing, warm

SCRIPT = Path(__file__).resolve().parents[1] / 'scripts' / 'make_thumbnails.py'


def test_each_size_has_a_directory(draw):
    folders = warm([draw('a.png'), draw('b.png')], sizes=(8, 16))
    assert {size: sorted(p.name for p in folder.iterdir()) for size, folder in folders.items()} == {
        8: ['a.jpg', 'b.jpg'],
        16: ['a.jpg', 'b.jpg'],
    }


def test_what_is_weighed_has_a_weight(draw):
    assert forget_nothing([draw()]) > 100


def test_the_swatches_are_where_they_were_asked_for(draw, tmp_path):
    path = swatches(draw(), lambda name: tmp_path)
    assert path.parent == tmp_path
    assert '#ff0000' in json.loads(path.read_text())


def test_the_swatches_may_lie_in_scratch(draw):
    assert swatches(draw(), get_temp_dir).is_file()


def test_a_mirrored_photo_is_mirrored(draw, tmp_path):
    with Image.open(mirror(draw(), str(tmp_path))) as image:
        assert image.getpixel((0, 0)) == (0, 255, 0)


def test_the_script_makes_thumbnails_where_one_stands(draw, tmp_path, project):
    photos = tmp_path / 'photos'
    photos.mkdir()
    draw().rename(photos / 'a.png')
    said = subprocess.run(
        [sys.executable, str(SCRIPT), str(photos)], stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    assert said.startswith('1 thumbnails in ')
    assert [path.name for path in project.glob('.tmp/**/*.jpg')] == ['a.jpg']
