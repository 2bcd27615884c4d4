# case: options unsafe TK006
# case: path tests/test_dirs.py
import pytest
from common.temp import pytest_temp_dirs


@pytest.fixture
def dirs(request):
	with pytest_temp_dirs(2, ['a', 'b']) as (a, b):
		yield a, b, request
		print("done")
