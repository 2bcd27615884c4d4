# case: options unsafe TK008
import os
import shutil
import tempfile


def build():
    work = tempfile.mkdtemp()
    try:
        print(work)
    finally:
        if os.path.isdir(work):
            shutil.rmtree(work, True)
