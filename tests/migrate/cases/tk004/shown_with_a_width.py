# case: left TK004:6 format width
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(f"{d:>40}")
