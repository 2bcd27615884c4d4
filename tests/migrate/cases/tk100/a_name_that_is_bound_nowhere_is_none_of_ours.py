# tempfile
with TemporaryDirectory() as d:
    print(d)
