# case: left TK105:7 dir=
# case: left TK105:9 delete=
# case: left TK105:11 a positional argument
# case: left TK105:13 ignore_cleanup_errors=
import tempfile

with tempfile.TemporaryDirectory(dir="/x") as d:
    print(d)
with tempfile.TemporaryDirectory(delete=False) as d:
    print(d)
with tempfile.TemporaryDirectory("suffix") as d:
    print(d)
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as d:
    print(d)
