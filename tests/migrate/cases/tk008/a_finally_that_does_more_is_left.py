# case: options unsafe TK008 TK104
# case: left TK104:8 line 13 removes
import shutil
import tempfile


def build():
    work = tempfile.mkdtemp()
    try:
        print(work)
    finally:
        print("done")
        shutil.rmtree(work)
