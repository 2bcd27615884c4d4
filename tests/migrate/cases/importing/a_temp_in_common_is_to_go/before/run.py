# case: left TK004:4 common/temp.py hides common.temp; delete or rename it
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(d)
