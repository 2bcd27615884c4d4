# case: left TK004:4 temp_working_dir()
import tempfile

with tempfile.TemporaryDirectory(prefix="export-") as d:
    print(d)
