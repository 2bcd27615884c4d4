# case: options TK001 TK002
# case: left TK002:9 defines the legacy get_temp_dir, and module.py needs it as it is
# case: left TK001:18 `out.relative_to` keeps the path as it is written
# case: left TK001:23 keeps the path as it is written
import time
from pathlib import Path

from common.temp import get_debug_temp_dir


def get_temp_dir(prefix="temp"):
    temp_base = Path(".tmp")
    temp_base.mkdir(exist_ok=True)
    temp_dir = temp_base / f"{prefix}_{int(time.time())}"
    temp_dir.mkdir(exist_ok=True)
    return temp_dir


def report(html):
    out = get_temp_dir("report")
    (out / "report.html").write_text(html)
    return f"https://example.org/{out.relative_to('.tmp')}"


print(get_temp_dir("first").parts[1])
print(get_debug_temp_dir("other").name, get_debug_temp_dir("third").resolve().parts[-1])
