import os
from pathlib import Path
from tempfile import TemporaryDirectory


def inside():
    with TemporaryDirectory() as d:
        path = Path(d) / "a" / "b.txt"
        path.parent.mkdir()
        path.write_text("x")
        other = path.with_suffix(".md")
        print(path.name, path.parent.name, other.name, f"{d}/x"[-2:], f"{d} is it"[-5:])
        print(os.path.relpath(path, d), os.path.basename(os.path.join(d, "c")))
        os.chmod(d, 0o500)
        Path(d).chmod(0o700)
        return os.path.dirname(os.path.join(d, "x")) == str(d)


print(inside())
