"""Mirrored copies, for the left-handed. Not the other scripts' get_temp_dir: the place is given."""

import os

from PIL import ImageOps

from thumbs.reading import load


def get_temp_dir(base, name):
    """The directory `name` in `base`; the same one each time."""
    path = os.path.join(base, name)
    os.makedirs(path, exist_ok=True)
    return path


def mirror(photo, base):
    """The mirrored copy of `photo`."""
    path = os.path.join(get_temp_dir(base, 'mirrored'), os.path.basename(str(photo)))
    ImageOps.mirror(load(photo)).save(path)
    return path
