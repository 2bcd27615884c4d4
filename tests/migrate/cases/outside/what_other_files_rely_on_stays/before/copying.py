import shutil
import tempfile


def copied():
    with tempfile.TemporaryDirectory() as d:
        shutil.copy("x", d)
