# case: options unsafe TK006
# case: path tests/test_dirs.py
import pytest


@pytest.fixture
def dirs(tmp_path, request):
	a = tmp_path / 'a'
	b = tmp_path / 'b'
	a.mkdir()
	b.mkdir()
	yield a, b, request
	print("done")
