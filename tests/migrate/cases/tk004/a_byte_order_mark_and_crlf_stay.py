import tempfile

def ä():
    with tempfile.TemporaryDirectory() as d:
        print(d)