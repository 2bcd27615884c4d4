# case: left TK105:5 dir=
# case: left TK105:6 **
import tempfile

WORK = tempfile.mkdtemp(dir="/data")
MORE = tempfile.mkdtemp(**{"dir": "/x"})
