# case: left TK100:10 has 2 possible meanings
import sys

if sys.version_info >= (3, 12):
    import tempfile
else:
    import mytempfile as tempfile


with tempfile.TemporaryDirectory() as d:
    print(d)
