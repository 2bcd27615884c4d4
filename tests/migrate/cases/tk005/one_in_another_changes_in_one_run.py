# case: options unsafe
import shutil
import tempfile
from pathlib import Path


def build(make):
    with tempfile.TemporaryDirectory() as outer:
        out = Path(outer) / "out"
        out.mkdir()
        inner = tempfile.mkdtemp()
        try:
            with tempfile.TemporaryDirectory() as deep:
                make(out, inner + "/x", deep)
        finally:
            shutil.rmtree(inner)
