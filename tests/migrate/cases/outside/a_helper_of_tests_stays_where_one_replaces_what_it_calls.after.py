# case: path test_copying.py
# case: left TK004:9 oes to what test_copying.py replaces shutil.copy with
import shutil
import tempfile
from unittest.mock import patch

from common.temp import temp_working_dir


def copied():
    with tempfile.TemporaryDirectory() as d:
        shutil.copy("x", d)


def test_copied():
    with patch("shutil.copy") as fake:
        copied()
    assert fake.call_args.args[1] + "/"


def test_plain():
    with temp_working_dir("plain") as d:
        assert not shutil.copy(__file__, d) is None
