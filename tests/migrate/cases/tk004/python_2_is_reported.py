# case: problem does not parse: line 5
import tempfile

with tempfile.TemporaryDirectory() as d:
    print d
