try:
    import tempfile
except ImportError:
    raise SystemExit("no tempfile") from None

with tempfile.TemporaryDirectory() as d:
    print(d)
