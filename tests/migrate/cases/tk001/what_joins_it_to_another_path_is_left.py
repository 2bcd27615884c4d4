# case: left TK002:18 nes the legacy get_temp_dir, and module.py needs it as it is
# case: left TK001:27 {out}` joins it to another path, and the new one is absolute
# case: left TK001:32 ed'))` joins it to another path, and the new one is absolute
# case: left TK001:36 / log` joins it to another path, and the new one is absolute
# case: left TK001:41 keeps the path as it is written, and the new one is absolute
# case: left TK001:48 keeps the path as it is written, and the new one is absolute
# case: left TK001:52 keeps the path as it is written, and the new one is absolute
# case: left TK001:56 ned()` joins it to another path, and the new one is absolute
# case: left TK001:65 .out}` joins it to another path, and the new one is absolute
# case: left TK001:72 ('stamp').name` reads the name, which may end differently
# case: left TK001:82 path}` joins it to another path, and the new one is absolute
import os
import time
import zipfile
from pathlib import Path


def get_temp_dir(prefix="x"):
    base = Path(".tmp")
    base.mkdir(exist_ok=True)
    out = base / f"{prefix}_{int(time.time())}"
    out.mkdir(exist_ok=True)
    return out


def texts():
    out = get_temp_dir("texts")
    return os.path.exists(f"./{out}"), os.path.exists(f"out: {out}")


def joined():
    return os.path.join("/srv", get_temp_dir("joined"))


def below():
    log = get_temp_dir("below") / "log"
    return Path("/srv") / log


def stored():
    out = get_temp_dir("stored")
    with zipfile.ZipFile(out / "o.zip", "w") as archive:
        archive.write(out)
        return archive.namelist()


def linked():
    os.symlink(get_temp_dir("linked"), "latest")


def begins():
    return str(get_temp_dir("begins")).startswith(".tmp")


def returned():
    return get_temp_dir("returned")


def shown(path):
    return os.path.exists(f"{os.getcwd()}/{path}")


class Kept:
    def __init__(self):
        self.out = get_temp_dir("kept")

    def shown(self):
        return os.path.exists(f"{os.getcwd()}/{self.out}")


def stamp():
    return int(get_temp_dir("stamp").name.split("_")[1])


def same():
    out = get_temp_dir("same")
    (out / "a").write_text(f"in {out}")
    return [path.name for path in out.iterdir()], out.name[:4], out != Path("x"), open(out / "a")


print(texts(), joined(), below(), stored(), linked(), begins(), stamp() > 0, same())
print(Path("/srv") / returned(), shown(get_temp_dir("passed")), Kept().shown())
