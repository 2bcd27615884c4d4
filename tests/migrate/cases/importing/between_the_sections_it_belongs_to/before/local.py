# case: options TK004
import tempfile

from app import x

with tempfile.TemporaryDirectory() as d:
    print(d, x)
