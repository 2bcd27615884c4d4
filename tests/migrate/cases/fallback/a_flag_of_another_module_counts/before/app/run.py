# case: left TK004:14 line 9 allows for a missing package
import tempfile

from . import compat
from .compat import HAVE_TEMP


def work():
    if compat.HAVE_TEMP:
        print("there")
    else:
        with tempfile.TemporaryDirectory() as d:
            print(d)
    with tempfile.TemporaryDirectory() as d:
        print(d, HAVE_TEMP)
