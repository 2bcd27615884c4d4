import tempfile


def main(run):
    with tempfile.TemporaryDirectory() as d:
        print(d)
    run(f"""a
b {tempfile.gettempdir()}
""" f"{tempfile.tempdir}")
