# case: left TK004:8 app/compat.py imports this file where common.temp is missing
import contextlib
import tempfile


@contextlib.contextmanager
def plain_dir(name):
    with tempfile.TemporaryDirectory() as d:
        print(d)
        yield name
