# case: left TK004:6 takes a part
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(d[1:])
