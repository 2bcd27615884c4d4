# case: left TK004:7 is global
import tempfile


def main():
    global d
    with tempfile.TemporaryDirectory() as d:
        print(d)
