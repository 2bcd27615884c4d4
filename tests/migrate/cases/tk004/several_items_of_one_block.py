import os
import tempfile


def main():
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b, open(
        os.path.join(a, "x"), "w"
    ) as file:
        file.write(str(b))
