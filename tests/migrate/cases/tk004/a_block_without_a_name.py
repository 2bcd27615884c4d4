import tempfile

with tempfile.TemporaryDirectory():
    pass
