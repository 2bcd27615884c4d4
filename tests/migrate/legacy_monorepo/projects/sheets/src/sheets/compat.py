"""For the Pythons that the photo desk still has."""

try:
    from tempfile import TemporaryDirectory
except ImportError:  # the old machine in the basement
    import shutil
    import tempfile
    from contextlib import contextmanager

    @contextmanager
    def TemporaryDirectory():
        path = tempfile.mkdtemp()
        try:
            yield path
        finally:
            shutil.rmtree(path)


def in_scratch(work):
    """What `work` returns of a directory that is gone after."""
    with TemporaryDirectory() as d:
        return work(d)
