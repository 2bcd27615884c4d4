"""Reading photos as they are meant to be seen."""

from PIL import Image, ImageOps


class BrokenPhoto(Exception):
    """Cannot be read as a photo."""


def load(path):
    """The photo at `path`, upright, RGB or RGBA. Raises `BrokenPhoto`."""
    try:
        with Image.open(path) as stored:
            image = ImageOps.exif_transpose(stored)
            transparent = 'A' in image.getbands() or 'transparency' in image.info
            return image.convert('RGBA' if transparent else 'RGB')
    except Exception as error:
        raise BrokenPhoto('%s: %s' % (path, error))
