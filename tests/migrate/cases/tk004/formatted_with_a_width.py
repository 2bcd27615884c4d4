# case: left TK004:6 more than a plain %s
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print("%40s" % d)
