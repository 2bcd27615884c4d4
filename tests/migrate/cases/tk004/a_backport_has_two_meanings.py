# case: left TK100:8 has 2 possible meanings
try:
    from tempfile import TemporaryDirectory
except ImportError:
    from backports.tempfile import TemporaryDirectory


with TemporaryDirectory() as d:
    print(d)
