# case: left TK004:6 iterates over its characters
import tempfile


def main(other, thing):
    with tempfile.TemporaryDirectory() as d:
        print([letter for letter in d])
