# case: options TK002
# case: left TK002:7 on one line
import time
from pathlib import Path


def get_temp_dir(p): b = Path(".tmp"); b.mkdir(); d = b / f"{p}_{int(time.time())}"; d.mkdir(); return d
