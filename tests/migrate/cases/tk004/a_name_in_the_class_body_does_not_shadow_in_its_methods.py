import tempfile


class Job:
    tempfile = None

    def run(self):
        with tempfile.TemporaryDirectory() as d:
            print(d)
