# case: left TK102:5 is deleted at once, before its name is used
# case: left TK105:6 with 2 positional arguments
import tempfile

name = tempfile.TemporaryDirectory().name
more = tempfile.TemporaryDirectory("a", "b")
