# case: left TK004:5 hides the package common.temp; import from tempkeep by hand
# case: left TK104:8 use temp_working_dir() for a block
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(d)

KEPT = tempfile.mkdtemp()
