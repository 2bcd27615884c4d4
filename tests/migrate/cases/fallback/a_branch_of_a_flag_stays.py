# case: left TK004:28 temp_working_dir may not be imported yet here
import tempfile
from pathlib import Path

HAVE_TEMP = False
try:
    from common.temp import temp_working_dir

    HAVE_TEMP = True
except ImportError:
    pass


def test_copy():
    if HAVE_TEMP:
        with temp_working_dir("copy") as d:
            assert d.is_dir()
    else:
        with tempfile.TemporaryDirectory() as d:
            assert Path(d).is_dir()


def test_early():
    if not HAVE_TEMP:
        with tempfile.TemporaryDirectory() as d:
            assert Path(d).is_dir()
        return
    with tempfile.TemporaryDirectory() as d:
        assert Path(d).is_dir()


def test_late():
    if HAVE_TEMP:
        return
    with tempfile.TemporaryDirectory() as d:
        assert Path(d).is_dir()


def test_short():
    made = HAVE_TEMP or tempfile.mkdtemp()
    made = tempfile.mkdtemp() if not HAVE_TEMP else None
    assert made is None
