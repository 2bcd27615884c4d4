# case: left TK108:3 star import
# case: left TK100:5 star import
from tempfile import *

with TemporaryDirectory() as d:
    print(d)
