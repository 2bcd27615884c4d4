# case: path test_copy.py
# case: left TK006:8 with other statements between
import shutil


def test_copy(tmp_path):
    """Copies."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "x").write_text("x")
    target = tmp_path / "target"
    target.mkdir()
    assert shutil.copy(source / "x", target)


def test_one(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    print(source)


def test_otherwise_used(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    print(tmp_path)
    target = tmp_path / "target"
    target.mkdir()
