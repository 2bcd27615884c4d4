# case: left TK004:6 returns it
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        return d if thing else other
