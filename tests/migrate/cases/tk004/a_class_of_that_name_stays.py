class TemporaryDirectory:
    def __enter__(self):
        return "x"

    def __exit__(self, *args):
        pass


with TemporaryDirectory() as d:
    print(d, "tempfile")
