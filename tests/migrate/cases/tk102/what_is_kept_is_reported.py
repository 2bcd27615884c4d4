# case: left TK102:7 kept
# case: left TK102:11 kept
# case: left TK102:13 kept
import contextlib
import tempfile

BASE = tempfile.TemporaryDirectory()


def run(self):
    self.dir = tempfile.TemporaryDirectory(prefix="x")
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(tempfile.TemporaryDirectory())
        print(path)
