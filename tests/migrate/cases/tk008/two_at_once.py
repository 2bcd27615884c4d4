# case: options unsafe TK008
import shutil
import tempfile


def build():
    one = tempfile.mkdtemp()
    try:
        two = tempfile.mkdtemp()
        try:
            print(one, two)
        finally:
            shutil.rmtree(two)
    finally:
        shutil.rmtree(one)
