import tempfile

A = tempfile.NamedTemporaryFile()
B = tempfile.NamedTemporaryFile(delete=True)
C = tempfile.SpooledTemporaryFile()
