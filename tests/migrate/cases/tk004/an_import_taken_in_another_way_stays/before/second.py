import tempfile


def work():
    with tempfile.TemporaryDirectory() as d:
        print(d)
