# case: left TK004:7 looks at the names or the source of code
import os
from tempfile import TemporaryDirectory


def hello():
    with TemporaryDirectory() as d:
        return os.listdir(d)


print([name for name, value in list(globals().items()) if callable(value)])
