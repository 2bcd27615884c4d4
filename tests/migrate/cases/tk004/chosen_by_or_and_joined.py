# case: left TK004:6 joins it as text
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print((d or other) + "/x")
