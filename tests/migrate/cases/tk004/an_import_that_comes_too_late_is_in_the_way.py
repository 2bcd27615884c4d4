# case: left TK004:4 may not be imported yet here
import tempfile

with tempfile.TemporaryDirectory() as d:
    print(d)

from common.temp import temp_working_dir  # noqa: E402

print(temp_working_dir)
