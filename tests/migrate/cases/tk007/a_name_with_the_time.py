# case: options unsafe TK007
import time
from pathlib import Path


def keep():
    out = Path(".tmp") / f"report_{int(time.time())}"
    out.mkdir(parents=True, exist_ok=True)
    other = Path(f".tmp/other_{int(time.time())}")
    other.mkdir(parents=True)
    return out, other
