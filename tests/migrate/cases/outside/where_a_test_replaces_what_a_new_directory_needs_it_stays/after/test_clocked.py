from tempfile import TemporaryDirectory
from unittest import mock

from common.temp import temp_working_dir

import clocked


@mock.patch("time.time", side_effect=[1, 2])
def test_elapsed(clock):
    with TemporaryDirectory() as d:
        assert clocked.empty() == [] and d


def test_another():
    with temp_working_dir("another") as d:
        assert d
