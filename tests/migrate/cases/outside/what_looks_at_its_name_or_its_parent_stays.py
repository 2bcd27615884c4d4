# case: left TK004:17 `os.path.dirname(d)` has another name
# case: left TK004:22 `root.parent` has another name
# case: left TK004:29 `f'{d}.zip'` is beside it
# case: left TK004:34 `os.path.join(d, '..', 'x')` is beside it
# case: left TK004:39 `Path(d).with_suffix` has another name
# case: left TK004:45 `name.parent.name` has another name
# case: left TK004:51 `'%s.log' % d` is beside it
# case: left TK004:56 `os.path.basename(os.path.realpath(d))` has another name
# case: left TK004:61 `work.name` has another name
import os
import tempfile
from pathlib import Path
from tempfile import TemporaryDirectory


def by_function():
    with TemporaryDirectory() as d:
        return os.path.dirname(d) == tempfile.gettempdir()


def by_path():
    with TemporaryDirectory() as d:
        root = Path(d).resolve()
        root.mkdir(exist_ok=True)
        return root.parent.is_dir()


def beside():
    with TemporaryDirectory() as d:
        return os.path.exists(f"{d}.zip")


def up():
    with TemporaryDirectory() as d:
        return os.path.exists(os.path.join(d, "..", "x"))


def another():
    with TemporaryDirectory() as d:
        Path(d).with_suffix(".log").exists()
        return str(Path(d).with_suffix(".log"))[-4:]


def from_a_child():
    with TemporaryDirectory() as d:
        name, other = Path(d) / "x", 1
        return name.parent.name.startswith("tmp"), other


def by_percent():
    with TemporaryDirectory() as d:
        return os.path.exists("%s.log" % d)


def by_real_path():
    with TemporaryDirectory() as d:
        return os.path.basename(os.path.realpath(d))[:3]


def by_two_names():
    with TemporaryDirectory() as d:
        work = here = Path(d)
        work = Path(d)
        return work.name[:3], here.is_dir()


print(by_function(), by_path(), beside(), up(), another(), from_a_child(), by_percent())
print(by_real_path(), by_two_names())
