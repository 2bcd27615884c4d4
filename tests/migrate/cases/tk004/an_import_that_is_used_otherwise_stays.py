import tempfile


def main():
    with tempfile.TemporaryDirectory() as d:
        print(d, tempfile.gettempdir())
