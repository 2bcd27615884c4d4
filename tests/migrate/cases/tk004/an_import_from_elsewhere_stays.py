from backports.tempfile import TemporaryDirectory

with TemporaryDirectory() as d:
    print(d)
