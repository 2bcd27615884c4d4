import tempfile


def main(tempfile):
    with tempfile.TemporaryDirectory() as d:
        print(d)


print(tempfile)
