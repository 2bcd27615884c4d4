# case: options unsafe TK008 TK104
# case: left TK104:8 nobody removes
import shutil
import tempfile


def build(self):
    self.work = tempfile.mkdtemp()
    try:
        print(self.work)
    finally:
        shutil.rmtree(self.work)
