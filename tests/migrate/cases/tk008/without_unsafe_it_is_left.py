# case: options TK008
# case: left TK008:8 use temp_working_dir()
import shutil
import tempfile


def build():
    work = tempfile.mkdtemp()
    try:
        print(work)
    finally:
        shutil.rmtree(work)
