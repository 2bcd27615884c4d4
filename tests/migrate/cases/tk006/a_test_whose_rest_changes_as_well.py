# case: options unsafe
# case: path tests/test_dirs.py
import tempfile


def test_it(tmp_path, run):
    a = tmp_path / "a"
    b = tmp_path / "b"
    a.mkdir()
    b.mkdir()
    import shutil
    with tempfile.TemporaryDirectory() as d:
        run(d + "/x")
    e = tempfile.mkdtemp()
    try:
        print(e, a, b)
    finally:
        shutil.rmtree(e)
