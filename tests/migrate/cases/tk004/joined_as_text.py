# case: left TK004:6 `d + '/x'` joins it as text
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        return open(d + "/x")
