# case: left TK004:6 stores it
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print({d: 1}[other])
