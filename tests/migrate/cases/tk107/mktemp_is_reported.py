# case: left TK107:4 only gives a name
import tempfile as t

A = t.mktemp()
