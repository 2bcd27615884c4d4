# case: options unsafe TK008
# case: left TK008:9 work_path is taken
import shutil
import tempfile


def build(make):
    work_path = 1
    work = tempfile.mkdtemp()
    try:
        make(work, work_path)
    finally:
        shutil.rmtree(work)
