from helpers import *


class Work:
    tempfile = tempfile

    def make(self):
        return self.tempfile.TemporaryDirectory()


with tempfile.TemporaryDirectory() as d:
    print(os.listdir(d))
print(mkdtemp())
