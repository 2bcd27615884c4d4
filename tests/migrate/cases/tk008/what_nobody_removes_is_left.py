# case: options unsafe TK008 TK104
# case: left TK104:8 nobody removes
import shutil
import tempfile


def build():
    work = tempfile.mkdtemp()
    print(work)
