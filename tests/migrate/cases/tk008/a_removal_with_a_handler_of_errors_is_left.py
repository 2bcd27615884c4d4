# case: options unsafe TK008 TK104
# case: left TK104:8 removes
import shutil
import tempfile


def build():
    work = tempfile.mkdtemp()
    try:
        print(work)
    finally:
        shutil.rmtree(work, onerror=print)
