import tempfile
from tempfile import TemporaryDirectory as TD


def work():
    with tempfile.TemporaryDirectory() as d:
        print(d)
    with TD() as d:
        print(d)
