# case: left TK004:6 returns something else
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(len(d))
