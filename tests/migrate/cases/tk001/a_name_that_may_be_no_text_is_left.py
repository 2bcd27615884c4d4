# case: left TK002:10 nes the legacy get_temp_dir, and module.py needs it as it is
# case: left TK001:19 number might not be a str, which the new function needs
# case: left TK001:23 index might not be a str, which the new function needs
# case: left TK001:25 index might not be a str, which the new function needs
# case: left TK001:26 Path('x') might not be a str, which the new function needs
import time
from pathlib import Path


def get_temp_dir(prefix="x"):
    base = Path(".tmp")
    base.mkdir(exist_ok=True)
    out = base / f"{prefix}_{int(time.time())}"
    out.mkdir(exist_ok=True)
    return out


def numbered(number: int):
    return get_temp_dir(number)


for index in range(2):
    print(get_temp_dir(index).is_dir())
for index, name in enumerate(["a"]):
    print(get_temp_dir(index).is_dir(), get_temp_dir(name).is_dir())
print(get_temp_dir(Path("x")).is_dir(), numbered(3))
