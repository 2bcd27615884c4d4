# case: left TK004:6 replaced by tests/test_run.py
import tempfile


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d)
