# case: options unsafe TK007
import time
from pathlib import Path


def keep(number, int=round):
    out = Path(".tmp") / f"report_{number}"
    out.mkdir(parents=True, exist_ok=True)
    other = Path(".tmp") / f"other_{int(time.time())}"
    other.mkdir(parents=True)
    run = Path(".tmp") / f"run{time.time()}"
    run.mkdir(parents=True)
    return out, other, run
