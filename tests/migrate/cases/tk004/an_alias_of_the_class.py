# case: left TK103:7 `mkdtemp` is passed on
from tempfile import TemporaryDirectory as TD, mkdtemp


def main():
    with TD() as d:
        print(d, mkdtemp)
