# case: left TK004:6 uses an attribute of str
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(d.replace("a", "b"))
