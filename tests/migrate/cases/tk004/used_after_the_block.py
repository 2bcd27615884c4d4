# case: left TK004:6 uses an attribute
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print(d)
        thing(other)
        assert d.startswith("/")
