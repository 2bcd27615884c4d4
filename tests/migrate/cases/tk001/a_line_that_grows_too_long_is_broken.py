# case: options TK001
import time
from pathlib import Path


def get_temp_dir(prefix="temp"):
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


def first():
    made = get_temp_dir(prefix="the_name_of_a_directory_that_is_rather_long").is_dir()
    return made


print(first())
