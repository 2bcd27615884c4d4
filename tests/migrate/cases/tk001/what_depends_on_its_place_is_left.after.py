# case: options TK001
# case: left TK001:19 line 18 changes the working directory
# case: left TK001:23 `out.parent` has another name
import os
import time
from pathlib import Path

from common.temp import get_debug_temp_dir


def get_temp_dir(prefix="temp"):
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


def entered(name):
    os.chdir(".")
    return get_temp_dir(name).is_dir()


def beside():
    out = get_temp_dir("out")
    return out.parent.is_dir()


def inside():
    out = get_debug_temp_dir("out")
    return (out / "x").parent.is_dir(), out.name[:4], out.resolve().is_dir(), out.exists()


print(entered("x"), beside(), inside())
