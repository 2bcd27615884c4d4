import tempfile

with tempfile.TemporaryDirectory() as d:  # tempkeep: keep TK004 the socket's path must be short
    print(d)
