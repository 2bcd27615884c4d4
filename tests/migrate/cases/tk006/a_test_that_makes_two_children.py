# case: options unsafe TK006
# case: path tests/test_dirs.py
from pathlib import Path

from app import copy


def test_copy(tmp_path: Path) -> None:
    """Copies."""
    source = tmp_path / "source"
    source.mkdir()
    target = tmp_path / "target"
    target.mkdir()

    (source / "a").write_text("""one
  two
""")
    # and now
    copy(source,
         target)

    assert (target / "a").exists()
