import tempfile


def main():
    with tempfile.TemporaryDirectory() as a:
        with tempfile.TemporaryDirectory() as b:
            print(a, b)
