import tempfile  # noqa: F401 - others take it from here

with tempfile.TemporaryDirectory() as d:
    print(d)
