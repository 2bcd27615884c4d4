# case: left TK106:5 not deleted
# case: left TK106:6 not deleted
import tempfile

A = tempfile.NamedTemporaryFile(delete=False)
B = tempfile.NamedTemporaryFile("w", suffix=".x", delete=not A)
