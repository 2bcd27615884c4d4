# case: options unsafe TK008 TK104
# case: left TK008:8 comment
import shutil
import tempfile


def build(other):
    work = tempfile.mkdtemp()
    try:
        print(work)
        # that was it
    finally:
        shutil.rmtree(work)
