# case: options unsafe TK008 TK104
# case: left TK104:8 unless something fails first
import shutil
import tempfile


def build():
    work = tempfile.mkdtemp()
    print(work)
    shutil.rmtree(work)
