# case: left TK103:7 `tempfile.TemporaryDirectory` is passed on instead of called
# case: left TK103:8 `tempfile.mkdtemp` is passed on instead of called
# case: left TK103:11 `tempfile.TemporaryDirectory` is passed on instead of called
import functools
import tempfile

scratch = tempfile.TemporaryDirectory
make = functools.partial(tempfile.mkdtemp, prefix="x")


class Mine(tempfile.TemporaryDirectory):
    pass


with scratch() as d, Mine() as e:
    print(d, e, make())
