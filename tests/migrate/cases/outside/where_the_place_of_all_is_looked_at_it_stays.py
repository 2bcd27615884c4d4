# case: left TK004:14 line 9 sets or looks at the system's temporary directory
import os
import tempfile

LOG = os.path.join(tempfile.gettempdir(), "log.txt")


def left():
    return len(os.listdir(tempfile.gettempdir()))


def clean():
    before = left()
    with tempfile.TemporaryDirectory() as d:
        print(os.listdir(d))
    return left() - before


print(clean(), os.path.exists(LOG))
