"""Makes thumbnails, each time in a directory of their own."""

import os
import time
from collections import namedtuple
from pathlib import Path

from PIL import Image

from thumbs.reading import BrokenPhoto, load

Made = namedtuple('Made', 'folder files skipped')


def get_temp_dir(prefix='temp'):
    """Get a unique temporary directory under .tmp."""
    base = Path('.tmp')
    base.mkdir(exist_ok=True)
    temp_dir = base / f'{prefix}_{int(time.time())}'
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


def make_thumbnails(photos, longest_side=256):
    """Thumbnails of `photos`, each at most `longest_side` pixels; broken ones are skipped."""
    folder = get_temp_dir('thumbnails')  # the web server links it from there
    files, skipped = [], []
    for photo in photos:
        try:
            image = load(photo)
        except BrokenPhoto:
            skipped.append(photo)
            continue
        image.thumbnail((longest_side, longest_side), Image.LANCZOS)
        suffix = '.png' if image.mode == 'RGBA' else '.jpg'
        made = folder / (os.path.basename(str(photo)) + suffix)
        image.save(made)
        files.append(made)
    return Made(folder, files, skipped)
