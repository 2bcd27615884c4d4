# case: path tests/test_x.py
# case: left TK004:10 line 6 allows for a missing package
import pytest
import tempfile

temp = pytest.importorskip("common.temp")


def test_x():
    with tempfile.TemporaryDirectory() as d:
        print(d)
