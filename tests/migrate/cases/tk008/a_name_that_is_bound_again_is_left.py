# case: options unsafe TK008 TK104
# case: left TK104:8 removes
import shutil
import tempfile


def build(other):
    work = tempfile.mkdtemp()
    try:
        work = other(work)
    finally:
        shutil.rmtree(work)
