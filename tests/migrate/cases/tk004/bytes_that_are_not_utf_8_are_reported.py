# case: problem is not utf-8
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(d, "ü")
