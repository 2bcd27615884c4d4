"""Tasks of thumbs."""

import os
import sys

from invoke import task

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'src'))


@task(help={'folder': 'The photos.', 'size': 'Longest side in pixels (256).'})
def thumbs(c, folder, size=256):
    """Make thumbnails of a folder."""
    from thumbs.making import make_thumbnails

    made = make_thumbnails(sorted(os.path.join(folder, name) for name in os.listdir(folder)), int(size))
    print('%d thumbnails in %s' % (len(made.files), made.folder))


@task
def clean(c):
    """Remove what the tests leave."""
    c.run('find . -name __pycache__ -exec rm -rf {} +')
