# case: left TK004:5 comment
import tempfile


with tempfile.TemporaryDirectory(
    # nothing here
) as d:
    print(d)
