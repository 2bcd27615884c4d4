# case: options unsafe TK008
import os
import shutil
import tempfile


def build(make):
    work = tempfile.mkdtemp()
    try:
        # here
        open(os.path.join(work, "x"), "w").close()

        print(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return make
