# case: left TK004:7 is taken here
import tempfile

temp_working_dir = None


with tempfile.TemporaryDirectory() as d:
    print(d)
