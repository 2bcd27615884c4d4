# case: left TK004:9 this file hides common.temp; delete or rename it
# case: left TK104:14 this file hides common.temp; delete or rename it
import contextlib
import tempfile


@contextlib.contextmanager
def working_dir():
    with tempfile.TemporaryDirectory() as d:
        print(d)
        yield None


KEPT = tempfile.mkdtemp()
