# case: options unsafe TK006
# case: path tests/test_dirs.py
from app import copy
from common.temp import pytest_temp_dirs


def test_copy() -> None:
    """Copies."""
    with pytest_temp_dirs(2, ["source", "target"]) as (source, target):
        (source / "a").write_text("""one
  two
""")
        # and now
        copy(source,
             target)

        assert (target / "a").exists()
