"""The five colours of a photo; where they are written is up to the caller."""

import json

from thumbs.reading import load


def swatches(photo, get_temp_dir):
    """The file with the colours of `photo`, in the directory that `get_temp_dir` hands out."""
    folder = get_temp_dir('swatches')
    image = load(photo).convert('RGB').quantize(5)
    palette = image.getpalette()[: 5 * 3]
    colours = ['#%02x%02x%02x' % tuple(palette[at : at + 3]) for at in range(0, len(palette), 3)]
    path = folder / 'swatches.json'
    path.write_text(json.dumps(colours))
    return path
