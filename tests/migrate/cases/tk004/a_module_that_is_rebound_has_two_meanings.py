# case: left TK100:7 has 2 possible meanings
import tempfile

tempfile = wrap(tempfile)


with tempfile.TemporaryDirectory() as d:
    print(d)
